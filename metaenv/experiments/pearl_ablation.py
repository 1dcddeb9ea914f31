"""PEARL as its paper has it, and with each option by itself, on one family: which option is worth its complexity?

Complete runs are kept, so that the same command with ``--seeds`` one higher trains one more of each row, and writes the
table anew. The tasks are of the split "validation", because settings are chosen by this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metaenv.agents.exploration import Exploration
from metaenv.agents.pearl_config import PEARLConfig
from metaenv.errors import nearest
from metaenv.evaluation import evaluate
from metaenv.experiments.evaluate import save
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.settings import preset
from metaenv.experiments.trainings import Training
from metaenv.registry import parsed

PAPER = "PEARL as published"
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": (PAPER, {}),
    "sum": ("a network after a sum", {"belief": {"pooling": "sum"}}),
    "mean": ("z is the belief's mean", {"belief": {"sample": False}}),
    "each-step": ("z drawn at each step", {"exploration": {"resample_every": 1, "prior_episodes": 0}}),
    "trust": ("the belief from the first episode", {"exploration": {"prior_episodes": 0}}),
    "no-kl": ("no KL divergence", {"belief": {"kl_coef": 0.0}}),
    "its-kl": ("KL as in the paper's code, 1.6", {"belief": {"kl_coef": 1.6}}),
    "five-trials": ("contexts of five latest trials", {"context": {"latest_trials": 5}}),
    "long": ("contexts of half a trial and more", {"context": {"min_fraction": 0.5}}),
    "no-discount": ("no discount", {"gamma": 1.0}),
    "rewards": ("the encoder learns from rewards, too", {"belief": {"reward_coef": 10.0}}),
    "small-kl": ("a KL weight of 0.001", {"belief": {"kl_coef": 0.001}}),
    "entropy": ("an entropy weight of 0.02", {"ent_coef": 0.02}),
}
"""By the name of its folder: the row's title, and the settings in which it departs from the paper, by group."""


@dataclass(frozen=True)
class PEARLAblation(AgentExperiment):
    """PEARL as published and each of its options by itself, on validation tasks of one family."""

    name = "pearl-ablation"
    title = "PEARL's options, one by one"

    on: str = "MaterialsSynthesis"
    """Kept settings of PEARL, of which sizes, steps and learning rates are taken, and no help in training."""
    rows: tuple[str, ...] = ()
    """Which rows, by the names of their folders; all by default."""
    split: str = "validation"
    """Whose tasks are played."""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs/reproduce") / self.name / self.on

    def trainings(self) -> dict[str, Training]:
        for row in self.rows:
            if row not in OPTIONS:
                raise ValueError(f"no row {row!r}.{nearest(row, OPTIONS)}")
        base = preset(self.on, "pearl")
        base = replace(base, agent=published(base.agent), steps=self.steps or base.steps)
        chosen = {name: OPTIONS[name] for name in self.rows or OPTIONS}
        return {
            name: Training(title, replace(base, agent=departed(base.agent, changes)))
            for name, (title, changes) in chosen.items()
        }

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        config = next(iter(runs.values())).config
        evaluation = evaluate(
            final_policies(runs),
            config.env,
            self.split,
            self.tasks,
            episodes=config.episodes,
            **parsed(config.settings),
        )
        save(evaluation, self.folder)
        yield [
            f"{self.on}, {evaluation.n_tasks} tasks of the split {self.split}; 0 is random play and 1 the oracle.",
            "",
            evaluation.table("normalised"),
        ]


def published(config: PEARLConfig) -> PEARLConfig:
    """The settings without what departs from the paper: sizes, rates and the number of random trials are kept.

    The entropy's weight adapts to its target, as in the later paper on soft actor-critic (1812.05905).
    """
    kl = PEARLConfig().belief.kl_coef  # the default, whatever the kept settings have
    belief = replace(
        config.belief, pooling="product", sample=True, mixture=None, kl_coef=kl, kl_coef_final=None, reward_coef=0.0
    )
    context = replace(config.context, episode_ends=False, latest_trials=1, min_fraction=0.0)
    return replace(
        config,
        belief=belief,
        context=context,
        exploration=Exploration(random_trials=config.exploration.random_trials),
        teacher=None,
        task_prediction=None,
        critic_reward=None,
        ent_coef=None,
    )


def departed(config: PEARLConfig, changes: dict[str, Any]) -> PEARLConfig:
    """The settings with others, by name, where those of a group are a dictionary."""
    new = {k: replace(getattr(config, k), **v) if isinstance(v, dict) else v for k, v in changes.items()}
    return replace(config, **new)
