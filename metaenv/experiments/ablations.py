"""RL² with other memories, with hypernetwork heads and with an inferred belief: short trainings on three families."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

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
Variant = Literal["lstm", "gru", "attention", "no-memory", "hypernetwork", "belief", "varibad"]
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
}


def _belief(agent: RL2Config) -> RL2Config:
    return replace(agent, belief=VariationalBelief(LATENT_SIZE))


CHANGES: dict[Variant, Callable[[RL2Config], RL2Config]] = {
    "lstm": lambda agent: replace(agent, network=replace(agent.network, cell="lstm")),
    "gru": lambda agent: replace(agent, network=replace(agent.network, cell="gru")),
    "attention": lambda agent: replace(agent, network=replace(agent.network, cell="attention")),
    "no-memory": lambda agent: replace(agent, network=replace(agent.network, recurrent=False)),
    "hypernetwork": lambda agent: replace(agent, network=replace(agent.network, heads="hypernetwork")),
    "belief": _belief,
    "varibad": lambda agent: _belief(replace(agent, network=replace(agent.network, recurrent=False))),
}
"""What each variant changes of the settings of the LSTM."""


def base(family: Family) -> TrainConfig:
    """The settings of RL² with an LSTM: those that are kept for the family, with fewer steps and without a teacher."""
    if family == "materials":
        return replace(preset("MaterialsSynthesis"), steps=640_000)
    if family == "gridnavi":
        return replace(preset("GridNavi"), steps=2_000_000)
    config = preset("bandit-100-5")
    network = replace(config.agent.network, hidden_size=64)
    agent = replace(config.agent, teacher=None, n_minibatches=4, network=network)
    return replace(config, steps=2_000_000, num_envs=256, episodes=30, agent=agent)


@dataclass(frozen=True)
class Ablations(AgentExperiment):
    """RL²'s parts one by one, on validation tasks: memory cells, hypernetwork heads, a belief that is inferred.

    Trainings are short, a few minutes each, and have the same steps; what a variant costs in minutes stands beside its
    score. Nobody is taught or told the task. The validation tasks are drawn, 500 by default; GridNavi has 21 goals and
    no others.
    """

    name = "ablations"
    title = "Parts of RL² one by one, on validation tasks"

    seeds: int = 1
    families: tuple[Family, ...] = ("materials", "gridnavi", "bandit")
    """Chemical systems (MaterialsSynthesis); GridNavi; 30 pulls of 5 arms."""
    variants: tuple[Variant, ...] = ("lstm", "gru", "attention", "no-memory", "hypernetwork", "belief", "varibad")
    """The memory is an LSTM, torch's GRU, attention, or none; weights of the heads made by the LSTM; a variational
    belief beside the LSTM, and as the only memory."""

    def trainings(self) -> dict[str, Training]:
        found: dict[str, Training] = {}
        for family in self.families:
            config = base(family)
            config = replace(config, steps=self.steps) if self.steps else config
            for variant in dict.fromkeys((BASE, *self.variants)):
                agent = CHANGES[variant](config.agent)
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
