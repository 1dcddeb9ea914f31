"""Sets of training runs: several settings with several seeds, each run in a folder of its own.

Runs that are complete are not trained again, and interrupted ones are resumed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from metaenv.evaluation import write_text
from metaenv.runs.parallel import Engine, map_runs
from metaenv.runs.training import TrainConfig, load_run, replace, resume, train


def train_one(config: TrainConfig, folder: Path) -> float:
    """Train in ``folder`` unless that is done, resuming what was interrupted.

    Returns:
        Seconds spent on the run by all calls together; ``seconds.json`` in the folder keeps them.
    """
    start, before = time.perf_counter(), seconds_spent(folder)
    try:
        if (folder / "config.json").exists():
            resume(folder, progress_bar=False)
        else:
            train(config, folder, progress_bar=False)
    finally:
        seconds = before + time.perf_counter() - start
        if folder.exists():
            write_text(folder / "seconds.json", json.dumps(seconds))
    return seconds


def train_set(
    configs: Mapping[str, TrainConfig], seeds: int, out: Path, engine: Engine, workers: int
) -> dict[str, list[Path]]:
    """Train all settings with seeds 0, 1, ...; returns the run folders ``out/NAME/seed-S`` by name."""
    folders = {name: [out / name / f"seed-{s}" for s in range(seeds)] for name in configs}
    jobs = [(replace(configs[name], seed=s), folders[name][s]) for name in configs for s in range(seeds)]
    todo = [job for job in jobs if not is_complete(job[1])]
    print(f"{len(jobs)} training runs, {len(jobs) - len(todo)} of them complete already.", flush=True)
    map_runs(train_one, todo, engine, workers, lambda done, total: print(f"trained {done} of {total}", flush=True))
    return folders


def is_complete(folder: Path) -> bool:
    """Whether the run was trained to its end."""
    return (folder / "checkpoint.pt").exists() and load_run(folder)[1].remaining_timesteps == 0


def seconds_spent(folder: Path) -> float:
    """Seconds that `train_one` has spent on the run."""
    path = folder / "seconds.json"
    return float(json.loads(path.read_text())) if path.exists() else 0.0


def spent(configs: Mapping[str, TrainConfig], folders: Mapping[str, Sequence[Path]]) -> list[str]:
    """A line of Markdown for each kind of runs: how many, how long, and who taught."""
    lines: list[str] = []
    for name, config in configs.items():
        minutes = [seconds_spent(folder) / 60 for folder in folders[name]]
        text = (
            f"- {name}: {len(minutes)} runs of {config.steps:,} steps, {min(minutes):.1f}-{max(minutes):.1f} min each"
        )
        teacher = getattr(config.agent, "teacher", None)
        lines.append(text + (f"; in training, {teacher.name} as a fading teacher." if teacher else "."))
    return lines
