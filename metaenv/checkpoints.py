"""Checkpoints: plain dictionaries of numbers, strings and tensors that load without running code."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch

SUFFIX = ".pt"


def save_checkpoint(path: str | os.PathLike[str], kind: str, state: dict[str, Any]) -> Path:
    """Write a checkpoint so that the file is either the whole new one or the old one.

    It is written beside the target under a temporary name, flushed to disk and then renamed: a run that is
    killed while saving leaves the previous checkpoint as it was.

    Args:
        path: where to; `.pt` is appended if it has no suffix. Missing folders are made.
        kind: what the file holds, such as "metaenv.RL2"; checked on loading.
        state: dictionaries, lists, tuples, numbers, strings and tensors, nothing else.

    Returns:
        The path written.
    """
    target = _with_suffix(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save({"kind": kind, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def load_checkpoint(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Read a checkpoint written by `save_checkpoint`, with `weights_only=True`: no code in the file can run.

    Args:
        path: the file; `.pt` may be left off.
        kind: what the file must hold.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, is no checkpoint, or holds another kind of agent.
    """
    source = Path(path) if Path(path).exists() else _with_suffix(path)
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"Expected a {kind} checkpoint, but {source} ({_size(source)}) cannot be read as one: it is cut short, "
            f"damaged, or another program's file. Load another checkpoint, or train and save again. ({error})"
        ) from error
    if not isinstance(content, dict) or content.keys() != {"kind", "state"} or content["kind"] != kind:
        found = content.get("kind") if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"Expected a {kind} checkpoint, got {found!r} in {source}. Load it with the agent that saved it."
        )
    return content["state"]


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    return target if target.suffix else target.with_suffix(SUFFIX)


def _size(path: Path) -> str:
    return f"{path.stat().st_size} bytes" if path.is_file() else "not a file"
