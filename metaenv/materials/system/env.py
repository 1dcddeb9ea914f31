"""MaterialsSynthesis in its default variant: three compounds of one chemical system, made in turn, with options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.limits import Limits, check
from metaenv.materials.env import Feedback, check_feedback, longest_h, scaled_size, what_is_shown
from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import DEFAULT, INSTRUMENTS
from metaenv.materials.measurement import DRAWS, measure
from metaenv.materials.system.distribution import SystemDistribution, beginning_with
from metaenv.materials.system.layout import CHOSEN, GOAL, GRAIN, LAYOUT, MADE, MEASURED, SHOWN
from metaenv.materials.system.options import COMPOUNDS, PLACES, SIZES
from metaenv.materials.system.recipes import ACTIONS, from_action
from metaenv.materials.system.tasks import materials
from metaenv.materials.utility import least_utility, utility
from metaenv.tasks import FrozenTasks, TaskBatch
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

if TYPE_CHECKING:
    from metaenv.materials.system.render import SystemResult
    from metaenv.policies import Policy
    from metaenv.trial import VectorTrial


DRAWN, NOTHING = "drawn", "none"
SHARE_MISSING = 1 / 3  # of the laboratories that lack an instrument, for each of the three (chosen)


class SystemSynthesisVectorEnv(BatchedEnv):
    """``num_envs`` laboratories, each with a hidden chemical system.

    `metaenv.materials.synthesis.MaterialsSynthesisEnv` says what is seen, done and paid.

    Arguments: ``feedback`` ("phases", "yield"), ``noise_factor`` (1), ``missing``, and those of every environment.

    ``missing`` names the instruments that the laboratory lacks: XRD, SEM, balance, as a sequence or as text with
    commas, or is "none". With "drawn" each laboratory lacks each of them with probability 1/3, drawn anew with every
    system and the same for all its experiments, so that an agent can be trained for whatever a laboratory has. What is
    not measured is 0 in the observation, and so is its flag. The reading is always there.
    """

    trial_episodes: ClassVar[int] = 4 * COMPOUNDS
    trial_objective: ClassVar[str] = "sum"
    reports_at_end: ClassVar[bool] = True
    episode_length = 1
    best_fixed: ClassVar[str | None] = "best fixed recipe"
    baselines_at = "metaenv.materials.system.baselines:baselines"
    action_choices: ClassVar[tuple[int, ...]] = SIZES
    variant = "system"

    def __init__(
        self,
        num_envs: int = 1,
        feedback: Feedback = "phases",
        noise_factor: float = 1.0,
        missing: str | Sequence[str] = (),
        **options: Unpack[EnvOptions],
    ) -> None:
        check_feedback(feedback)
        check("noise_factor", noise_factor, Limits(0, 10))
        actions = gym.spaces.Box(-1, 1, (len(ACTIONS),), np.float32)
        super().__init__(num_envs, SystemDistribution(), LAYOUT, actions, **options)
        self.feedback: Feedback = feedback
        self.noise_factor = float(noise_factor)
        self.reward_range = (least_utility(longest_h(DEFAULT)), 1.0)
        self.missing = _instruments(missing)
        if feedback == "yield" and self.missing:
            raise ValueError(f"expected no missing= with feedback='yield', which shows no instrument; got {missing!r}")
        lacks = INSTRUMENTS if feedback == "yield" else self.missing
        self._has = np.repeat([[name not in lacks for name in INSTRUMENTS]], num_envs, axis=0)
        self._order = np.zeros((num_envs, COMPOUNDS), np.intp)  # of the present block
        self._turn = np.zeros(num_envs, np.intp)  # experiments begun with the present system
        self._compound = np.zeros(num_envs, np.intp)
        self._seen = np.zeros((num_envs, LAYOUT.width), np.float32)
        self._score = np.zeros(num_envs)
        self._results: list[list[SystemResult]] = [[] for _ in range(num_envs)]
        """Of the experiments on the present system; kept for pictures only."""

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        self._turn[rows] = 0
        if self.render_mode:
            for row in np.arange(self.num_envs)[rows]:
                self._results[row] = []

    def begin(self, rows: Rows) -> None:
        index = np.arange(self.num_envs)[rows]
        if self.missing == (DRAWN,) and len(new := index[self._turn[index] == 0]):
            self._has[new] = self.dynamics.draw(new, len(INSTRUMENTS)) >= SHARE_MISSING
        place = self._turn[index] % COMPOUNDS
        if len(new := index[place == 0]):
            self._order[new] = np.argsort(self.dynamics.draw(new, COMPOUNDS), axis=1)
        compound = self._order[index, place]
        self._compound[index], self._turn[index] = compound, self._turn[index] + 1
        self._seen[index] = 0
        self._seen[index, compound] = 1
        self._seen[index, GOAL] = scaled_size(self.tasks.goal_um[index, compound])

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        index, (recipe, choice) = np.arange(self.num_envs)[rows], from_action(action)
        made = materials(self.tasks.take(rows), self._compound[index], choice)
        outcome = simulate(made, recipe)
        seen = measure(made, recipe, outcome, self.noise.draw(rows, DRAWS), self.noise_factor)
        self._score[rows] = utility(outcome.target_fraction, outcome.grain_um, made.goal_um, recipe)
        self._seen[rows, MADE] = 1
        self._seen[rows, SHOWN] = what_is_shown(seen, self._has[rows])[:, 1:]
        for k, column in enumerate(MEASURED.values()):
            self._seen[rows, column] = self._has[rows, k]
        no_target = index[seen.phases[:, 3] == 0]
        self._seen[no_target, MEASURED["SEM"]] = self._seen[no_target, GRAIN] = 0
        for g, place in enumerate(PLACES):
            self._seen[index, CHOSEN + place.start + choice[:, g]] = 1
        if self.render_mode:
            from metaenv.materials.system.render import result

            for k, row in enumerate(index):
                done = result(int(self._compound[row]), recipe, choice, k, self._seen[row], float(self._score[row]))
                self._results[row].append(done)
        return seen.reading, np.ones(len(index), bool), np.zeros(len(index), bool)

    def task_vector(self) -> NDArray[np.float32]:
        """(num_envs, 109) the true systems, with the compound that is made now before the others."""
        return beginning_with(super().task_vector(), self._compound)

    def observe(self, rows: Rows) -> Observations:
        return self._seen[rows].copy()

    def report(self, rows: Rows) -> Info:
        return {"score": self._score[rows].copy(), "compound": self._compound[rows].copy()}

    def pictures(
        self, policy: Policy, trials: VectorTrial, tasks: FrozenTasks, folder: Path, name: str
    ) -> Sequence[Path]:
        from metaenv.materials.system.pictures import draw_campaign

        return [draw_campaign(policy, trials, tasks, folder, name)]

    def text(self, row: int) -> str:
        from metaenv.materials.system.render import system_text

        return system_text(self._compound[row], self.tasks.goal_um[row], self._results[row], self.draw_hidden)

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.materials.system.render import system_frame

        return system_frame(self._compound[row], self.tasks.goal_um[row], self._results[row], self.draw_hidden)


def _instruments(missing: str | Sequence[str]) -> tuple[str, ...]:
    """The instruments that are missing, by name; ("drawn",) where that is drawn."""
    names = missing.replace(" ", "").split(",") if isinstance(missing, str) else missing
    if not isinstance(names, Sequence):
        raise ValueError(
            f"missing: expected names of instruments, such as 'SEM' or ('SEM', 'balance'); got {missing!r}"
        )
    names = [name for name in names if name != ""]
    if names == [NOTHING]:
        return ()
    if names == [DRAWN]:
        return (DRAWN,)
    for name in names:
        if name == DRAWN:
            raise ValueError(f"missing: expected {DRAWN!r} alone, or names of instruments; got {missing!r}")
        if name not in INSTRUMENTS:
            raise ValueError(
                f"no instrument {name!r} to be missing.{nearest(str(name), (*INSTRUMENTS, DRAWN, NOTHING))}"
            )
    return tuple(name for name in INSTRUMENTS if name in names)
