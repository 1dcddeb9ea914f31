"""Do jobs in processes of this machine, or on a Ray cluster.

A job is idempotent and owns its folder, so recovery is "start again": what is complete is skipped, what was
interrupted is resumed. Results travel through the folder, which on a cluster must lie on a shared file system.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from metaenv.devices import VARIABLE
from metaenv.interrupts import exit_status, stops_raised
from metaenv.limits import COUNT, check
from metaenv.runs.allocator import keep_freed_memory
from metaenv.runs.folder import RunError

Engine = Literal["local", "ray"]
ATTEMPTS = 3
"""Times that a job is begun whose process is killed, by the system when memory is short (chosen)."""
EXPECTED = (ValueError, OSError, ArithmeticError, ImportError)
"""Errors of one job, which leave the others alone; any other is a fault of the program."""


class Failures:
    """The jobs of a set that failed, by their folder.

    Args:
        say: told of each.
    """

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self._errors: dict[Path, Exception] = {}
        self._say = say

    def __len__(self) -> int:
        return len(self._errors)

    @contextmanager
    def of(self, folder: Path) -> Iterator[None]:
        """Keep an error of the block as one of this folder, and go on."""
        try:
            yield
        except EXPECTED as error:
            self._errors[folder] = error
            self._say(f"failed: {_named(folder, error)}")

    @property
    def folders(self) -> list[Path]:
        """Of the jobs that failed."""
        return [*self._errors]

    def report(self, what: str, total: int) -> None:
        """Raise RunError, in which every failure is named, if there was one."""
        if self._errors:
            each = "\n".join(f"  {_named(folder, error)}" for folder, error in self._errors.items())
            raise RunError(f"{len(self)} of {total} {what} failed; the others are done:\n{each}")


def _named(folder: Path, error: Exception) -> str:
    return str(error) if str(folder) in str(error) else f"{folder}: {error}"


def map_runs(
    run: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    engine: Engine = "local",
    workers: int = 1,
    done: Callable[[int, Any], None] | None = None,
) -> list[Any]:
    """``run(*job)`` for every job; results in the order of the jobs.

    Args:
        run: a function that a worker process can import.
        jobs: its arguments.
        engine: ``"local"`` processes, or ``"ray"``, one core per job, on the cluster that ``RAY_ADDRESS`` names, and
            one GPU with the device "cuda"; with "auto" Ray's jobs compute on the CPU.
        workers: local processes; 1 runs the jobs here, one after the other.
        done: called with the index of each job as soon as it is done, and its result or its error (one of `EXPECTED`),
            which then is left to this function.

    Raises:
        ImportError: ``"ray"`` without the package.
        ValueError: there are fewer workers than one.
        KeyboardInterrupt: after every worker has saved.
        Exception: that of a job, if it is none of `EXPECTED` or there is no ``done``.
    """
    check("workers", workers, COUNT)
    results: list[Any] = [None] * len(jobs)

    def note(index: int, result: Any) -> None:
        if isinstance(result, Exception) and not (done and isinstance(result, EXPECTED)):
            raise result
        results[index] = result
        if done:
            done(index, result)

    if engine == "ray":
        _on_ray(run, jobs, note)
    elif workers == 1:
        for index, job in enumerate(jobs):
            note(index, _outcome(run, job))
    else:
        _in_processes(run, jobs, workers, note)
    return results


def check_shared(file: Path) -> None:
    """Raise RunError if a file that a worker has written is not here."""
    if not file.exists():
        raise RunError(
            f"a worker has written {file}, but it is not here: the folder must lie on a shared file system, under the "
            "same path on every machine"
        )


def _outcome(run: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    try:
        return run(*job)
    except Exception as error:
        error.add_note(traceback.format_exc())  # it does not travel between processes otherwise
        return error


def _in_processes(
    run: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int, note: Callable[[int, Any], None]
) -> None:
    # spawn: a forked child of a process that has used torch's threads can hang.
    context = get_context("spawn")
    waiting, attempts = deque(range(len(jobs))), Counter[int]()
    team: dict[Connection, BaseProcess] = {}
    busy: dict[Connection, int] = {}
    try:
        with stops_raised():
            while waiting or busy:
                while waiting and len(busy) < workers:
                    here = next((c for c in team if c not in busy), None) or _hired(context, run, team)
                    busy[here] = index = waiting.popleft()
                    attempts[index] += 1
                    _send(here, jobs[index])
                for connection in wait(list(busy)):
                    assert isinstance(connection, Connection)
                    index = busy.pop(connection)
                    try:
                        result = connection.recv()
                    except (EOFError, OSError):
                        process = team.pop(connection)
                        process.join()
                        if attempts[index] < ATTEMPTS:
                            waiting.appendleft(index)
                            continue
                        result = RunError(
                            f"its process was killed {ATTEMPTS} times (exit code {process.exitcode}); is memory short?"
                        )
                    note(index, result)
    finally:
        for process in team.values():
            process.terminate()
        for process in team.values():
            process.join()


def _hired(context: SpawnContext, run: Callable[..., Any], team: dict[Connection, BaseProcess]) -> Connection:
    """The connection to a new worker."""
    here, there = context.Pipe()
    team[here] = process = context.Process(target=_work, args=(there, run), daemon=True)
    process.start()
    there.close()  # the worker alone holds it, so that its end is noticed here
    return here


def _send(connection: Connection, job: tuple[Any, ...]) -> None:
    try:
        connection.send(job)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the process was killed; receiving from it will tell


def _work(connection: Connection, run: Callable[..., Any]) -> None:
    """What a worker process does: jobs, until there are no more, or until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its workers by SIGTERM
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    try:
        while True:
            job = connection.recv()
            with stops_raised():
                result = _outcome(run, job)
            try:
                connection.send(result)
            except (TypeError, AttributeError, ValueError) as error:  # it cannot be pickled
                connection.send(RuntimeError(f"{result!r} ({error})"))
    except (EOFError, OSError):
        os._exit(0)  # the parent has no more jobs, or is dead
    except KeyboardInterrupt as stop:
        os._exit(exit_status(stop))  # saved


def _end_with_parent() -> None:
    """End as soon as the parent was killed. At once: whoever goes on with the run may begin at any moment."""
    parent = parent_process()
    assert parent is not None, "workers have a parent"
    parent.join()
    os._exit(1)


def _on_ray(run: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], note: Callable[[int, Any], None]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("engine 'ray' needs Ray: pip install 'metaenv-science[cluster]'") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    device = os.environ.get(VARIABLE, "auto")
    # Ray hides all GPUs from a job that asks for none: "auto" is then the CPU.
    gpus = int(device.startswith("cuda"))
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=ATTEMPTS)(_remote)
    index_of = {remote.remote(run, job, device): index for index, job in enumerate(jobs)}
    waiting = list(index_of)
    try:
        with stops_raised():
            while waiting:
                (done, *_), waiting = ray.wait(waiting, num_returns=1)
                try:
                    result = ray.get(done)
                except Exception as error:  # of Ray: the worker or its node was lost too often
                    result = RunError(f"Ray could not do it: {error}")
                note(index_of[done], result)
    finally:
        for task in waiting:
            ray.cancel(task)


def _remote(run: Callable[..., Any], job: tuple[Any, ...], device: str) -> Any:
    os.environ[VARIABLE] = device  # of this machine's process, which does not inherit it
    keep_freed_memory()
    return _outcome(run, job)
