"""Jobs in processes and on Ray: workers that are killed, parents that die, folders that are not shared."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch", reason="runs need torch")
pytest.importorskip("tyro", reason="runs need tyro")

from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.runs import parallel
from metaenv.runs.folder import RunError, RunFolder
from metaenv.runs.parallel import map_runs
from metaenv.runs.sets import is_complete, train_set
from metaenv.runs.training import TrainConfig, load_run

CONFIG = TrainConfig("BernoulliBandit-v0", 600, 30, agent=RL2Config(network=Network((8,), 8)))

JOBS = """
import os, signal, time

def doubled(x):
    if x < 0:
        raise ValueError(f"{x} is negative")
    return 2 * x

def killed(folder, times):
    mark = folder / "times"
    count = int(mark.read_text()) + 1 if mark.exists() else 1
    mark.write_text(str(count))
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return count

def faulty(x):
    raise TypeError("a fault of the program")

def waits(folder):
    (folder / f"{os.getpid()}.begun").write_text("")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        (folder / f"{os.getpid()}.saved").write_text("")
        raise
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Functions that worker processes can import."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "some_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.delitem(sys.modules, "some_jobs", raising=False)
    import some_jobs  # pyright: ignore[reportMissingImports]

    return some_jobs


@pytest.mark.parametrize("workers", [1, 2])
def test_results_errors_and_order(jobs, workers):
    found = []
    results = map_runs(jobs.doubled, [(3,), (-1,), (4,)], workers=workers, done=lambda i, r: found.append((i, r)))
    assert results[0] == 6 and results[2] == 8 and str(results[1]) == "-1 is negative"
    assert sorted(i for i, _ in found) == [0, 1, 2]
    with pytest.raises(ValueError, match="-1 is negative"):
        map_runs(jobs.doubled, [(-1,)], workers=workers)
    with pytest.raises(TypeError, match="a fault of the program") as caught:
        map_runs(jobs.faulty, [(1,)], workers=workers, done=lambda i, r: None)
    assert "in faulty" in caught.value.__notes__[0], "where it happened travels with it"


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_no_workers_do_no_jobs(jobs, workers):
    with pytest.raises(ValueError, match=f"expected workers to be a whole number of at least 1, got {workers}"):
        map_runs(jobs.doubled, [(3,), (4,)], workers=workers)


def test_a_killed_worker_is_replaced_a_bounded_number_of_times(jobs, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    results = map_runs(jobs.killed, [(tmp_path / "a", 2), (tmp_path / "b", 99)], workers=2, done=lambda i, r: None)
    assert results[0] == 3
    assert isinstance(results[1], RunError) and "killed 3 times (exit code -9)" in str(results[1])
    assert (tmp_path / "b" / "times").read_text() == "3"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_and_save_where_there_is_time(jobs, tmp_path, how):
    program = textwrap.dedent(f"""
        import pathlib, sys
        from metaenv.runs.parallel import map_runs
        import some_jobs
        if __name__ == "__main__":
            map_runs(some_jobs.waits, [(pathlib.Path({str(tmp_path)!r}),)] * 2, workers=2)
    """)
    (tmp_path / "parent.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "errors").open("w") as errors:
        parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], env=environment, stderr=errors)
    wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
    parent.send_signal(how)
    parent.wait(30)
    if how != signal.SIGKILL:
        wait_for(lambda: len(list(tmp_path.glob("*.saved"))) == 2)
    pids = [int(path.stem) for path in tmp_path.glob("*.begun")]
    wait_for(lambda: not any(runs(pid) for pid in pids))


