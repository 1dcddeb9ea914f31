"""Training an agent in a run folder: settings in, checkpoint and log out, resumable at any time."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, TensorBoardOutputFormat

from metaenv.agents.base import Agent
from metaenv.checkpoints import load_checkpoint
from metaenv.evaluation import CHUNK, first_tasks
from metaenv.interrupts import stops_raised
from metaenv.runs.evaluation_callback import EvaluationCallback
from metaenv.runs.folder import LogFile, RunError, RunFolder, Saver
from metaenv.runs.settings import TrainConfig, differences, told

VALIDATION = "validation"
"""The split of evaluations in the course of training."""
KIND = "agent"
"""Of a run's config.json."""
COUNTER = "time/total_timesteps"
"""The entry of a log line that counts."""


def train(
    config: TrainConfig,
    folder: str | Path,
    *,
    progress_bar: bool = True,
    verbose: int = 0,
    tensorboard: bool = False,
    device: str = "auto",
) -> Agent:
    """Train in a new run folder, on a device as `metaenv.devices.resolve_device` takes it.

    Raises:
        RunError: the folder already holds a run, or another process works in it.
        ValueError: there is no such device.
        KeyboardInterrupt: passed on after the checkpoint was written; `resume` goes on from it.
    """
    place = RunFolder(folder)
    if not place.is_new:
        raise RunError(
            f"{folder} exists and is not empty; go on with `metaenv resume {folder}`, or give another folder with --out"
        )
    agent = config.make_agent(config.make_training_env(), device)
    with place.locked():
        if place.config.exists():
            raise RunError(f"another process has begun a run in {folder} just now; give another folder with --out")
        place.write_config(KIND, config.to_dict())
        return _learn(agent, config, place, progress_bar, verbose, tensorboard)


def resume(
    folder: str | Path,
    *,
    progress_bar: bool = True,
    verbose: int = 0,
    tensorboard: bool = False,
    device: str = "auto",
) -> Agent:
    """Go on with an interrupted run, to the same result as if it had not been interrupted.

    The device may be another than before; the result is then the same up to rounding.

    Raises:
        RunError: the folder holds no run, its settings were edited, or another process works in it; nothing is changed.
    """
    read_config(folder)
    with RunFolder(folder).locked():
        return resume_locked(folder, progress_bar, verbose, tensorboard, device)


def resume_locked(
    folder: str | Path,
    progress_bar: bool = False,
    verbose: int = 0,
    tensorboard: bool = False,
    device: str = "auto",
) -> Agent:
    """`resume` for a caller that has locked the folder."""
    place, config = RunFolder(folder), read_config(folder)
    try:
        env = config.make_training_env()
        if not place.checkpoint.exists():
            agent = config.make_agent(env, device)
        else:
            agent = _checked(config.agent_class.load(place.checkpoint, env, device=device), config, place)
    except (ValueError, RuntimeError, TypeError) as error:
        raise _explained(error, config, place) from error
    if agent.num_timesteps >= config.steps:
        return agent
    return _learn(agent, config, place, progress_bar, verbose, tensorboard)


def lengthen(folder: str | Path, steps: int) -> None:
    """Let a run have more steps, which `resume` then makes. What is annealed is annealed over all of them.

    Raises:
        RunError: it was to have more than that already.
    """
    config = read_config(folder)
    if steps < config.steps:
        raise RunError(f"{folder} is a run of {config.steps:,} steps; it can be lengthened, but not to {steps:,}")
    with RunFolder(folder).locked():
        RunFolder(folder).write_config(KIND, replace(config, steps=steps).to_dict())


def read_config(folder: str | Path) -> TrainConfig:
    """The settings of a run folder. Raises RunError if it is none, in one line that names the file and the setting."""
    place = RunFolder(folder)
    return TrainConfig.from_dict(place.read_config(KIND), str(place.config))


def load_run(folder: str | Path, best: bool = False, device: str = "auto") -> tuple[TrainConfig, Agent]:
    """Settings and trained agent of a run folder.

    Args:
        folder: of the run.
        best: the policy that was best on validation tasks in the course of training, instead of the final one.
        device: where it shall be, whatever it was trained on.

    Raises:
        RunError: there is none, or the settings are not those that it was trained with.
    """
    place, config = RunFolder(folder), read_config(folder)
    if best and not place.best.exists():
        raise RunError(f"{folder} has no best.pt; train a run with --eval-every, such as --eval-every 100000")
    if not place.checkpoint.exists():
        raise RunError(f"{folder} has no checkpoint yet; train it first with `metaenv resume {folder}`")
    file = place.best if best else place.checkpoint
    return config, _checked(config.agent_class.load(file, device=device), config, place)


