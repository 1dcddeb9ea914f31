"""Sets of training runs: several settings with several seeds, each run in a folder of its own.

Runs that are complete are not trained again, and interrupted ones are resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from metaenv.runs.folder import RunError, RunFolder
from metaenv.runs.parallel import Engine, Failures, check_shared, map_runs
from metaenv.runs.settings import TrainConfig, differences, told
from metaenv.runs.training import KIND, load_run, read_config, resume_locked


def train_one(config: TrainConfig, folder: Path, locked: bool = False) -> float:
    """Train in ``folder`` unless that is done, resuming what was interrupted.

    Args:
        config: settings; those of a run that the folder holds must be the same.
        folder: of the run.
        locked: whether the caller has locked the folder, as a set does for its workers.

    Returns:
        Seconds spent on the run by all calls together.

    Raises:
        RunError: the folder holds a run with other settings, or something else.
    """
    with ExitStack() as stack:
        if not locked:
            stack.enter_context(_begun(config, folder))
        resume_locked(folder)
    return seconds_spent(folder)


@contextmanager
def _begun(config: TrainConfig, folder: Path) -> Iterator[None]:
    """Lock a folder and write the settings, or see that they are those of the run that it holds."""
    place = RunFolder(folder)
    new = place.is_new
    with place.locked():
        if new and not place.config.exists():
            place.write_config(KIND, config.to_dict())
        elif other := differences(read_config(folder).to_dict(), config.to_dict()):
            longer = f"`metaenv resume {folder} --steps {config.steps}` trains it further; else " * ("steps" in other)
            raise RunError(
                f"{folder} holds a run with other settings: {told(other)}, which is asked for now; {longer}give "
                "another folder with --out"
            )
        yield


def train_set(
    configs: Mapping[str, TrainConfig], seeds: int, out: Path, engine: Engine = "local", workers: int = 1
) -> dict[str, list[Path]]:
    """Train all settings with seeds 0, 1, ...; returns the run folders ``out/NAME/seed-S`` by name.

    Raises:
        RunError: at the end, when every other run is complete, if one failed: each is named with the reason.
    """
    runs = {name: seed_runs(config, range(seeds), out / name) for name, config in configs.items()}
    train_folders([job for jobs in runs.values() for job in jobs], engine, workers)
    return {name: [folder for _, folder in jobs] for name, jobs in runs.items()}


def seed_runs(config: TrainConfig, seeds: Sequence[int], out: Path) -> list[tuple[TrainConfig, Path]]:
    """Settings and folder ``out/seed-S`` for each seed. The folders are absolute: workers may be anywhere."""
    return [(replace(config, seed=seed), out.resolve() / f"seed-{seed}") for seed in seeds]


def train_folders(jobs: Sequence[tuple[TrainConfig, Path]], engine: Engine, workers: int) -> None:
    """Train each run in its folder, unless it is complete.

    Raises:
        RunError: at the end, when every other run is complete, if one failed: each is named with the reason.
    """
    failures = Failures()
    with ExitStack() as stack:
        todo: list[tuple[TrainConfig, Path, bool]] = []
        for config, folder in jobs:
            with failures.of(folder):
                stack.enter_context(_begun(config, folder))
                if not is_complete(folder):
                    todo.append((config, folder, True))
        complete = len(jobs) - len(todo) - len(failures)
        print(f"{len(jobs)} training runs, {complete} of them complete already.", flush=True)
        trained: list[Path] = []

        def done(index: int, result: Any) -> None:
            with failures.of(folder := todo[index][1]):
                if isinstance(result, Exception):
                    raise result
                check_shared(RunFolder(folder).checkpoint)
                trained.append(folder)
                print(f"trained {len(trained)} of {len(todo)}", flush=True)

        map_runs(train_one, todo, engine, workers, done)
    failures.report("training runs", len(jobs))


def members(folder: Path) -> list[Path]:
    """The run folders ``seed-S`` of a set; none where the folder is that of a run."""
    if RunFolder(folder).config.exists():
        return []
    return sorted(path.parent for path in folder.glob("seed-*/config.json"))


def is_complete(folder: Path) -> bool:
    """Whether the run was trained to its end."""
    if not RunFolder(folder).checkpoint.exists():
        return False
    config, agent = load_run(folder)
    return agent.num_timesteps >= config.steps


def seconds_spent(folder: Path) -> float:
    """Seconds of training, those before interruptions too."""
    return RunFolder(folder).seconds


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
