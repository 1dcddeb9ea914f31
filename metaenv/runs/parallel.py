"""Map training runs over processes of this machine, or over a Ray cluster.

A run is idempotent and owns its folder, so recovery is "start again": what is complete is skipped, what was
interrupted is resumed. Results travel through the folder, which on a cluster must lie on a shared file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, Literal

Engine = Literal["local", "ray"]


def map_runs(
    run: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    engine: Engine = "local",
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> list[Any]:
    """``run(*job)`` for every job; results in the order of the jobs.

    Args:
        run: a function that a worker process can import.
        jobs: its arguments.
        engine: ``"local"`` processes, or ``"ray"``, one core a job, on the cluster that ``RAY_ADDRESS`` names.
        workers: local processes; 1 runs the jobs here, one after the other.
        report: called with (jobs done, jobs in all).

    Raises:
        ImportError: ``"ray"`` without the package.
    """
    if engine == "ray":
        return _map_ray(run, jobs, report)
    if workers == 1:
        results: list[Any] = []
        for job in jobs:
            results.append(run(*job))
            _tell(report, len(results), len(jobs))
        return results
    # spawn: a forked child of a process that has used torch's threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, *job) for job in jobs]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            _tell(report, done, len(jobs))
        return [future.result() for future in futures]


def _map_ray(
    run: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], report: Callable[[int, int], None] | None
) -> list[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("engine 'ray' needs Ray: pip install 'metaenv-science[cluster]'") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    remote = ray.remote(num_cpus=1, max_retries=3)(run)
    pending = [remote.remote(*job) for job in jobs]
    waiting = list(pending)
    while waiting:
        _, waiting = ray.wait(waiting, num_returns=1)
        _tell(report, len(jobs) - len(waiting), len(jobs))
    return ray.get(pending)


def _tell(report: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if report:
        report(done, total)
