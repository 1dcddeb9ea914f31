"""The batched base: a domain's dynamics written once, over a leading axis of different tasks.

`BatchedEnv` is a native `gymnasium.vector.VectorEnv`. A domain gives it five short methods over *rows* (an index
array, or ``slice(None)`` for all sub-environments); seeding, tasks, autoreset, masks and infos are done here. The
scalar environment of `metaenv.env` is a batch of one, and `metaenv.trial` and `metaenv.wrappers` build on the same
five methods.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from metaenv.actions import check_actions
from metaenv.errors import TaskError, nearest, unknown_option
from metaenv.layout import ObservationLayout
from metaenv.limits import COUNT, check
from metaenv.registry import told_spec
from metaenv.rng import NO_NP_RANDOM, Streams, TaskStreams, child, mask_option, row_seeds
from metaenv.task_sets import FixedTasks, GivenTasks, chosen_distribution, completed, task_batch
from metaenv.tasks import FrozenTasks, Task, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Rows

if TYPE_CHECKING:  # both are made of this module
    from metaenv.policies import Policy, TrialRecord
    from metaenv.trial import VectorTrial

Observations = NDArray[np.float32]
Info = dict[str, Any]
Step = tuple[Observations, Floats, Bools, Bools, Info]
ALL = slice(None)

OPTIONS = ("task", "tasks", "reset_mask", "keep_task")
AUTORESET = AutoresetMode.NEXT_STEP
"""How finished sub-environments begin anew by default, as in Gymnasium's own vector environments."""


class EnvOptions(TypedDict, total=False):
    """What every environment takes beside its own settings; see `BatchedEnv`."""

    split: str
    autoreset_mode: AutoresetMode | str
    render_mode: str | None
    max_episode_steps: int | None
    tasks: GivenTasks | int | None
    task: Task | Mapping[str, Any] | None
    distribution: TaskDistribution | None
    text_info: bool
    draw_hidden: bool


