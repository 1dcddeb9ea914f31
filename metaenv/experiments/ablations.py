"""RL² with other memories, hypernetwork heads, an inferred belief, or help: short trainings on three families."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.rl2_config import RL2Config, VariationalBelief
from metaenv.evaluation import CHUNK, first_tasks
from metaenv.experiments.comparison import RESAMPLES
from metaenv.experiments.runner import AgentExperiment
from metaenv.experiments.settings import preset
from metaenv.experiments.trainings import RL2_TITLE, Training
from metaenv.markdown import interval_cell, table
from metaenv.policies import play_trials
from metaenv.runs.training import VALIDATION, TrainConfig
from metaenv.stats import bootstrap_interval, paired_difference
from metaenv.typing import Floats

Family = Literal["materials", "gridnavi", "bandit"]
Variant = Literal[
    "lstm", "gru", "attention", "no-memory", "hypernetwork", "belief", "varibad", "told", "teacher", "imitation"
]
LATENT_SIZE = 8  # chosen
DRAWN_TASKS = 500  # validation tasks, of which the frozen list of chemical systems has but 50 (chosen)
BASE: Variant = "lstm"

TITLES: dict[Variant, str] = {
    "lstm": "LSTM",
    "gru": "GRU",
    "attention": "attention",
    "no-memory": "no memory",
    "hypernetwork": "LSTM, hypernetwork heads",
    "belief": "LSTM and belief",
    "varibad": "belief alone (VariBAD)",
    "told": "LSTM, told the task in training",
    "teacher": "LSTM and a teacher",
    "imitation": "LSTM, imitation only",
}
TEACHERS: dict[Family, str] = {"gridnavi": "Bayes-optimal", "bandit": "Gittins index"}
"""The strongest baselines; those of chemical systems have continuous actions, which nobody can teach."""
PREDICTION = TaskPrediction(1.0, feed_to_policy=True)
ALWAYS = 1e9
"""A fraction of the training over which a teacher's help falls hardly at all."""


def _belief(agent: RL2Config) -> RL2Config:
    return replace(agent, belief=VariationalBelief(LATENT_SIZE))


def _taught(family: Family, **how: float) -> Callable[[RL2Config], RL2Config]:
    return lambda agent: replace(agent, teacher=Teacher(TEACHERS[family], **how))


CHANGES: dict[Variant, Callable[[RL2Config], RL2Config]] = {
    "lstm": lambda agent: replace(agent, network=replace(agent.network, cell="lstm")),
    "gru": lambda agent: replace(agent, network=replace(agent.network, cell="gru")),
    "attention": lambda agent: replace(agent, network=replace(agent.network, cell="attention")),
    "no-memory": lambda agent: replace(agent, network=replace(agent.network, recurrent=False)),
    "hypernetwork": lambda agent: replace(agent, network=replace(agent.network, heads="hypernetwork")),
    "belief": _belief,
    "varibad": lambda agent: _belief(replace(agent, network=replace(agent.network, recurrent=False))),
    "told": lambda agent: replace(agent, task_prediction=PREDICTION),
}
"""Those that need no teacher."""


def changes(family: Family) -> dict[Variant, Callable[[RL2Config], RL2Config]]:
    """What each variant changes of the settings of the LSTM.

    The prediction of the true task is learned in training, and fed to policy and value; the teacher's help falls over
    half of the training; in imitation only, it plays all trials, so that PPO has nothing to learn from.
    """
    if family not in TEACHERS:
        return CHANGES
    taught: dict[Variant, Callable[[RL2Config], RL2Config]] = {
        "teacher": _taught(family),
        "imitation": _taught(family, anneal_fraction=ALWAYS, rollout_fraction=1.0),
    }
    return {**CHANGES, **taught}


