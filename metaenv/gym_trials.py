"""Plain Gymnasium environments with a hidden task, as a batch that trials can be played in; see `VectorTrial.from_gym`.

There are three ways to play several episodes of the same task in an environment of one's own: the environment keeps
its task after ``reset(options={"keep_task": True})``; or the task is set from outside, as in Meta-World's
``env.set_task(task)``; or ``reset(seed=seed)`` draws the same task from the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FlattenObservation, RescaleAction
from numpy.typing import NDArray

from metaenv.tasks import Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, Observations

if TYPE_CHECKING:
    from metaenv.policies import Policy

Scalar = gym.Env[Any, Any]
KEEP = "keep_task"
PROBED_TASKS, PROBED_STEPS, PROBED_SEED = 8, 200, 20_261_128  # chosen; the seed is that of no task


@dataclass(frozen=True)
class SeededTask(Task):
    """A task that an environment draws from a seed."""

    family: ClassVar[str] = "Gymnasium"
    seed: int
    """Between 0 and 2**31."""


@dataclass(frozen=True)
class SeededTasks(TaskDistribution):
    """The tasks that the environment draws: endless and without frozen lists, as nothing more is known of them."""

    task_type: ClassVar[type[Task]] = SeededTask
    unit_dim: int = 1
    splits: tuple[str, ...] = ("train",)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Seeds, each as likely as the others."""
        return TaskBatch(SeededTask, {"seed": np.floor(unit[:, 0] * 2**31)})

    def reference(self, tasks: TaskBatch) -> Reference:
        """Unknown."""
        raise NotImplementedError(
            "A plain Gymnasium environment has no reference scores. To evaluate on frozen tasks, write a "
            "TaskDistribution and a BatchedEnv as examples/own_environment.py does."
        )


