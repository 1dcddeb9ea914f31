"""The same runs on a Ray cluster of this machine, one worker process lost on the way."""

import os

import pytest

pytest.importorskip("ray", reason="needs the cluster extra")

from metaenv.runs.parallel import map_runs


def write_and_fail_once(folder, name):
    """A run that dies with its process the first time, and finds its own mark the second time."""
    mark = folder / f"{name}.started"
    if not mark.exists():
        mark.write_text("started")
        os._exit(1)
    return f"{name} done"


@pytest.mark.slow
def test_a_lost_worker_is_started_again(tmp_path):
    done: list[tuple[int, int]] = []
    jobs = [(tmp_path, "a"), (tmp_path, "b")]
    results = map_runs(write_and_fail_once, jobs, engine="ray", report=lambda k, n: done.append((k, n)))
    assert results == ["a done", "b done"]
    assert done[-1] == (2, 2)
