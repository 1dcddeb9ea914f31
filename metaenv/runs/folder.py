"""The folder of a run: its settings, its checkpoint, its log and the seconds it took; one format for every training.

``config.json``    ``run`` (what is trained), all settings, and the versions of the packages
``checkpoint.pt``  written every `CHECKPOINT_SECONDS` and at the end; it keeps the settings too
``best.pt``        the best policy on validation tasks, where the run has evaluations
``log.jsonl``      a JSON object per line
``seconds.json``   the seconds of training, written with every checkpoint
``.lock``          while a process works in the folder

A few-shot run adds a folder of that format for each method and seed, with ``scores.npz`` and ``cell.json``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metaenv.evaluation import package_versions
from metaenv.files import read_json, write_text

try:
    import fcntl
except ImportError:  # Windows: a lock file is then anybody's until it is removed
    fcntl = None

CHECKPOINT_SECONDS = 20.0  # what an interruption without warning may cost (chosen)
CHECKPOINT_SHARE = 0.02  # of the time, at most, that goes into writing checkpoints (chosen)
IGNORED = (".DS_Store", "Thumbs.db", "desktop.ini", ".lock", "seconds.json")
"""Files that do not make a folder a used one."""


class RunError(ValueError):
    """A run, or a run folder, that cannot be used as asked."""


class RunFolder:
    """The files of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.checkpoint = self.path / "checkpoint.pt"
        self.best = self.path / "best.pt"
        self.log = self.path / "log.jsonl"
        self._seconds = self.path / "seconds.json"

    @property
    def is_new(self) -> bool:
        """Whether the folder is missing or empty, apart from what systems and killed processes leave behind."""
        if not self.path.is_dir():
            return not self.path.exists()
        return all(file.name in IGNORED or is_leftover(file) for file in self.path.iterdir())

    def read_config(self, kind: str) -> dict[str, Any]:
        """The settings. Raises RunError, in one line that names the file, if there are none of this kind."""
        if not self.config.exists():
            raise RunError(f"expected a run folder with a config.json, found none in {self.path}")
        try:
            values = read_json(self.config)
        except ValueError as error:
            raise RunError(str(error)) from error
        if values.get("run") != kind:
            raise RunError(f"{self.config}: expected {kind!r} for 'run', got {values.get('run')!r}; was it edited?")
        return {name: value for name, value in values.items() if name not in ("run", "versions")}

    def write_config(self, kind: str, settings: Mapping[str, Any]) -> None:
        """Write the settings, with the versions of the packages that will use them."""
        text = json.dumps({"run": kind, **settings, "versions": package_versions()}, indent=1)
        write_text(self.config, text + "\n")

    @property
    def seconds(self) -> float:
        """Seconds of training until the last checkpoint."""
        if not self._seconds.exists():
            return 0.0
        try:
            return float(read_json(self._seconds)["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self._seconds} does not hold the seconds of a training ({error!r}); remove it") from error

    def write_seconds(self, seconds: float) -> None:
        """Write the seconds of training."""
        write_text(self._seconds, json.dumps({"seconds": seconds}) + "\n")

    def read_log(self, counter: str) -> list[dict[str, Any]]:
        """The lines of the log; a last one that a kill has cut short is left out.

        Raises:
            RunError: a line is no JSON object with the number ``counter``.
        """
        try:
            lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        except UnicodeDecodeError as error:
            raise RunError(f"{self.log} is not a log ({error}); remove it, or put it back") from error
        found: list[dict[str, Any]] = []
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
                float(line[counter])
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                if number == len(lines) and isinstance(error, ValueError):
                    break
                raise RunError(f"{self.log}, line {number} has no number {counter!r}; remove or repair it") from error
            found.append(line)
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made, and remove what killed ones have left in it.

        Raises:
            RunError: a process works in the folder, or one on another machine does or did.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / ".lock"
        descriptor = _take(path)
        try:
            for file in self.path.iterdir():
                if is_leftover(file):
                    file.unlink(missing_ok=True)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def is_leftover(file: Path) -> bool:
    """Whether a file is the temporary one, ``.NAME.PID.tmp``, of a write that was not finished."""
    parts = file.name.split(".")
    return file.name.startswith(".") and parts[-1] == "tmp" and parts[-2].isdigit() and not _runs(int(parts[-2]))


def _take(path: Path) -> int:
    """A locked open file that says who works in the folder."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _check_free(descriptor, path)
            with contextlib.suppress(FileNotFoundError):  # its owner has removed it just now
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    os.ftruncate(descriptor, 0)
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    os.write(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _check_free(descriptor: int, path: Path) -> None:
    alone = _flock(descriptor)
    try:
        owner = json.loads(os.read(descriptor, 1000) or b"{}")
        host, pid = owner.get("host", socket.gethostname()), int(owner.get("pid", 0))
    except (ValueError, AttributeError):
        host, pid = socket.gethostname(), 0
    if host != socket.gethostname():
        raise RunError(
            f"process {pid} on {host} works in {path.parent}, or was killed there; if it does not run any more, "
            f"remove {path}"
        )
    if alone is False or (alone is None and pid and _runs(pid)):
        raise RunError(f"process {pid} works in {path.parent}; wait for its end, or give another folder with --out")


def _flock(descriptor: int) -> bool | None:
    """Whether nobody else has the file locked; None where the file system knows no locks. It ends with the process."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _runs(pid: int) -> bool:
    """Whether a process of this machine is alive."""
    if os.name != "posix":
        return True  # there, the question would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class LogFile:
    """Appends lines to a run's log, after the lines of iterations that no checkpoint holds have been dropped.

    Args:
        folder: of the run.
        counter: the entry of a line that counts, such as "iteration".
        resumed_at: its value in the checkpoint that training goes on from.
    """

    def __init__(self, folder: RunFolder, counter: str, resumed_at: int) -> None:
        self._folder = folder
        self._kept = [line for line in folder.read_log(counter) if line[counter] <= resumed_at] if resumed_at else []
        self._begin()

    def _begin(self) -> None:
        write_text(self._folder.log, "".join(f"{json.dumps(line)}\n" for line in self._kept))
        self._file = self._folder.log.open("a", encoding="utf-8")

    def take_back(self, entry: str) -> list[Any]:
        """Remove the last line, if it has this entry, a list, and return that; an empty list otherwise."""
        if not self._kept or entry not in self._kept[-1]:
            return []
        self.close()
        last = self._kept.pop()
        self._begin()
        return last[entry]

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line."""
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Saver:
    """Writes a run's checkpoint and seconds, every `CHECKPOINT_SECONDS` and for at most 2 % of the time.

    Args:
        folder: of the run.
        save: writes the checkpoint to a path.
    """

    def __init__(self, folder: RunFolder, save: Callable[[Path], object]) -> None:
        self._folder, self._save, self._before = folder, save, folder.seconds
        self._started = self._saved = time.monotonic()
        self._pause = CHECKPOINT_SECONDS

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before an interruption too."""
        return self._before + time.monotonic() - self._started

    def save_if_due(self) -> None:
        """Save, if the last time is long enough ago."""
        if time.monotonic() - self._saved > self._pause:
            self.save()

    def save(self) -> None:
        """Save now."""
        start = time.monotonic()
        self._save(self._folder.checkpoint)
        self._folder.write_seconds(self.seconds)
        self._saved = time.monotonic()
        self._pause = max(CHECKPOINT_SECONDS, (self._saved - start) / CHECKPOINT_SHARE)
