"""MaterialsSynthesis in its variants of one material: choose a recipe, make the material, see what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.layout import Block, ObservationLayout
from metaenv.limits import Limits, check
from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import INSTRUMENTS, Given, Laboratory, check_laboratory, laboratory_of
from metaenv.materials.measurement import DRAWS, Measurement, measure
from metaenv.materials.recipes import ACTION_DIM, Variant, from_action
from metaenv.materials.schedule import ROOM_K
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.materials.utility import least_utility, utility
from metaenv.tasks import FrozenTasks, TaskBatch
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

if TYPE_CHECKING:
    from metaenv.materials.render import Result
    from metaenv.policies import Policy
    from metaenv.trial import VectorTrial

Feedback = Literal["phases", "yield"]
FEEDBACKS = ("phases", "yield")
SIZE_SCALE = np.log(100.0)  # grain sizes from 0.01 to 100 um become [-1, 1]
LAYOUT = ObservationLayout(
    [
        Block("goal size", "the grain size that is wanted, on a logarithmic scale from 0.01 to 100 um", -1),
        Block("measured", "1 once the material is made and measured; what follows is 0 before"),
        Block("precursor", "share of the phase, as the diffractometer refines it"),
        Block("free oxides", "share of the phase"),
        Block("intermediate", "share of the phase"),
        Block("target", "share of the phase"),
        Block("decomposed", "share of the phase"),
        Block("grain size", "of the target, on the scale of the goal", -1),
        Block("mass loss", "of the sample, relative", -1),
        Block("reading", "noisy estimate of the utility, which is also the reward", -1),
    ]
)
HAS = (
    Block("has XRD", "1 if phases are measured, 0 if the laboratory cannot, and the five shares are left at 0"),
    Block("has SEM", "1 if grain sizes are measured, 0 if the laboratory cannot"),
    Block("has balance", "1 if the mass loss is measured, 0 if the laboratory cannot"),
)
LAYOUT_OF_SOME = ObservationLayout([*LAYOUT.blocks, *HAS])
"""Of a laboratory that lacks an instrument."""
MEASURED_BY = {"XRD": slice(2, 7), "SEM": slice(7, 8), "balance": slice(8, 9)}
READING = LAYOUT.column("reading")
PHASES_SEEN = slice(2, 7)


class SingleMaterialVectorEnv(BatchedEnv):
    """Make one hidden material again and again: ``MaterialsSynthesis`` with ``variant="recipe"`` or ``"full"``.

    They are easy: the last recipe and what came of it are nearly all that has to be remembered. An oxide A, which
    evaporates, and a precursor of an oxide B react in a furnace to a target T, against a competing intermediate,
    decomposition above some temperature, loss of A, and grains that grow: the physics is in
    `metaenv.materials.kinetics`. Which temperature, time and powders are right depends on the hidden material.

    Observation: ``Box(10,)``: goal grain size; 1 once measured; shares of five phases (precursor, free oxides,
    intermediate, target, decomposed) as a diffractometer with a hidden bias and noise refines them; grain size (log,
    [-1, 1] for 0.01-100 um); relative mass loss; the reading. All but the goal are 0 before the experiment. With
    ``feedback="yield"`` only the reading is shown. Where the laboratory lacks an instrument it is ``Box(13,)``: three
    more numbers say whether there are XRD, SEM and balance.

    Action: ``Box(-1, 1, (5,))``: temperature 700-1800 K, hold 0.33-100 h (log), ramp 1-20 K/min (log), excess of A
    -0.1 to 0.3, particle size 0.1-5 um (log). With ``variant="full"`` (11,): also a second temperature and hold, the
    CO2 pressure and the precursor; `metaenv.materials.recipes` says how. In a laboratory of one's own they cover its
    bounds.

    Reward: the reading, a noisy estimate of the utility J: pure target of the wanted grain size, less costs of
    furnace hours, heat, fast ramps and milling; at most 1. ``info["score"]`` is the true J.

    Episode end: terminated after one experiment. A trial is ten experiments, and its return the best reading.

    Task: `metaenv.materials.tasks.SolidStateTask`, 42 numbers with ranges and sources there. Splits: train (endless),
    validation (200), test (1,000), ood-hot, ood-cold, ood-instrument, ood-mechanism (256 each).

    References: random, the mean J of random recipes; oracle, a search of the recipes that knows the task.

    Arguments: ``variant`` ("recipe", "full"), ``feedback`` ("phases", "yield"), ``noise_factor`` (1), ``laboratory``
    (`metaenv.materials.laboratory.Laboratory`, or a TOML file: bounds, costs, goals and instruments), and those of
    every environment.
    """

    trial_episodes: ClassVar[int] = 10
    trial_objective: ClassVar[str] = "best"
    reports_at_end: ClassVar[bool] = True
    episode_length = 1
    best_fixed: ClassVar[str | None] = "best fixed recipe"

    def __init__(
        self,
        num_envs: int = 1,
        variant: Variant = "recipe",
        feedback: Feedback = "phases",
        noise_factor: float = 1.0,
        laboratory: Given = None,
        **options: Unpack[EnvOptions],
    ) -> None:
        if variant not in tuple(ACTION_DIM):
            raise ValueError(f"no variant {variant!r} of one material.{nearest(variant, tuple(ACTION_DIM))}")
        check_feedback(feedback)
        check("noise_factor", noise_factor, Limits(0, 10))
        self.laboratory = laboratory_of(laboratory)
        check_laboratory(options.get("distribution"), self.laboratory)
        layout = LAYOUT_OF_SOME if self.laboratory.instruments.missing else LAYOUT
        super().__init__(
            num_envs,
            SolidStateDistribution(variant, self.laboratory),
            layout,
            gym.spaces.Box(-1, 1, (ACTION_DIM[variant],), np.float32),
            **options,
        )
        self.variant: Variant = variant
        self.feedback: Feedback = feedback
        self.noise_factor = float(noise_factor)
        self.reward_range = (least_utility(longest_h(self.laboratory), self.laboratory), 1.0)
        self._shows = (
            ()
            if feedback == "yield"
            else tuple(name for name in INSTRUMENTS if name not in self.laboratory.instruments.missing)
        )
        self._seen = np.zeros((num_envs, layout.width), np.float32)
        self._score = np.zeros(num_envs)
        self._results: list[list[Result]] = [[] for _ in range(num_envs)]
        """Of the experiments on the present material; kept for pictures only."""

    def baselines(self) -> Mapping[str, Policy]:
        from metaenv.materials.baselines import baselines

        return baselines(self.variant, self.laboratory)

    def pictures(
        self, policy: Policy, trials: VectorTrial, tasks: FrozenTasks, folder: Path, name: str
    ) -> Sequence[Path]:
        from metaenv.materials.pictures import draw_campaign

        return [draw_campaign(policy, trials, tasks, folder, name)]

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            for row in np.arange(self.num_envs)[rows]:
                self._results[row] = []

    def begin(self, rows: Rows) -> None:
        self._seen[rows] = 0
        self._seen[rows, 0] = scaled_size(self.tasks.goal_um[rows])
        for k, name in enumerate(INSTRUMENTS[: self._seen.shape[1] - LAYOUT.width], LAYOUT.width):
            self._seen[rows, k] = name in self._shows

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        tasks, recipe = self.tasks.take(rows), from_action(action, self.variant, self.laboratory)
        outcome = simulate(tasks, recipe)
        seen = measure(tasks, recipe, outcome, self.noise.draw(rows, DRAWS), self.noise_factor, self.laboratory)
        self._score[rows] = utility(outcome.target_fraction, outcome.grain_um, tasks.goal_um, recipe, self.laboratory)
        self._seen[rows, 1 : LAYOUT.width] = what_is_shown(seen, np.isin(INSTRUMENTS, self._shows))
        if self.render_mode:
            from metaenv.materials.render import Result, recipe_text

            for k, row in enumerate(np.arange(self.num_envs)[rows]):
                done = recipe_text(recipe, k)
                shown = self._seen[row, PHASES_SEEN.start : LAYOUT.width].copy()
                self._results[row].append(Result(done, shown, float(self._score[row]), self._shows))
        return seen.reading, np.ones(len(action), bool), np.zeros(len(action), bool)

    def observe(self, rows: Rows) -> Observations:
        return self._seen[rows].copy()

    def report(self, rows: Rows) -> Info:
        return {"score": self._score[rows].copy()}

    def text(self, row: int) -> str:
        from metaenv.materials.render import synthesis_text

        return synthesis_text(
            self.tasks.goal_um[row], self._results[row], self.variant, self.draw_hidden, self.laboratory
        )

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.materials.render import synthesis_frame

        return synthesis_frame(self.tasks.goal_um[row], self._results[row], self.draw_hidden)


def check_feedback(feedback: str) -> None:
    """Raise ValueError unless there is such a feedback."""
    if feedback not in FEEDBACKS:
        raise ValueError(f"no feedback {feedback!r}.{nearest(feedback, FEEDBACKS)}")


def what_is_shown(seen: Measurement, has: Bools) -> Observations:
    """What is shown of n experiments, (n, 9): the layout from "measured" on, 0 for what there is no instrument for.

    Args:
        seen: what was measured.
        has: (n, 3) or (3,), whether there are XRD, SEM and balance.
    """
    parts = [
        np.ones((len(seen.reading), 1)),
        seen.phases,
        scaled_size(seen.grain_um)[:, None],
        np.clip(seen.mass_loss, -1, 1)[:, None],
        np.clip(seen.reading, -1, 1)[:, None],
    ]
    columns = np.concatenate(parts, axis=1).astype(np.float32)
    for there, measured in zip(np.broadcast_to(has, (len(columns), 3)).T, MEASURED_BY.values(), strict=True):
        columns[~there, measured.start - 1 : measured.stop - 1] = 0
    return columns


def longest_h(laboratory: Laboratory) -> float:
    """Hours of the longest recipe: both holds and ramps at their longest."""
    b = laboratory.bounds
    return 2 * b.hold_h[1] + (2 * b.temperature_K[1] - ROOM_K - b.temperature_K[0]) / (60 * b.ramp_K_per_min[0])


def scaled_size(length_um: Floats) -> Floats:
    """Lengths of 0.01-100 um to [-1, 1], logarithmic."""
    return np.minimum(np.maximum(np.log(length_um) / SIZE_SCALE, -1.0), 1.0)