def _checked(agent: Agent, config: TrainConfig, place: RunFolder) -> Agent:
    """The agent, if it was trained with these settings or is to be trained for more steps."""
    # A setting that is newer than the run had its default in it.
    run = TrainConfig.from_dict(agent.run, str(place.checkpoint)).to_dict() if agent.run else {}
    edited = differences(config.to_dict(), run) if run else {}
    if "steps" in edited and config.steps >= agent.num_timesteps and config.steps > agent.run["steps"]:
        del edited["steps"]
    if edited:
        raise RunError(
            f"{place.config} was edited: {told(edited)}, as checkpoint.pt was trained with; put it back, or train "
            "another run"
        )
    return agent


def _explained(error: Exception, config: TrainConfig, place: RunFolder) -> Exception:
    """The error of settings that do not make an environment or an agent that fits, with what was edited."""
    if isinstance(error, RunError):
        return error
    try:
        state = load_checkpoint(place.checkpoint, config.agent_class.checkpoint_kind)
        edited = differences(config.to_dict(), state["run"])
    except (OSError, ValueError, KeyError):
        edited = {}
    if edited:
        return RunError(f"{place.config} was edited: {told(edited)}, as checkpoint.pt was trained with; put it back")
    return error if place.checkpoint.exists() else RunError(f"{place.config}: {error}")


def _learn(
    agent: Agent, config: TrainConfig, place: RunFolder, progress_bar: bool, verbose: int, tensorboard: bool
) -> Agent:
    """Train to the end of the settings, in a folder that is locked."""
    agent.run = config.to_dict()
    writers: list[KVWriter] = [JsonLines(place, agent.num_timesteps)]
    if verbose:
        writers.append(HumanOutputFormat(sys.stdout))
    if tensorboard:
        writers.append(TensorBoardOutputFormat(str(place.path)))
    agent.set_logger(Logger(str(place.path), writers))
    saver = Saver(place, agent.save)
    steps, new = config.steps - agent.num_timesteps, agent.num_timesteps == 0
    with stops_raised(), closing(agent.logger):
        try:
            callbacks = [Checkpoints(saver), *_evaluations(config, place, agent.num_timesteps)]
            agent.learn(steps, callbacks, reset_num_timesteps=new, progress_bar=progress_bar)
        finally:
            saver.save()
    return agent


def _evaluations(config: TrainConfig, place: RunFolder, resumed_at: int) -> list[BaseCallback]:
    """The evaluations that the settings ask for, which go on from those in the log."""
    if not config.eval_every:
        return []
    trials = config.make_env(num_envs=min(config.eval_tasks, CHUNK), split=VALIDATION)
    tasks = first_tasks(trials.distribution.frozen(VALIDATION), config.eval_tasks)
    lines = [line for line in place.read_log(COUNTER) if "eval/score" in line and line[COUNTER] <= resumed_at]
    best = max([line["eval/score"] for line in lines], default=-np.inf)
    last = int(max([line["eval/timesteps"] for line in lines], default=0))
    return [EvaluationCallback(trials, tasks, config.eval_every, place.best, best_score=best, last=last)]


class Checkpoints(BaseCallback):
    """Save the agent at ends of iterations, when that is due."""

    def __init__(self, saver: Saver) -> None:
        super().__init__()
        self.saver = saver

    def _on_rollout_start(self) -> None:
        self.saver.save_if_due()

    def _on_step(self) -> bool:
        return True


class JsonLines(KVWriter):
    """The log of a run, as Stable-Baselines3's logger writes it."""

    def __init__(self, place: RunFolder, resumed_at: int) -> None:
        self._file = LogFile(place, COUNTER, resumed_at)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append one line."""
        self._file.write({k: v.item() if isinstance(v, np.generic) else v for k, v in key_values.items()})

    def close(self) -> None:
        """Close the file."""
        self._file.close()


__all__ = ["RunError", "TrainConfig", "load_run", "read_config", "replace", "resume", "train"]