class GymEnvs(BatchedEnv):
    """``num_envs`` copies of a scalar Gymnasium environment, stepped one by one; arguments as `VectorTrial.from_gym`.

    Observations that are no vector are flattened, and bounded Box actions rescaled to [-1, 1].
    """

    def __init__(
        self,
        env: str | Callable[[], Scalar],
        num_envs: int = 1,
        sample_task: Callable[[np.random.Generator], Any] | None = None,
        set_task: Callable[[Scalar, Any], None] | None = None,
        task_from_seed: bool = False,
        baselines: Mapping[str, Policy] | None = None,
        probe: bool = True,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    ) -> None:
        if (task_from_seed and (sample_task or set_task)) or (set_task and not sample_task):
            raise ValueError("Expected either sample_task, with or without set_task, or task_from_seed, or neither.")
        make = (lambda: gym.make(env)) if isinstance(env, str) else env
        self._sample_task, self._set_task = sample_task, set_task or _set_by_method
        self._task_from_seed, self._baselines = task_from_seed, dict(baselines or {})
        if probe:
            self._probe(_flat(make()))
        self._envs = [_flat(make()) for _ in range(num_envs)]
        first = self._envs[0]
        space = first.observation_space
        assert isinstance(space, gym.spaces.Box), "flattened"
        box = gym.spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)
        super().__init__(num_envs, SeededTasks(), box, first.action_space, autoreset_mode=autoreset_mode)
        self.spec = first.spec
        self._seen = np.zeros((num_envs, *box.shape), np.float32)
        self._new = np.ones(num_envs, bool)  # which have not begun the first episode of their task

    def baselines(self) -> Mapping[str, Policy]:
        return self._baselines

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        self._new[rows] = True

    def begin(self, rows: Rows) -> None:
        for i in np.arange(self.num_envs)[rows]:
            seed, env = int(self.tasks.seed[i]), self._envs[i]
            self._seen[i] = self._new_task(env, seed)[0] if self._new[i] else self._same_task(env, seed)[0]
        self._new[rows] = False

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        index = np.arange(self.num_envs)[rows]
        reward, terminated, truncated = np.zeros(len(index)), np.zeros(len(index), bool), np.zeros(len(index), bool)
        for j, i in enumerate(index):
            played = self._envs[i].step(action[j].astype(self.single_action_space.dtype))
            self._seen[i], reward[j], terminated[j], truncated[j] = played[:4]
        return reward, terminated, truncated

    def observe(self, rows: Rows) -> Observations:
        return self._seen[rows].copy()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the copies."""
        for env in self._envs:
            env.close()

    def _new_task(self, env: Scalar, seed: int) -> tuple[Any, dict[str, Any]]:
        """Begin the first episode of the task of a seed."""
        if self._sample_task:
            self._set_task(env.unwrapped, self._sample_task(np.random.default_rng(seed)))
        return env.reset(seed=seed)

    def _same_task(self, env: Scalar, seed: int) -> tuple[Any, dict[str, Any]]:
        """Begin another episode of the task that the environment has."""
        if self._task_from_seed:
            return env.reset(seed=seed)
        return env.reset() if self._sample_task else env.reset(options={KEEP: True})

    # THE PROBE

    def _probe(self, env: Scalar) -> None:
        """Refuse an environment whose tasks are not kept, or do not show, with random actions.

        Every task is played from the same seed for all that is not the task. Where the task is kept, what happens
        then differs from task to task; where it is drawn anew, it is drawn from that same seed.
        """
        name, options = type(env.unwrapped).__name__, KeepTask()
        played = [self._probed(env, seed, options) for seed in range(PROBED_TASKS)]
        if self._task_from_seed:
            if played[0] != self._probed(env, 0, options):
                raise ValueError(
                    f"Expected reset(seed=…) to decide the task and all else, because of task_from_seed; {name} played "
                    "two episodes of the same seed differently. Give sample_task and set_task instead."
                )
        elif not self._sample_task:
            options.check(env)
        if all(other == played[0] for other in played):
            raise ValueError(
                f"Expected hidden tasks that differ from each other; {name} played the same with {PROBED_TASKS} of "
                "them, from one seed and by the same random actions. It has no hidden task, or draws another one in "
                "every reset. Where random actions only seldom tell tasks apart, give probe=False."
            )
        env.close()

    def _probed(self, env: Scalar, seed: int, options: KeepTask) -> list[bytes]:
        """What happens in an episode of the task of a seed, with random actions that are always the same."""
        observation, _ = self._new_task(env, seed)
        if not self._task_from_seed:
            observation, _ = env.reset(seed=PROBED_SEED, options=None if self._sample_task else options)
        env.action_space.seed(0)
        happened = [np.asarray(observation).tobytes()]
        for _ in range(PROBED_STEPS):
            observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            happened.append(np.asarray(observation).tobytes() + np.float64(reward).tobytes())
            if terminated or truncated:
                break
        return happened


class KeepTask(dict[str, Any]):
    """The options ``{"keep_task": True}`` of a reset, which record whether the environment has read them."""

    def __init__(self) -> None:
        super().__init__({KEEP: True})
        self.read = False

    def check(self, env: Scalar) -> None:
        """Raise ValueError unless ``env``, which was reset with these options, has looked at them."""
        if not self.read:
            raise ValueError(
                f"Expected an environment that keeps its hidden task on reset(options={{'{KEEP}': True}}); "
                f"{type(env.unwrapped).__name__} never looks at that option, so every episode would have another task. "
                "Let its reset do so; or make trials by VectorTrial.from_gym with sample_task and set_task, or with "
                "task_from_seed=True where reset(seed=…) decides the task."
            )

    def __getitem__(self, key: str) -> Any:
        self.read |= key == KEEP
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read |= key == KEEP
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self.read |= key == KEEP
        return super().get(key, *default)  # kept for the next reset

    def __contains__(self, key: object) -> bool:
        self.read |= key == KEEP
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:  # also where the options are copied
        self.read = True
        return super().__iter__()

    def keys(self) -> Any:
        self.read = True
        return super().keys()

    def items(self) -> Any:
        self.read = True
        return super().items()


def _flat(env: Scalar) -> Scalar:
    """An environment with a vector as observation, and with actions in [-1, 1] where they are bounded numbers."""
    if not isinstance(env.observation_space, gym.spaces.Box) or len(env.observation_space.shape) != 1:
        env = FlattenObservation(env)
    action = env.action_space
    if isinstance(action, gym.spaces.Box) and action.is_bounded():
        if not (np.all(action.low == -1) and np.all(action.high == 1)):
            env = RescaleAction(env, np.float32(-1), np.float32(1))
    return env


def _set_by_method(env: Scalar, task: Any) -> None:
    if not hasattr(env, "set_task"):
        raise ValueError(
            f"Expected {type(env).__name__} to have a method set_task(task), because of sample_task; it has none. Give "
            "set_task, a function of the environment and a task."
        )
    env.set_task(task)  # type: ignore[attr-defined]
