"""Files that are written whole or not at all, and that show when they were damaged."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SEAL = b"sha256:"
"""Begins the comment of a sealed zip archive; the digest follows in hexadecimal digits."""
SEAL_LENGTH = len(SEAL) + 2 * hashlib.sha256().digest_size


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is renamed to ``path`` at the end, or removed if that fails.

    Makes the folder. So no half-written file is ever seen, and an old one stays until the new one is whole. The file
    gets the permissions of the user's umask, and what a symbolic link points to is replaced, not the link.

    Raises:
        OSError: with the name of the file, a full disk included.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a file under a temporary name and rename it, so that no half-written file is ever seen."""
    with replacing(path := Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file holds. Raises ValueError where it is none, and OSError where it cannot be read."""
    try:
        return tomllib.loads(Path(path).read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("expected text in UTF-8; save the file as that") from None


def write_sealed_zip(path: str | Path, archive: io.BytesIO) -> None:
    """Write a zip archive (of `torch.save` or `numpy.savez`) with its SHA-256 as the archive's comment.

    Programs that know nothing of the seal read the file as before. It is flushed to disk before it is renamed.
    """
    with archive.getbuffer() as content, replacing(path) as temporary, temporary.open("wb") as file:
        content[-2:] = SEAL_LENGTH.to_bytes(2, "little")  # an archive without a comment ends in the comment's length, 0
        file.write(content)
        file.write(SEAL + hashlib.sha256(content).hexdigest().encode())
        file.flush()
        os.fsync(file.fileno())


def read_sealed_zip(path: str | Path) -> io.BytesIO:
    """The archive that `write_sealed_zip` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file was cut short or changed, or another program wrote it.
    """
    content = Path(path).read_bytes()
    body, seal = memoryview(content)[:-SEAL_LENGTH], content[-SEAL_LENGTH:]
    if seal != SEAL + hashlib.sha256(body).hexdigest().encode():
        raise ValueError(
            f"{path} ({len(content)} bytes) does not carry its SHA-256: it is cut short, damaged, or another "
            "program's file"
        )
    return io.BytesIO(content)


def write_sealed_json(path: str | Path, values: dict[str, Any]) -> None:
    """Write a JSON object with the SHA-256 of its content as a further entry."""
    write_text(path, json.dumps({**values, "sha256": _digest(values)}, indent=1) + "\n")


def read_sealed_json(path: str | Path) -> dict[str, Any]:
    """What `write_sealed_json` wrote. Raises ValueError, with the name of the file, if it was changed."""
    values = read_json(path)
    seal = values.pop("sha256", None)
    if seal != _digest(values):
        raise ValueError(f"{path} does not carry its SHA-256: it is damaged, edited, or another program's file")
    return values


def read_json(path: str | Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError, with the name of the file, if it holds anything else."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); was it edited or damaged?") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(values).__name__}; was it edited or damaged?")
    return values


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
