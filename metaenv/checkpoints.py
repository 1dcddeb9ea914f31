"""Checkpoints: plain dictionaries of numbers, strings and tensors that load without running code."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from metaenv.files import read_sealed_zip, write_sealed_zip

SUFFIX = ".pt"


def save_checkpoint(path: str | os.PathLike[str], kind: str, state: dict[str, Any]) -> Path:
    """Write a checkpoint so that the file is either the whole new one or the old one.

    It is written beside the target under a temporary name, flushed to disk and then renamed: a run that is
    killed while saving leaves the previous checkpoint as it was. The file carries its SHA-256.

    Args:
        path: where to; `.pt` is appended if it has no suffix. Missing folders are made.
        kind: what the file holds, such as "metaenv.RL2"; checked on loading.
        state: dictionaries, lists, tuples, numbers, strings and tensors, nothing else.

    Returns:
        The path written.
    """
    target, archive = _with_suffix(path), io.BytesIO()
    torch.save({"kind": kind, "state": state}, archive)
    write_sealed_zip(target, archive)
    return target


def load_checkpoint(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Read a checkpoint written by `save_checkpoint`, with `weights_only=True`: no code in the file can run.

    Args:
        path: the file; `.pt` may be left off.
        kind: what the file must hold.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or damaged, is no checkpoint, or holds another kind of agent.
    """
    source = Path(path) if Path(path).exists() else _with_suffix(path)
    try:
        content = torch.load(read_sealed_zip(source), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"Expected a {kind} checkpoint, but {source} cannot be read as one: it is cut short, damaged, or another "
            f"program's file. Load another checkpoint, or train and save again. ({error})"
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