def base(family: Family) -> TrainConfig:
    """The settings of RL² with an LSTM: those that are kept for the family, with fewer steps and without a teacher."""
    if family == "materials":
        return replace(preset("MaterialsSynthesis"), steps=640_000)
    if family == "gridnavi":
        return replace(preset("GridNavi"), steps=2_000_000)
    config = preset("bandit-100-5-taught")
    network = replace(config.agent.network, hidden_size=64)
    agent = replace(config.agent, teacher=None, n_minibatches=4, network=network)
    return replace(config, steps=2_000_000, num_envs=256, episodes=30, agent=agent)


@dataclass(frozen=True)
class Ablations(AgentExperiment):
    """RL²'s parts one by one, on validation tasks: memory cells, hypernetwork heads, an inferred belief, help.

    Trainings are short, a few minutes each, and have the same steps; what a variant costs in minutes stands beside its
    score. Nobody is taught or told the task but in the rows that say so. The validation tasks are drawn, 500 by
    default; GridNavi has 21 goals and no others.
    """

    name = "ablations"
    title = "Parts of RL² one by one, on validation tasks"

    seeds: int = 1
    families: tuple[Family, ...] = ("materials", "gridnavi", "bandit")
    """Chemical systems (MaterialsSynthesis); GridNavi; 30 pulls of 5 arms."""
    variants: tuple[Variant, ...] = tuple(TITLES)
    """The memory is an LSTM, torch's GRU, attention, or none; weights of the heads made by the LSTM; a variational
    belief beside the LSTM, and as the only memory; the LSTM learns to predict the true task, has a teacher, or does
    nothing but imitate one (the latter two not on chemical systems)."""

    def trainings(self) -> dict[str, Training]:
        found: dict[str, Training] = {}
        for family in self.families:
            config = base(family)
            config = replace(config, steps=self.steps) if self.steps else config
            for variant, change in changes(family).items():
                if variant not in (BASE, *self.variants):
                    continue
                agent = change(config.agent)
                title = f"{RL2_TITLE} on {config.env}: {TITLES[variant]}"
                found[f"{family}-{variant}"] = Training(title, replace(config, agent=agent))
        return found

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        for family in self.families:
            yield self._section(family, {v: runs[f"{family}-{v}"] for v in TITLES if f"{family}-{v}" in runs})

    def _section(self, family: Family, runs: dict[Variant, Training]) -> list[str]:
        returns = {variant: self._returns(training) for variant, training in runs.items()}
        rows: list[list[str]] = []
        for variant, training in runs.items():
            minutes = [seconds / 60 for seconds in training.seconds()]
            rng = np.random.default_rng(0)
            lead = paired_difference(returns[variant], returns[BASE], rng=rng, n_resamples=RESAMPLES)
            rows.append(
                [
                    TITLES[variant],
                    str(len(training.folders)),
                    f"{training.config.steps:,}",
                    f"{np.mean(minutes):.1f}",
                    interval_cell(bootstrap_interval(returns[variant], rng=rng, n_resamples=RESAMPLES)),
                    "" if variant == BASE else interval_cell(lead),
                    ", ".join(f"{value:.2f}" for value in returns[variant].mean(axis=1)),
                ]
            )
        config = runs[BASE].config
        head = ["memory", "runs", "steps", "minutes per run", "return", f"minus {TITLES[BASE]}", "each run"]
        n = returns[BASE].shape[1]
        return [
            f"## {config.env}",
            "",
            f"Return of a trial, mean over {n} tasks of the split {VALIDATION!r}, with 95 % interval. Final "
            "policies take their most likely actions. Differences are paired by task. Intervals of one run are over "
            "tasks only.",
            "",
            *table(head, rows, text=(0, 6)),
        ]

    def _returns(self, training: Training) -> Floats:
        """(seeds, tasks) the return of a trial of each validation task."""
        trials = training.config.make_env(num_envs=CHUNK, split=VALIDATION)
        family = trials.distribution
        if family.closed:
            tasks = first_tasks(family.frozen(VALIDATION), self.tasks).tasks
        else:
            tasks = family.sample(self.tasks or DRAWN_TASKS, VALIDATION, np.random.default_rng(1))
        return np.stack([play_trials(policy, trials, tasks).readings.sum(axis=1) for policy in training.policies()])
