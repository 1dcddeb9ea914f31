"""A training run and its folder: settings in, checkpoint and log out, resumable at any time.

A run folder holds ``config.json`` (all settings and package versions), ``checkpoint.pt`` (written every
``CHECKPOINT_SECONDS`` and at the end), ``log.jsonl`` (a line an iteration) and what evaluations add to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import tyro
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, TensorBoardOutputFormat

from metaenv.agents.base import Agent
from metaenv.agents.config import settings_from_dict
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import RL2Config
from metaenv.errors import nearest
from metaenv.evaluation import package_versions, write_text
from metaenv.trial import VectorTrial, make_trials

A = TypeVar("A", bound=Agent)
CHECKPOINT_SECONDS = 20.0  # chosen: what an interruption without warning may cost


AgentConfig = RL2Config | PEARLConfig
AGENTS: dict[str, tuple[type[RL2] | type[PEARL], type[AgentConfig]]] = {
    "rl2": (RL2, RL2Config),
    "pearl": (PEARL, PEARLConfig),
}
TITLES = {"rl2": "RL²", "pearl": "PEARL"}


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run of an agent."""

    env: Annotated[str, tyro.conf.Suppress] = "MaterialsSynthesis-v0"
    """Name of the environment; `metaenv envs` lists them."""
    steps: int = 1_000_000
    """Environment steps to train for, counted over all sub-environments."""
    num_envs: int = 1024
    """Trials played at once."""
    seed: int = 0
    """Of weights, actions, tasks and noise."""
    episodes: int | None = None
    """Episodes of a trial; the environment's own number by default."""
    hide_history: bool = False
    """Hide what the trial remembers: the control that cannot adapt."""
    observe_task: bool = False
    """Show the true task: the oracle-conditioned ceiling, no meta-learner."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the environment as pairs, for example `--settings variant full noise 2`."""
    agent: tyro.conf.AvoidSubcommands[AgentConfig] = field(default_factory=RL2Config)
    """Settings of the agent; their type says which."""

    @property
    def algorithm(self) -> str:
        """Name of the agent: "rl2" or "pearl"."""
        return next(name for name, (_, settings) in AGENTS.items() if isinstance(self.agent, settings))

    @property
    def title(self) -> str:
        """The agent's name in tables."""
        return TITLES[self.algorithm]

    def make_agent(self, env: VectorTrial) -> RL2 | PEARL:
        """A new agent for the training trials."""
        if isinstance(self.agent, PEARLConfig):
            return PEARL(env, self.agent, seed=self.seed)
        return RL2(env, self.agent, seed=self.seed)

    def make_env(self, **overrides: Any) -> VectorTrial:
        """The training trials."""
        given: dict[str, Any] = {**parsed(self.settings), **overrides}
        return make_trials(
            self.env,
            given.pop("num_envs", self.num_envs),
            self.episodes,
            **self.trial_options(),
            **given,
        )

    def trial_options(self) -> dict[str, bool]:
        """How the agent's trials differ from those of the baselines."""
        return {"hide_history": self.hide_history, "observe_task": self.observe_task}

    def to_json(self) -> str:
        """The settings, with the versions of the packages that will use them."""
        return (
            json.dumps({"algorithm": self.algorithm, **asdict(self), "versions": package_versions()}, indent=1) + "\n"
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """The settings that `to_json` wrote. Raises RunError for unknown ones."""
        given = {k: v for k, v in values.items() if k not in ("versions", "algorithm")}
        algorithm = values.get("algorithm", "rl2")
        if algorithm not in AGENTS:
            raise RunError(f"no agent {algorithm!r}.{nearest(algorithm, AGENTS)}")
        known = {f.name for f in fields(cls)}
        for name in given.keys() - known:
            raise RunError(f"{cls.__name__} has no setting {name!r}.{nearest(name, known)}")
        try:
            agent = settings_from_dict(AGENTS[algorithm][1], given.pop("agent", {}))
        except ValueError as error:
            raise RunError(str(error)) from error
        return cls(**given, agent=agent)


def parsed(settings: Mapping[str, str]) -> dict[str, Any]:
    """Settings typed on a command line: ``2`` is a number, ``true`` a truth value, the rest text."""

    def value(text: Any) -> Any:
        try:
            return json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError:
            return text

    return {name.replace("-", "_"): value(text) for name, text in settings.items()}


def train(
    config: TrainConfig, folder: str | Path, *, progress_bar: bool = True, verbose: int = 0, tensorboard: bool = False
) -> RL2 | PEARL:
    """Train in a new run folder.

    Raises:
        RunError: the folder already holds a run.
        KeyboardInterrupt: passed on after the checkpoint was written; `resume` goes on from it.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise RunError(
            f"{folder} exists and is not empty; go on with `metaenv resume {folder}`, or give another folder with --out"
        )
    env = config.make_env()
    write_text(folder / "config.json", config.to_json())
    agent = config.make_agent(env)
    return _learn(agent, config.steps, folder, True, progress_bar, verbose, tensorboard)


def resume(
    folder: str | Path, *, progress_bar: bool = True, verbose: int = 0, tensorboard: bool = False
) -> RL2 | PEARL:
    """Go on with an interrupted run, to the same result as if it had not been interrupted.

    Raises:
        RunError: the folder holds no run; nothing is changed.
    """
    folder = Path(folder)
    config = read_config(folder)
    env = config.make_env()
    if not (folder / "checkpoint.pt").exists():
        agent = config.make_agent(env)
        return _learn(agent, config.steps, folder, True, progress_bar, verbose, tensorboard)
    agent = AGENTS[config.algorithm][0].load(folder / "checkpoint.pt", env)
    if agent.remaining_timesteps == 0:
        return agent
    return _learn(agent, agent.remaining_timesteps, folder, False, progress_bar, verbose, tensorboard)


def read_config(folder: str | Path) -> TrainConfig:
    """The settings of a run folder. Raises RunError if it is none."""
    path = Path(folder) / "config.json"
    if not path.exists():
        raise RunError(f"expected a run folder with a config.json, found none in {folder}; `metaenv train` makes one")
    try:
        return TrainConfig.from_dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, TypeError) as error:
        raise RunError(f"{path} is not a run's settings ({error}); was it edited?") from error


def load_run(folder: str | Path) -> tuple[TrainConfig, RL2 | PEARL]:
    """Settings and trained agent of a run folder."""
    config = read_config(folder)
    path = Path(folder) / "checkpoint.pt"
    if not path.exists():
        raise RunError(f"{folder} has no checkpoint yet; train it first with `metaenv resume {folder}`")
    return config, AGENTS[config.algorithm][0].load(path)


def _learn(agent: A, steps: int, folder: Path, reset: bool, progress_bar: bool, verbose: int, tensorboard: bool) -> A:
    writers: list[KVWriter] = [JsonLines(folder / "log.jsonl", agent.num_timesteps)]
    if verbose:
        import sys

        writers.append(HumanOutputFormat(sys.stdout))
    if tensorboard:
        writers.append(TensorBoardOutputFormat(str(folder)))
    agent.set_logger(Logger(str(folder), writers))
    path = folder / "checkpoint.pt"
    try:
        agent.learn(steps, Checkpoints(path), reset_num_timesteps=reset, progress_bar=progress_bar)
    finally:
        agent.save(path)
        agent.logger.close()
    return agent


class Checkpoints(BaseCallback):
    """Save the agent at ends of iterations, at most every `CHECKPOINT_SECONDS`, and for at most 2 % of the time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._saved = time.monotonic()
        self._pause = CHECKPOINT_SECONDS

    def _on_rollout_start(self) -> None:
        start = time.monotonic()
        if start - self._saved > self._pause:
            self.model.save(self.path)
            self._saved = time.monotonic()
            self._pause = max(CHECKPOINT_SECONDS, 50 * (self._saved - start))

    def _on_step(self) -> bool:
        return True


class JsonLines(KVWriter):
    """A JSON object a line; after a resume, lines later than the checkpoint are dropped before going on."""

    def __init__(self, path: Path, resumed_at: int) -> None:
        kept = _lines_until(path, resumed_at) if resumed_at and path.exists() else []
        write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append one line."""
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in key_values.items()}
        self._file.write(json.dumps(plain) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lines_until(path: Path, step: int) -> list[str]:
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["time/total_timesteps"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):  # a line cut short by a kill
            continue
    return kept


__all__ = ["RunError", "TrainConfig", "load_run", "read_config", "replace", "resume", "train"]