def wait_for(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_workers_train_what_one_does(tmp_path):
    one = train_set({"rl2": CONFIG}, 2, tmp_path / "one")["rl2"]
    two = train_set({"rl2": CONFIG}, 2, tmp_path / "two", "local", 2)["rl2"]
    for a, b in zip(one, two, strict=True):
        assert is_complete(b) and RunFolder(b).seconds > 0 and not (b / ".lock").exists()
        first, second = ({k: v for k, v in RunFolder(f).read_log("time/iterations")[-1].items()} for f in (a, b))
        assert {**first, "time/fps": 0} == {**second, "time/fps": 0}
        for name, weight in load_run(a)[1].policy.state_dict().items():
            np.testing.assert_array_equal(weight, load_run(b)[1].policy.state_dict()[name])


# RAY, OR WHAT LOOKS LIKE IT


class FakeRay(ModuleType):
    """A cluster whose workers live in another folder; ``lost`` makes them write to a disk of their own."""

    def __init__(self, cwd, lost=False):
        super().__init__("ray")
        self.cwd, self.lost, self.cancelled, self.options = cwd, lost, [], {}
        self._up, self._tasks = False, {}

    def is_initialized(self):
        return self._up

    def init(self, **options):
        self._up = True

    def remote(self, **options):
        self.options = options

        def of(function):
            handle = ModuleType("task")
            handle.remote = lambda *args: self._submit(function, args)
            return handle

        return of

    def _submit(self, function, args):
        name = f"task-{len(self._tasks)}"
        self._tasks[name] = (function, args)
        return name

    def wait(self, tasks, num_returns):
        return tasks[-1:], tasks[:-1]  # the last one is done first

    def get(self, task):
        if self.lost:
            return 1.0
        before = os.getcwd()
        os.chdir(self.cwd)
        try:
            function, args = self._tasks[task]
            return function(*args)
        finally:
            os.chdir(before)

    def cancel(self, task):
        self.cancelled.append(task)


def test_a_relative_folder_works_on_a_cluster(tmp_path, monkeypatch):
    (tmp_path / "driver").mkdir()
    (tmp_path / "worker").mkdir()
    ray = FakeRay(tmp_path / "worker")
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.chdir(tmp_path / "driver")
    folders = train_set({"rl2": CONFIG}, 2, parallel.Path("runs"), "ray")["rl2"]
    assert folders == [tmp_path / "driver" / "runs" / "rl2" / f"seed-{s}" for s in (0, 1)]
    assert all(is_complete(folder) for folder in folders) and not list((tmp_path / "worker").iterdir())
    assert ray.options == {"num_cpus": 1, "num_gpus": 0, "max_retries": 3} and not ray.cancelled


def test_jobs_on_a_cluster_ask_for_a_gpu_where_one_is_asked_for(tmp_path, monkeypatch):
    ray = FakeRay(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("METAENV_DEVICE", "cuda")
    assert parallel.map_runs(os.getenv, [("METAENV_DEVICE",)], "ray") == ["cuda"], "the job knows of it"
    assert ray.options["num_gpus"] == 1


def test_a_folder_that_is_not_shared_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay(tmp_path, lost=True))
    with pytest.raises(RunError, match=r"(?s)2 of 2 training runs failed.*shared file system"):
        train_set({"rl2": CONFIG}, 2, tmp_path / "runs", "ray")


def test_errors_on_a_cluster_and_an_interruption(jobs, tmp_path, monkeypatch):
    ray = FakeRay(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", ray)
    results = map_runs(jobs.doubled, [(3,), (-1,)], "ray", done=lambda i, r: None)
    assert results[0] == 6 and str(results[1]) == "-1 is negative"

    def stops(index, result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_runs(jobs.doubled, [(3,), (4,)], "ray", done=stops)
    assert ray.cancelled == ["task-2"]


def test_without_ray_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"metaenv-science\[cluster\]"):
        map_runs(len, [([],)], "ray")


def write_and_fail_once(folder, name):
    """A run that dies with its process the first time, and finds its own mark the second time."""
    mark = folder / f"{name}.started"
    if not mark.exists():
        mark.write_text("started")
        os._exit(1)
    return f"{name} done"


@pytest.mark.slow
def test_a_lost_worker_of_ray_is_started_again(tmp_path):
    pytest.importorskip("ray", reason="needs the cluster extra")
    done = []
    jobs = [(tmp_path, "a"), (tmp_path, "b")]
    results = map_runs(write_and_fail_once, jobs, engine="ray", done=lambda k, result: done.append(k))
    assert results == ["a done", "b done"]
    assert sorted(done) == [0, 1]
