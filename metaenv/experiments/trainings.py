"""The training runs of an experiment: which settings, where they lie, and what a reader must know about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.rl2_config import RL2Config
from metaenv.limits import COUNT, check
from metaenv.markdown import table
from metaenv.policies import AgentPolicy
from metaenv.runs.parallel import Engine
from metaenv.runs.sets import is_complete, members, seconds_spent, train_set
from metaenv.runs.training import TrainConfig, load_run

RL2_TITLE, PEARL_TITLE = "RL²", "PEARL"
TAUGHT_TITLE, TAUGHT = f"{RL2_TITLE}, taught", "-taught"  # the ending of settings and folders with a teacher
TO_THE_END = 100.0
"""A teacher whose help would take more than so many trainings to fade is there from the beginning to the end."""


@dataclass(frozen=True)
class Training:
    """One kind of run: the same settings with several seeds."""

    title: str
    """Name of the row in tables."""
    config: TrainConfig
    """Settings of each run but its seed."""
    control_of: str | None = None
    """Key of the training to which this one is a control."""
    seeds: int | None = None
    """Number of runs; that of the experiment if None."""
    folders: Sequence[Path] = ()
    """The run folders, one per seed, once they are trained."""

    def policies(self, deterministic: bool = True, cut_memory: bool = False, **options: Any) -> list[AgentPolicy]:
        """The final policies, one per seed; see `AgentPolicy`. ``options`` are of their trials."""
        loaded = [load_run(folder) for folder in self.folders]
        return [AgentPolicy(agent, deterministic, cut_memory, {**c.trial_options(), **options}) for c, agent in loaded]

    def seconds(self) -> list[float]:
        """Seconds of training per seed."""
        return [seconds_spent(folder) for folder in self.folders]


Trainings = Mapping[str, Training]
"""By key, the name of their folder."""


def train(trainings: Trainings, seeds: int, out: Path, engine: Engine, workers: int) -> dict[str, Training]:
    """Train what is not trained yet, with ``seeds`` runs each where a training does not say otherwise.

    Returns:
        The trainings with their folders, ``out/KEY/seed-S``.

    Raises:
        ValueError: fewer than one seed.
    """
    check("seeds", seeds, COUNT)  # each row of the table needs a training run
    folders: dict[str, list[Path]] = {}
    for count in dict.fromkeys(training.seeds or seeds for training in trainings.values()):
        some = {key: t.config for key, t in trainings.items() if (t.seeds or seeds) == count}
        folders |= train_set(some, count, out, engine, workers)
    return {key: replace(training, folders=folders[key]) for key, training in trainings.items()}


def finished(title: str, where: Path) -> Training | None:
    """The complete runs ``where/seed-*`` of an earlier call or another experiment; None if there are none."""
    folders = [folder for folder in members(where) if is_complete(folder)]
    return Training(title, load_run(folders[0])[0], folders=folders) if folders else None


# ------------------------------------------------------------- what a reader must know


def description(config: TrainConfig) -> dict[str, str]:
    """Memory, observation and every privilege of a training, derived from its settings."""
    agent = config.agent
    observes = "the whole trial"
    if config.hide_history:
        observes = "the current step only"
    elif config.shows != "trial":
        observes = "the present episode" if config.shows == "episode" else "the trial's first observation only"
    if config.observe_task:
        observes += ", and the true task"
    dense = agent.critic_reward if isinstance(agent, PEARLConfig) else None
    return {
        "memory": _memory(agent),
        "observes": observes,
        "teacher": _teacher(agent),
        "predicts the task": _task_prediction(agent),
        "critics' reward": f"dense: `{dense}`" if dense else "the environment's",
    }


def _memory(agent: RL2Config | PEARLConfig) -> str:
    if isinstance(agent, RL2Config):
        network = agent.network
        parts = [f"{network.cell} of {network.hidden_size} units"] if network.recurrent else []
        if network.heads == "hypernetwork":
            parts.append("hypernetwork heads")
        if agent.belief is not None:
            parts.append(f"inferred belief over {agent.belief.latent_size} numbers")
        return ", ".join(parts) or "none"
    belief = agent.belief
    text = f"belief over {belief.latent_size} numbers"
    if not belief.sample:
        text += ", its mean without sampling"
    return text if belief.kl_coef else f"{text}, no KL term"


def _teacher(agent: RL2Config | PEARLConfig) -> str:
    teacher = agent.teacher
    if teacher is None:
        return "none"
    plays, fraction = teacher.rollout_fraction, teacher.anneal_fraction
    if fraction > TO_THE_END:
        return f"{teacher.name} as a teacher to the end" + (
            f", playing {100 * plays:.0f} % of the trials" if plays else ""
        )
    text = f"{teacher.name} as a fading teacher in the first {100 * fraction:.0f} % of the training"
    return text + (f", playing {100 * plays:.0f} % of the trials at first" if plays else "")


def _task_prediction(agent: RL2Config | PEARLConfig) -> str:
    if agent.task_prediction is None:
        return "no"
    return "in training, and acts on its prediction" if agent.task_prediction.feed_to_policy else "in training"


def training_section(runs: Trainings) -> list[str]:
    """How every row was trained, as a section of Markdown; nothing where nothing was."""
    if not runs:
        return []
    head = ["trained", "runs", "steps per run", "minutes per run", *description(next(iter(runs.values())).config)]
    rows = [
        [r.title, str(len(r.folders)), f"{r.config.steps:,}", _minutes(r), *description(r.config).values()]
        for r in runs.values()
    ]
    remarks = [f"- {r.title}: {remark}" for r in runs.values() for remark in _remarks(r.config.agent)]
    lines = [
        "## How the agents were trained",
        "",
        "A run takes one core. Teachers, predictions of the hidden task and dense rewards help in training "
        "only. In the evaluation no agent has them; an agent that has learned to predict the task may act on its own "
        "prediction.",
        "",
        *table(head, rows, text=(0, 4, 5, 6, 7, 8)),
    ]
    if once := [r.title for r in runs.values() if len(r.folders) == 1]:
        remarks.append(f"- One training seed: {', '.join(once)}. These rows have intervals over tasks only.")
    return [*lines, "", *remarks] if remarks else lines


def _remarks(agent: RL2Config | PEARLConfig) -> list[str]:
    """What else differs from the published algorithm."""
    found: list[str] = []
    if not isinstance(agent, PEARLConfig):
        return found
    if mixture := agent.belief.mixture:
        found.append(
            "unlike in the paper, encoder, critics and actor learned with what is known of a task in hindsight, and "
            f"acting draws z from a mixture of {mixture.n_mixture_components} Gaussians that learned to predict it."
        )
    if agent.exploration.resample_every and agent.belief.sample:
        found.append(f"it draws z anew every {agent.exploration.resample_every} steps of an episode.")
    return found


def control_lines(runs: Trainings) -> list[str]:
    """A line for each control: everything in which its training differs from that of the agent."""
    lines: list[str] = []
    for control in runs.values():
        agent = runs.get(control.control_of or "")
        if agent is None:
            continue
        mine, theirs = _facts(control), _facts(agent)
        differences = [f"{name}: {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]
        lines.append(
            f"- {control.title} is a control of {agent.title}. Its training differs in {'; '.join(differences)}."
        )
    return lines


def _facts(training: Training) -> dict[str, str]:
    return {
        "runs": str(len(training.folders)),
        "steps per run": f"{training.config.steps:,}",
        **description(training.config),
    }


def _minutes(training: Training) -> str:
    """Minutes of training per run, from the fastest to the slowest run."""
    spent = training.seconds()
    return "–".join(dict.fromkeys(f"{seconds / 60:.1f}" for seconds in (min(spent), max(spent))))
