"""What all published tables share: their options, and the order of train, play, tabulate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from metaenv.agents.pearl import PEARL
from metaenv.evaluation import SHOTS, Evaluation, write_text
from metaenv.experiments.belief_figures import write_pictures
from metaenv.experiments.equal_minutes import equal_minutes_section
from metaenv.experiments.evaluate import compare, drawn
from metaenv.experiments.settings import preset
from metaenv.experiments.trainings import Training, Trainings, control_lines, train, training_section
from metaenv.policies import Policy
from metaenv.registry import parsed
from metaenv.runs.parallel import Engine
from metaenv.runs.training import TrainConfig, load_run

Policies = Mapping[str, Policy | Sequence[Policy]]
"""Policies by name; a sequence is one method that was trained with several seeds."""


@dataclass(frozen=True)
class Experiment(ABC):
    """A published table. The fields are its options on the command line."""

    name: ClassVar[str]
    """Of the command `metaenv reproduce NAME`."""
    title: ClassVar[str]
    """Heading of the table."""

    out: Path | None = None
    """Folder of the runs and tables; runs/reproduce/NAME by default."""
    seeds: int = 3
    """Number of training runs of each kind."""

    @property
    def folder(self) -> Path:
        """Of the runs and tables."""
        return self.out or Path("runs/reproduce") / self.name

    @abstractmethod
    def run(self) -> None:
        """Train, play, and write the table; what is complete in the folder is not done again."""

    def finish(self, lines: Sequence[str]) -> None:
        """Write the whole table and print it."""
        path = self.write(lines)
        print("\n".join(lines).rstrip())
        print(f"\nWritten: {path}. The other results lie beside it.")

    def write(self, lines: Sequence[str]) -> Path:
        """Write the table as far as it is known."""
        return write_text(self.folder / "table.md", "\n".join(lines).rstrip() + "\n")


@dataclass(frozen=True)
class AgentExperiment(Experiment):
    """A table of reinforcement learners: which runs, which policies beside them, and which sections."""

    tasks: int | None = None
    """Number of tasks to play, from the start of each frozen list; all by default."""
    steps: int | None = None
    """Environment steps of each training run; by default those of its settings."""
    engine: Engine = "local"
    """Where runs are trained: in local processes or on a Ray cluster."""
    workers: int = 1
    """Number of local processes that train at the same time."""

    @abstractmethod
    def trainings(self) -> dict[str, Training]:
        """What to train, by the name of its folder."""

    @abstractmethod
    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        """Play, and yield the sections of the table in Markdown, one after the other."""

    def beside(self) -> dict[str, Training | None]:
        """Complete runs that are shown although this call may not have trained them."""
        return {}

    def run(self) -> None:
        runs = train(self.trainings(), self.seeds, self.folder, self.engine, self.workers)
        runs |= {key: found for key, found in self.beside().items() if found is not None}
        lines = [f"# {self.title}", ""]
        if controls := control_lines(runs):
            lines += [*controls, ""]
        end = training_section(runs)
        if equal := equal_minutes_section(runs):
            end += ["", *equal]
        for section in self.sections(runs):
            lines += [*section, ""]
            self.write([*lines, *end])
        self.finish([*lines, *end])

    def settings(self, name: str, algorithm: str = "rl2") -> TrainConfig:
        """The settings of a published run, of as many steps as the options ask for; see `preset`."""
        config = preset(name, algorithm)
        return replace(config, steps=self.steps) if self.steps else config

    def compare(
        self,
        config: TrainConfig,
        policies: Policies,
        split: str,
        bayesopt: bool = False,
        shots: Sequence[int] = SHOTS,
        without: Collection[str] = (),
    ) -> Evaluation:
        """Evaluate policies and the baselines of their environment on a frozen list; see `evaluate.compare`."""
        given = parsed(config.settings)
        return compare(config, dict(policies), split, self.tasks, 0, bayesopt, given, shots=shots, without=without)

    def draw_beliefs(self, training: Training) -> None:
        """Draw what the first of the runs believes in the course of a trial."""
        config, agent = load_run(training.folders[0])
        if isinstance(agent, PEARL):
            drawn(lambda: write_pictures(config, agent, self.folder))


def final_policies(runs: Trainings) -> dict[str, Policy | Sequence[Policy]]:
    """The final policies of all runs, by their names in tables."""
    return {group.title: group.policies() for group in runs.values()}