class BatchedEnv(VectorEnv[Any, Any, Any]):
    """Base of every environment: ``num_envs`` episodes, each of its own hidden task, stepped at once.

    Args:
        num_envs: how many sub-environments.
        family: the environment's own distribution of tasks.
        observation: the layout of an episode's observation, or only its space.
        action_space: of one sub-environment.
        split: which of the distribution's splits ``reset`` draws from.
        autoreset_mode: Gymnasium's ``NEXT_STEP`` (default, as in its own), ``SAME_STEP`` or ``DISABLED``.
        render_mode: ``"ansi"``, ``"rgb_array"`` or None.
        max_episode_steps: steps after which an episode is truncated; None for no limit.
        tasks: the only tasks of the split, each as likely as the others, also at autoresets: a list of tasks, or a
            number of tasks, which are then drawn once, always the same ones.
        task: the only task of the split.
        distribution: another distribution of tasks of the same kind, such as a narrowed one.
        text_info: whether ``info`` also holds text, such as SMILES, which clients that compute with it cannot take.
        draw_hidden: whether pictures and text show what is hidden from the policy.

    ``reset`` takes a seed or a list of seeds, and these options:

    * ``"tasks"``: a list of Task or a TaskBatch, one a (reset) sub-environment; None in a list draws its next task;
    * ``"task"``: one Task for all;
    * ``"reset_mask"``: bool (num_envs,), which sub-environments to reset;
    * ``"keep_task"``: True or bool (num_envs,): begin a new episode of the same task.

    A task given to ``reset`` is played for one episode, and the next autoreset draws from the split again.

    Sub-environment ``i`` gets the seed ``seed + i``, as in Gymnasium and Stable-Baselines3. Two vector environments
    with seeds that are closer than ``num_envs`` therefore share tasks: seed them 1,000 apart, or give lists of seeds.

    ``info`` always holds ``task_id`` (num_envs,), a 64-bit integer of which `metaenv.task_id` makes ``Task.id``, and
    ``action_mask`` for Discrete actions.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 (Gymnasium)
    trial_episodes: ClassVar[int] = 10
    """How many episodes a trial has by default."""
    trial_objective: ClassVar[str] = "sum"
    """What a trial adds up by default: the ``"sum"`` of its episodes' returns, or the ``"best"`` of them."""
    reports_at_end: ClassVar[bool] = False
    """Whether an episode's last observation carries information that the policy needs in the next episode."""
    report_columns: slice | None = None  # the columns of that observation which carry it; None for all
    best_fixed: ClassVar[str | None] = None
    """Name of the baseline that is the best rule which does not adapt; None where there is none."""
    episode_length: int | None = None
    """Steps of an episode, where every episode has as many."""
    reward_range: tuple[float, float] = (-np.inf, np.inf)
    """The lowest and the highest reward of a step, where they are known."""
    made_in_episode: ClassVar[str] = ""  # the key of a text of ``info``, as "smiles", that `measures` wants
    baselines_at: ClassVar[str] = ""
    """Where the function is that gives the `baselines`, such as ``"lab.dose.baselines:baselines"``: a name, because the
    module of the baselines may import that of the environment."""
    training_settings: ClassVar[Mapping[str, Any]] = {}
    """What `metaenv train` starts from, by the agent's name, as ``{"rl2": {"num_envs": 512, "agent": {…}}}``."""

    def __init__(
        self,
        num_envs: int,
        family: TaskDistribution,
        observation: gym.spaces.Box | ObservationLayout,
        action_space: gym.spaces.Space[Any],
        split: str = "train",
        autoreset_mode: AutoresetMode | str = AUTORESET,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        tasks: GivenTasks | int | None = None,
        task: Task | Mapping[str, Any] | None = None,
        distribution: TaskDistribution | None = None,
        text_info: bool = False,
        draw_hidden: bool = False,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise unknown_option(type(self), next(iter(unknown)))
        check("num_envs", num_envs, COUNT)
        if max_episode_steps is not None:
            check("max_episode_steps", max_episode_steps, COUNT)
        distribution = chosen_distribution(family, split, distribution, tasks, task)
        distribution.check_split(split)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"no render mode {render_mode!r}.{nearest(render_mode, self.metadata['render_modes'])}")
        self.num_envs = num_envs
        self.distribution, self._family = distribution, family
        self.split = split
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self.text_info, self.draw_hidden = text_info, draw_hidden
        self.layout = observation if isinstance(observation, ObservationLayout) else None
        """The meaning of an observation's columns; None where only the space is known."""
        self.single_observation_space = observation.box() if isinstance(observation, ObservationLayout) else observation
        self.single_action_space = action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._elapsed = np.zeros(num_envs, np.int64)  # steps of the episodes under way
        self.use_autoreset_mode(autoreset_mode)
        if isinstance(distribution, FixedTasks):
            self.check_tasks(distribution.listed)
        self._tasks: TaskBatch | None = None
        self._seeded = False
        self._row_entropy: list[Any] = [-1] * num_envs
        self._spec: EnvSpec | None = None

    def use_autoreset_mode(self, mode: AutoresetMode | str) -> None:
        """Let finished sub-environments begin anew in another way. Call ``reset`` before the next step."""
        self.autoreset_mode = AutoresetMode(mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self._began = np.zeros(self.num_envs, bool)  # which sub-environments have an episode under way
        self._finished = np.zeros(self.num_envs, bool)  # which wait for NEXT_STEP's reset

    # WHAT A DOMAIN WRITES

    @abstractmethod
    def begin(self, rows: Rows) -> None:
        """Begin a new episode of ``rows``' tasks."""

    @abstractmethod
    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        """Play ``action`` (rows first) in ``rows``; reward, terminated, truncated, each (len(rows),)."""

    @abstractmethod
    def observe(self, rows: Rows) -> Observations:
        """What the policy sees now, shape (len(rows), d): a new array."""

    def report(self, rows: Rows) -> Info:
        """More of ``info``: arrays with rows first."""
        return {}

    def mask(self, rows: Rows) -> NDArray[np.int8] | None:
        """(len(rows), k) allowed Discrete actions; by default all."""
        if not isinstance(self.single_action_space, gym.spaces.Discrete):
            return None
        return np.ones((len(np.arange(self.num_envs)[rows]), int(self.single_action_space.n)), np.int8)

    def frame(self, row: int) -> NDArray[np.uint8]:
        """One picture (height, width, 3) of sub-environment ``row``, always of the same size."""
        raise ValueError(f"{type(self).__name__} draws no pictures; use render_mode='ansi'")

    def text(self, row: int) -> str:
        """Sub-environment ``row`` in text: what was measured so far and, at the end, the actions allowed now."""
        return f"task {self.tasks.ids[row]}"

    def baselines(self) -> Mapping[str, Policy]:
        """The policies to compare an agent with, by name; random play needs no mention.

        By default the function at `baselines_at` gives them. A method of one's own should import them in its body, so
        that making an environment does not load its baselines.
        """
        return resolve_name(self.baselines_at)() if self.baselines_at else {}

    def measures(self, record: TrialRecord) -> Mapping[str, Floats]:
        """What evaluations tell of trials besides their scores, by name: an array (n,), a number a trial."""
        return {}

    def pictures(
        self, policy: Policy, trials: VectorTrial, tasks: FrozenTasks, folder: Path, name: str
    ) -> Sequence[Path]:
        """Draw what a policy does with the frozen tasks of a split, after its evaluation.

        Args:
            policy: the one that plays.
            trials: one trial at a time of this environment.
            tasks: what to play; draw as many of them as make a picture.
            folder: where the files go. Name them after ``tasks.split``.
            name: of the policy, for titles.

        Returns:
            The files written; by default none.
        """
        return []

    # TASKS AND SEEDS (wrappers hand these to the environment they hold)

    @property
    def tasks(self) -> TaskBatch:
        """The hidden tasks now being played. For evaluation and drawing, never for a policy."""
        if self._tasks is None:
            raise ResetNeeded("call reset() before asking for the tasks")
        return self._tasks

    def seed_rows(self, seeds: Sequence[int | None]) -> None:
        """Give sub-environment ``i`` streams grown from ``seeds[i]``; None keeps what it has."""
        fresh = not self._seeded
        sequences = [np.random.SeedSequence(s) if s is not None or fresh else None for s in seeds]
        for row, sequence in enumerate(sequences):
            if sequence is not None:
                self._row_entropy[row] = sequence.entropy
        if fresh:
            known = [s for s in sequences if s is not None]
            self.dynamics = Streams([child(s, 1) for s in known], "uniform")
            self.noise = Streams([child(s, 2) for s in known], "normal")
            self._task_streams = TaskStreams(self.distribution, self.split, [child(s, 0) for s in known])
            self._seeded = True
            return
        for row, sequence in enumerate(sequences):
            if sequence is not None:
                self._task_streams.reseed(row, child(sequence, 0))
                self.dynamics.reseed(row, child(sequence, 1))
                self.noise.reseed(row, child(sequence, 2))

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        """The next task of each of ``rows``' streams."""
        return self._task_streams.draw(rows)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        """Let ``rows`` play ``tasks`` from their next episode on."""
        full = isinstance(rows, slice) or len(rows) == self.num_envs
        # Kept between steps and handed out in every info, so it must not be written to.
        self._tasks = tasks if full or self._tasks is None else self._tasks.replaced(rows, tasks)

    def start(self, rows: Rows) -> None:
        """Begin a new episode of ``rows``' tasks: `begin`, with the steps counted anew."""
        self._elapsed[rows] = 0
        self.begin(rows)

    def play(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        """Play one step in ``rows``: `transition`, cut off after `max_episode_steps`."""
        reward, terminated, truncated = self.transition(rows, action)
        if self.max_episode_steps is not None:
            self._elapsed[rows] += 1
            truncated = (truncated | (self._elapsed[rows] >= self.max_episode_steps)) & ~terminated
        return reward, terminated, truncated

    def is_playing(self, row: int) -> bool:
        """Whether a sub-environment has an episode under way."""
        return bool(self._began[row])

    def end_episode(self, row: int) -> None:
        """A sub-environment's episode is over: it must be reset before it is stepped again."""
        self._began[row] = False

    def task_vector(self) -> NDArray[np.float32]:
        """(num_envs, c) the true tasks as they matter now: a privileged signal, for training and oracles only."""
        return self.distribution.task_vector(self.tasks)

    # THE GYMNASIUM INTERFACE

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Begin new episodes; see the class for ``options``.

        Raises:
            TaskError: an unknown option, a task of another family, or a wrong number of tasks; nothing has changed.
            ValueError: what is no seed; nothing has changed.
        """
        if options is not None and not isinstance(options, Mapping):
            raise TaskError(f"expected options as a dictionary, got {options!r}")
        options = {k: v for k, v in (options or {}).items() if v is not None}
        for name in options:
            if name not in OPTIONS:
                raise TaskError(f"reset has no option {name!r}.{nearest(name, OPTIONS)}")
        seeds = row_seeds(seed, self.num_envs)
        mask = mask_option(options.get("reset_mask", True), self.num_envs, "reset_mask")
        keep = mask_option(options.get("keep_task", False), self.num_envs, "keep_task") & mask
        given = self._given_tasks(options, mask)
        if keep.any() and self._tasks is None:
            raise TaskError("keep_task needs an earlier reset: there is no task to keep")
        if not mask.all() and self._tasks is None:
            raise ResetNeeded("the first reset must reset every sub-environment: leave out 'reset_mask'")
        if seeds is not None or not self._seeded:
            # Sub-environments that are not reset go on with the streams that they have.
            seeds = seeds or [None] * self.num_envs
            self.seed_rows([seed if reset else None for seed, reset in zip(seeds, mask, strict=True)])
        renew = mask & ~keep
        if given is not None:
            if not isinstance(given, TaskBatch):
                missing = [task is None for task in given]
                given = completed(given, self.draw_tasks(np.flatnonzero(mask)[missing]), self.distribution)
            self.set_tasks(_rows(mask), given)
        elif renew.any():
            self.set_tasks(_rows(renew), self.draw_tasks(_rows(renew)))
        self._start(mask)
        return self.observe(ALL), self._info(ALL)

    def step(self, actions: NDArray[Any]) -> Step:
        """Play one action in every sub-environment.

        Raises:
            ResetNeeded: before the first reset, or (``DISABLED``) when a sub-environment's episode is over.
            ValueError: actions of the wrong shape, not finite, or outside the action space; nothing has changed.
        """
        actions = check_actions(actions, self.single_action_space, self.num_envs)
        if not (self._began | self._finished).all():
            over = np.flatnonzero(~(self._began | self._finished))[:5].tolist()
            raise ResetNeeded(
                f"sub-environments {over} have no episode under way: call reset(), or "
                "reset(options={'reset_mask': mask}) for the finished ones"
            )
        if self._finished.any():
            return self._step_some(actions)
        reward, terminated, truncated = self.play(ALL, actions)
        return self._end_of_step(reward, terminated, truncated)

    def action_masks(self) -> NDArray[np.bool_]:
        """(num_envs, k) which Discrete actions are allowed now, as sb3-contrib asks for them."""
        if self._tasks is None:
            raise ResetNeeded("there are no masks yet: call reset() before action_masks()")
        mask = self.mask(ALL)
        if mask is None:
            raise ValueError(f"only Discrete actions have masks, this action space is {self.single_action_space}")
        return mask.astype(bool)

    def render(self) -> tuple[Any, ...] | None:
        """A picture or a text for each sub-environment, as `render_mode` says."""
        if self._tasks is None:
            raise ResetNeeded("there is nothing to draw yet: call reset() before render()")
        if self.render_mode is None:
            gym.logger.warn("render() without a render_mode: make the environment with render_mode='rgb_array'")
            return None
        draw = self.text if self.render_mode == "ansi" else self.frame
        return tuple(draw(i) for i in range(self.num_envs))

    @property
    def spec(self) -> EnvSpec | None:
        """What `gymnasium.make_vec` made the environment from, with the length of episodes where it is fixed."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._spec = None if spec is None else told_spec(spec, self.max_episode_steps or self.episode_length)

    @property
    def np_random(self) -> np.random.Generator:
        """There is none: each sub-environment draws from streams of its own."""
        raise AttributeError(NO_NP_RANDOM)

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        raise AttributeError(NO_NP_RANDOM)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The seed of each sub-environment, -1 before the first reset, as Gymnasium's vector environments have it."""
        return tuple(self._row_entropy)

    # PRIVATE

    def _given_tasks(self, options: dict[str, Any], mask: Bools) -> list[Task | None] | TaskBatch | None:
        """The tasks that were given to the sub-environments that are reset, checked."""
        if "task" in options and "tasks" in options:
            raise TaskError("give either 'task' or 'tasks', not both")
        if "keep_task" in options and ("task" in options or "tasks" in options):
            raise TaskError("give either tasks or 'keep_task', not both")
        if "task" in options:
            return self.check_tasks(task_batch([options["task"]], self.distribution)).repeated(int(mask.sum()))
        given = options.get("tasks")
        if given is None:
            return None
        if isinstance(given, Sequence) and any(task is None for task in given):
            known = [task for task in given if task is not None]
            if known:
                self.check_tasks(task_batch(known, self.distribution))
            tasks: Any = list(given)
        else:
            tasks = self.check_tasks(task_batch(given, self.distribution))
        if len(tasks) == self.num_envs:
            rows = np.flatnonzero(mask)
            return tasks.take(_rows(mask)) if isinstance(tasks, TaskBatch) else [tasks[row] for row in rows]
        if len(tasks) != mask.sum():
            raise TaskError(f"expected {int(mask.sum())} tasks, one a sub-environment, got {len(tasks)}")
        return tasks

    def check_tasks(self, tasks: TaskBatch) -> TaskBatch:
        """The same tasks, if their fields have as many numbers as those of this environment's own distribution.

        Called for tasks that are given from outside; an environment may refuse more, by a TaskError.
        """
        for name, got, expected in zip(tasks.columns, tasks.widths, self._task_widths, strict=False):
            if got != expected:
                raise TaskError(
                    f"{tasks.task_type.__name__}.{name} must have {expected} numbers in this environment, got {got}"
                )
        return tasks

    @cached_property
    def _task_widths(self) -> tuple[int | None, ...]:
        point = np.full((1, self._family.unit_dim), 0.5)
        return self._family.from_unit(point, self._family.splits[0]).widths

    def _start(self, mask: Bools) -> None:
        if mask.any():
            self.start(_rows(mask))
        self._began |= mask
        self._finished &= ~mask

    def _columns(self, rows: Rows) -> Info:
        """What info holds, rows first."""
        info: Info = {"task_id": self.tasks.id_numbers[rows], **self.report(rows)}
        if not self.text_info:
            info = {name: values for name, values in info.items() if values.dtype.kind not in "OSU"}
        mask = self.mask(rows)
        return info if mask is None else {**info, "action_mask": mask}

    def _info(self, rows: Rows) -> Info:
        info = self._columns(rows)
        present = np.ones(len(info["task_id"]), bool)
        return {**info, **{f"_{k}": self.presence(k, info, present) for k in info}}

    def presence(self, name: str, info: Info, present: Bools) -> Bools:
        """Where an entry of ``info`` holds, (n,); by default everywhere."""
        return present

    def _step_some(self, actions: NDArray[Any]) -> Step:
        """NEXT_STEP: finished sub-environments begin anew and ignore their action; the others play on."""
        renew, play = self._finished.copy(), ~self._finished
        reward, terminated, truncated = np.zeros(self.num_envs), np.zeros_like(play), np.zeros_like(play)
        if play.any():
            rows = np.flatnonzero(play)
            reward[rows], terminated[rows], truncated[rows] = self.play(rows, actions[rows])
        self.set_tasks(_rows(renew), self.draw_tasks(_rows(renew)))
        self._start(renew)
        return self._end_of_step(reward, terminated, truncated)

    def _end_of_step(self, reward: Floats, terminated: Bools, truncated: Bools) -> Step:
        done = terminated | truncated
        if not done.any() or self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._began &= ~done
            if self.autoreset_mode is AutoresetMode.NEXT_STEP:
                self._finished |= done
            return self.observe(ALL), reward, terminated, truncated, self._info(ALL)
        final_obs, final_info = self.observe(ALL), self._info(ALL)
        final_info |= {key: done for key in final_info if key.startswith("_")}
        self.set_tasks(_rows(done), self.draw_tasks(_rows(done)))
        self._start(done)
        info = self._info(ALL)
        info.update(final_obs=final_obs, _final_obs=done, final_info=final_info, _final_info=done)
        return self.observe(ALL), reward, terminated, truncated, info


def _rows(mask: Bools) -> Rows:
    return ALL if mask.all() else np.flatnonzero(mask)
