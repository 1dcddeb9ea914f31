"""Training on a GPU beside the CPU: where the time goes, updates per second, and a whole training to a target score.

Environments are played on the CPU in any case, so that their share of the time says what a GPU can gain at most. The
seconds of a whole training leave out its evaluations. Without a GPU the CPU's column is measured alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from metaenv.agents.base import Agent
from metaenv.devices import device_name, resolve_device
from metaenv.evaluation import CHUNK, first_tasks, recommended
from metaenv.experiments.settings import SETTINGS
from metaenv.policies import AgentPolicy, play_trials
from metaenv.runs.settings import TrainConfig

PARTS = (
    "MaterialsSynthesis", "materials-recipe-short", "TargetSelection", "MoleculeDesign", "MaterialsSynthesis-pearl",
)  # fmt: skip
"""Kept settings whose time is divided."""
SECONDS = 20.0  # of each measurement (chosen)
TARGET = ("materials-recipe-short", 0.90)
"""Kept settings, and the fraction of the oracle's score after the last experiment, on validation, to train to."""
EVERY = 50_000  # steps between evaluations on the way there (chosen)
TASKS = 100  # of an evaluation (chosen)


@dataclass(frozen=True)
class Parts:
    """Where the time of a training goes; the parts add up to 1."""

    environment: float
    update: float
    acting: float
    updates_per_second: float
    """Gradient steps per second of all networks, while updating."""
    steps_per_second: float
    """Environment steps per second of the whole training."""


class _Clock:
    """Seconds spent in functions, and how often they were called."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    @contextmanager
    def running(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds, self.calls = self.seconds + time.perf_counter() - start, self.calls + 1

    def on(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            with self.running():
                return function(*given, **named)

        return timed


def parts(config: TrainConfig, device: str, seconds: float = SECONDS) -> Parts:
    """Train for about so many seconds, after an iteration to warm up."""
    env = config.make_env()
    agent: Any = config.make_agent(env, device)
    agent.learn(1)
    while getattr(agent, "_training", None) is not None and agent._training.warm_up:  # PEARL plays at random first
        agent.learn(1, reset_num_timesteps=False)
    environments, updates, steps = _Clock(), _Clock(), agent.num_timesteps
    env.step, env.reset = environments.on(env.step), environments.on(env.reset)
    agent._update = updates.on(agent._update)  # it ends with numbers on the CPU, so that a GPU is done by then
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        agent.learn(1, reset_num_timesteps=False)
    gradient_steps = getattr(config.agent, "gradient_steps", 0) or config.agent.n_epochs * config.agent.n_minibatches
    return Parts(
        environments.seconds / elapsed,
        updates.seconds / elapsed,
        1 - (environments.seconds + updates.seconds) / elapsed,
        updates.calls * gradient_steps / updates.seconds,
        (agent.num_timesteps - steps) / elapsed,
    )


class _Until(BaseCallback):
    """End a training as soon as its policy reaches a fraction of the oracle's score on validation tasks."""

    def __init__(self, config: TrainConfig, target: float) -> None:
        super().__init__()
        self.trials = config.make_env(num_envs=min(TASKS, CHUNK), split="validation")
        self.tasks = first_tasks(self.trials.distribution.frozen("validation"), TASKS)
        self.target, self.next, self.score, self.evaluating = target, EVERY, -np.inf, _Clock()

    @property
    def agent(self) -> Agent:
        return self.model  # type: ignore[return-value]

    def _on_rollout_start(self) -> None:
        if self.agent.num_timesteps < self.next:
            return
        self.next += EVERY
        with self.evaluating.running():
            record = play_trials(AgentPolicy(self.agent), self.trials, self.tasks.tasks)
        last = recommended(record, [self.trials.episodes], self.trials.trial_state.objective)
        self.score = float(last.mean() / self.tasks.reference.oracle.mean())

    def _on_step(self) -> bool:
        return self.score < self.target


def to_target(config: TrainConfig, target: float, device: str) -> tuple[float, int, float]:
    """Seconds without evaluations, environment steps, and the score at the end: the target, unless it was missed."""
    agent, until = config.make_agent(config.make_env(), device), _Until(config, target)
    start = time.perf_counter()
    agent.learn(config.steps, callback=until)
    return time.perf_counter() - start - until.evaluating.seconds, agent.num_timesteps, until.score


def run(seconds: float = SECONDS) -> dict[str, float]:
    """Measure and print; returns steps per second, and seconds to the target, by settings and device."""
    import torch

    torch.set_num_threads(1)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    card = device_name(resolve_device("cuda")) if len(devices) > 1 else "none: torch finds no CUDA device"
    print(f"torch {torch.__version__}, one thread; GPU: {card}\n")
    row = "{:<26}{:<8}{:>12}{:>9}{:>8}{:>11}{:>10}"
    print(row.format("settings", "device", "environment", "update", "acting", "updates/s", "steps/s"))
    found: dict[str, float] = {}
    for name in PARTS:
        for device in devices:
            part = parts(SETTINGS[name], device, seconds)
            shares = [f"{share:.0%}" for share in (part.environment, part.update, part.acting)]
            print(row.format(name, device, *shares, f"{part.updates_per_second:.1f}", f"{part.steps_per_second:.0f}"))
            found[f"{name}, {device}"] = part.steps_per_second
    name, target = TARGET
    print(f"\n{name}, seed 0, to {target} of the oracle's score on {TASKS} validation tasks")
    for device in devices:
        spent, steps, score = to_target(replace(SETTINGS[name], seed=0), target, device)
        reached = "" if score >= target else f", not reached: {score:.3f}"
        print(f"{device:<8}{spent:8.1f} s{steps:12,d} steps{reached}", flush=True)
        found[f"{name} to {target}, {device}"] = spent
    return found
