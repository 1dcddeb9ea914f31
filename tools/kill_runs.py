"""Kill runs with signal 9 at random moments, go on, and compare with the run that nobody killed. Run by hand:

    python tools/kill_runs.py --kills 25                          # of each kind: 100 in all
    python tools/kill_runs.py --kills 4 --kinds rl2 set --seed 1

Tensors, logs and scores must be the same to the last bit; wall times are left out. A forked child, in which the package
is loaded already, calls `metaenv.cli.main` as the console script does, with checkpoints every 0.15 s.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import torch

import metaenv.experiments.command
import metaenv.runs.fewshot_command  # noqa: F401 (loaded once, for all children)
from metaenv.cli import main
from metaenv.runs import folder as run_folder

run_folder.CHECKPOINT_SECONDS = 0.15  # in the processes that workers are spawned as, too: they import this file
run_folder.CHECKPOINT_SHARE = 0.5

SMALL = ["--agent.network.hidden-size", "16", "--agent.network.embedding-sizes", "16"]
COMMANDS: dict[str, list[str]] = {
    "rl2": ["train", "rl2", "BernoulliBandit", "--steps", "30000", "--num-envs", "100", *SMALL, "--verbose", "1"],
    "pearl": [
        *["train", "pearl", "BernoulliBandit", "--steps", "6000", "--num-envs", "10", "--verbose", "1"],
        *["--agent.n-tasks", "20", "--agent.gradient-steps", "10", "--agent.replay-capacity", "1000"],
    ],
    "fewshot": [
        *["fewshot", "light-curves", "prototypical", "--iterations", "250", "--episodes", "50", "--n-shot", "2"],
        *["--n-query", "3", "--no-baselines", "--settings", "tasks_per_batch", "4"],
    ],
    "set": [
        *["train", "rl2", "BernoulliBandit", "--steps", "15000", "--num-envs", "100", *SMALL],
        *["--seeds", "3", "--workers", "2"],
    ],
}
WALL_TIMES = ("time/fps", "seconds", "train_seconds")


def child(args: list[str], log: Path, killed_after: float | None) -> tuple[int, bool]:
    """Exit status of a command in a forked process, and whether it was killed."""
    pid = os.fork()
    if pid == 0:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        status = 1
        try:
            status = main(args)
        finally:
            sys.stdout.flush()
            os._exit(status)
    killed: list[bool] = []
    timer = threading.Timer(killed_after or 1e6, lambda: (killed.append(True), os.kill(pid, signal.SIGKILL)))
    timer.daemon = True
    timer.start()
    _, status = os.waitpid(pid, 0)
    timer.cancel()
    return os.waitstatus_to_exitcode(status), bool(killed)


def differences(a: Any, b: Any, where: str) -> list[str]:
    """Places at which two trees of numbers, texts and tensors differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [k for k in {**a, **b} if k not in WALL_TIMES and k != "sha256"]
        return [x for k in keys for x in differences(a.get(k), b.get(k), f"{where}/{k}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [x for i, (p, q) in enumerate(zip(a, b, strict=True)) for x in differences(p, q, f"{where}/{i}")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [where]
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return [] if np.array_equal(a, b, equal_nan=True) else [where]
    return [] if a == b or (a != a and b != b) else [f"{where}: {a!r} and {b!r}"]


def content(path: Path) -> Any:
    """What a file of a run holds."""
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text())


def compare(whole: Path, cut: Path) -> list[str]:
    """What differs between two run folders, and files that should not be there."""
    names = ("checkpoint.pt", "log.jsonl", "scores.npz", "cell.json", "config.json")
    found = [f"left behind: {file}" for file in cut.rglob(".*") if file.is_file()]
    for path in sorted(p for name in names for p in whole.rglob(name)):
        other = cut / path.relative_to(whole)
        if other.exists():
            found += differences(content(path), content(other), str(path.relative_to(whole)))
        else:
            found.append(f"missing: {other}")
    return found


def kill_kind(kind: str, kills: int, rng: random.Random, folder: Path) -> bool:
    """Kill runs of a kind so many times; whether each ended as the whole one."""
    command, log = COMMANDS[kind], folder / f"{kind}.txt"
    start = time.monotonic()
    status, _ = child([*command, "--out", str(folder / kind / "whole")], log, None)
    seconds = time.monotonic() - start
    if status:
        print(f"{kind}: the whole run ended with {status}; see {log}")
        return False
    done, runs, good = 0, 0, True
    while done < kills:
        cut = folder / kind / f"cut-{runs}"
        before = done
        for _ in range(1000):
            new = kind in ("fewshot", "set") or not (cut / "config.json").exists()
            args = [*command, "--out", str(cut)] if new else ["resume", str(cut), "--verbose", "1"]
            status, killed = child(args, log, rng.uniform(0, seconds) if done < kills else None)
            done += killed
            if not killed:
                break
        faults = [f"ended with {status}; see {log}"] if status else compare(folder / kind / "whole", cut)
        runs, good = runs + 1, good and not faults
        print(f"{kind}, run {runs}, {done - before} kills: {'the same' if not faults else faults[:5]}", flush=True)
        if not faults:
            shutil.rmtree(cut)
    return good


def run() -> int:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="a temporary one by default, kept if something differs")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kill-runs-"))
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    good = all([kill_kind(kind, options.kills, rng, folder) for kind in options.kinds])
    if good and options.folder is None:
        shutil.rmtree(folder)
    print("All the same." if good else f"Something differs: {folder}")
    return 0 if good else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run())
