"""Conformance tests, shipped so that others can hold their own environments to the same contract.

`check_meta_env` takes a scalar environment and `check_vector_env` a factory of batched ones; both raise an
AssertionError that says which promise is broken.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import combinations
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.errors import TaskError
from metaenv.ids import task_id
from metaenv.tasks import Task, TaskBatch, TaskDistribution
from metaenv.trial import Trial, VectorTrial
from metaenv.vector import ALL, BatchedEnv

Factory = Callable[..., BatchedEnv]


def check_meta_env(env: gym.Env[Any, Any], steps: int = 60) -> None:
    """Hold a scalar environment to the contract: tasks, seeds, masks, refusals, declarations, trials.

    Args:
        env: as `gymnasium.make` gives it; must follow `metaenv.env.MetaEnv`.
        steps: how long to play for each check.

    Raises:
        AssertionError: a broken promise.
    """
    inner = env.unwrapped
    assert isinstance(inner, MetaEnv), f"expected a MetaEnv, got {type(inner).__name__}"
    check_distribution(inner.distribution)
    _check_task_from_outside(env, inner)
    _check_keeps_task(env, inner)
    _check_masks(env)
    _check_declarations(env, inner.batch, steps)
    _check_seeding(env, steps)
    _check_pickle(inner)
    _check_refusals(env, steps)
    _check_info(env, steps)
    _check_render(inner)
    check_trial(Trial(env, episodes=3))
    check_trial(Trial(env, episodes=3, objective="best"))


def check_vector_env(make: Factory, num_envs: int = 4, steps: int = 60) -> None:
    """Hold a batched environment to the contract: rows independent, three autoreset modes, trials, seeds, refusals.

    Args:
        make: called with ``num_envs`` and ``autoreset_mode``; gives a `BatchedEnv`.
        num_envs: how many sub-environments to check with.
        steps: how long to play for each check.

    Raises:
        AssertionError: a broken promise.
    """
    _check_handed_out(make, num_envs, steps)
    _check_handed_out(lambda **kw: VectorTrial(make(**kw), episodes=2), num_envs, steps)
    _check_partial_reset(make, num_envs, steps)
    _check_refused(make, num_envs, steps)
    for mode in AutoresetMode:
        _check_rows_are_scalars(make, num_envs, steps, mode)
        _check_rows_are_scalars(
            lambda mode=mode, **kw: VectorTrial(make(**kw), episodes=3, autoreset_mode=mode), num_envs, steps, mode
        )
    _check_final_observations(make, num_envs, steps)
    _check_vector_info(make, num_envs, steps)
    _check_vector_info(lambda **kw: VectorTrial(make(**kw), episodes=3), num_envs, steps)


def check_distribution(distribution: TaskDistribution) -> None:
    """Splits are real, tasks survive JSON, the task vector, if there is one, is in [-1, 1], samples repeat by seed.

    Real means that no two splits share a task; or, for a distribution that declares itself `closed`, that each
    split's frozen list, that of ``train`` too, holds every member exactly once.
    """
    lists: dict[str, set[str]] = {}
    for split in distribution.splits:
        batch = distribution.sample(16, split, np.random.default_rng(7))
        again = distribution.sample(16, split, np.random.default_rng(7))
        assert (batch.ids == again.ids).all(), f"split {split!r}: the same seed gave other tasks"
        _check_task_vector(distribution, batch, split)
        for task in batch.tasks():
            assert type(task).from_json(task.to_json()) == task, f"JSON changed {task}"
            assert TaskBatch.from_tasks([task]).ids[0] == task.id
        if split == "train" and not distribution.closed:
            lists[split] = set(distribution.sample(256, split, np.random.default_rng(11)).ids)
            continue
        frozen = distribution.frozen(split)
        assert frozen.sha256 == frozen.tasks.sha256, f"the frozen list of {split!r} is not what was frozen"
        assert len(frozen.reference.oracle) == len(frozen.reference.random) == len(frozen)
        lists[split] = set(frozen.tasks.ids)
        assert not distribution.closed or len(lists[split]) == len(frozen), f"{split!r}: a member is listed twice"
        assert set(batch.ids) <= lists[split], f"{split!r}: sample() leaves the frozen list"
    for first, second in combinations(lists, 2):
        if distribution.closed:
            assert lists[first] == lists[second], f"closed family: {first!r} and {second!r} hold other members"
        else:
            assert not lists[first] & lists[second], f"splits {first!r} and {second!r} share tasks"
    _expect(TaskError, lambda: distribution.sample(1, "tset", np.random.default_rng(0)), "an unknown split", "tset")


def _check_task_vector(distribution: TaskDistribution, batch: TaskBatch, split: str) -> None:
    try:
        vector = distribution.task_vector(batch)
    except NotImplementedError:  # it is optional
        return
    assert vector.dtype == np.float32 and np.abs(vector).max() <= 1, f"{split!r}: task vector outside [-1, 1]"


def check_trial(trial: Trial, seed: int = 3) -> None:
    """Nothing is lost at inner boundaries: rewards fed back sum to the episodes' returns, the flag fires K-1 times.

    Runs one trial with random allowed actions. The last reward arrives with the trial's last observation.
    """
    observation, info = trial.reset(seed=seed)
    task, fed_back, flags, returns, total, done = info["task_id"], 0.0, 0, [], 0.0, False
    assert (observation[-3:] == 0).all(), "a trial's first observation must remember nothing"
    rng = np.random.default_rng(seed)
    while not done:
        before = flags
        observation, reward, done, truncated, info = trial.step(_random_action(trial.action_space, info, rng))
        assert not truncated, "the end of a trial is terminated, never truncated"
        assert info["task_id"] == task, "the task changed within a trial"
        assert trial.observation_space.contains(observation), "the trial's observation is outside its space"
        fed_back += float(observation[-3])
        flags += int(observation[-2]) if not done else 0
        total += reward
        if info["episode_end"]:
            returns.append(info["episode_return"])
            assert done or flags == before + 1, "an episode ended and the boundary flag stayed down"
    assert flags == trial.episodes - 1, f"the boundary flag fired {flags} times in {trial.episodes} episodes"
    assert len(returns) == trial.episodes
    np.testing.assert_allclose(fed_back, sum(returns), rtol=1e-5, atol=1e-5)
    expected = sum(returns) if trial.trial_state.objective == "sum" else max(returns)
    np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-9)


def _random_action(space: gym.spaces.Space[Any], info: dict[str, Any], rng: np.random.Generator) -> Any:
    if isinstance(space, gym.spaces.Discrete):
        assert np.any(info["action_mask"]), "no action is allowed"
        return int(rng.choice(np.flatnonzero(info["action_mask"]))) + int(space.start)
    assert isinstance(space, gym.spaces.Box)
    return rng.uniform(space.low, space.high).astype(np.float32)


def _random_actions(env: BatchedEnv, info: dict[str, Any], rng: np.random.Generator) -> NDArray[Any]:
    """An allowed one for each sub-environment."""
    rows = [{k: v[i] for k, v in info.items() if k == "action_mask"} for i in range(env.num_envs)]
    return np.array([_random_action(env.single_action_space, row, rng) for row in rows])


def _check_task_from_outside(env: gym.Env[Any, Any], inner: MetaEnv) -> None:
    for split in inner.distribution.splits:
        task = inner.distribution.sample(1, split, np.random.default_rng(5)).task(0)
        _, info = env.reset(seed=1, options={"task": task})
        assert inner.task == task and task_id(info["task_id"]) == task.id, (
            f"reset(options={{'task': …}}) failed for {split!r}"
        )


def _check_keeps_task(env: gym.Env[Any, Any], inner: MetaEnv) -> None:
    env.reset(seed=1)
    first = inner.task
    env.reset(options={"keep_task": True})
    assert inner.task == first, "keep_task did not keep the task"
    seen = {inner.task.id}
    for _ in range(20):
        env.reset()
        seen.add(inner.task.id)
    assert len(seen) > 1 or _is_alone(inner.distribution), "reset() must draw new tasks"


def _is_alone(distribution: TaskDistribution) -> bool:
    """Whether there is one task only."""
    return distribution.closed and len(distribution.frozen(distribution.splits[0])) == 1


def _check_seeding(env: gym.Env[Any, Any], steps: int) -> None:
    first, second = (_trace(env, env.reset(seed=42), steps) for _ in range(2))
    assert _alike(first, second), "the same seed gave another trajectory"
    # Of a few tasks, two seeds may give the same one by chance.
    others = (_trace(env, env.reset(seed=seed), steps) for seed in range(43, 63))
    only = _is_alone(env.unwrapped.distribution)  # pyright: ignore[reportAttributeAccessIssue]
    assert only or not all(_alike(first, other) for other in others), "every seed gives the same trajectory"


def _trace(env: gym.Env[Any, Any], begun: tuple[Any, dict[str, Any]], steps: int) -> list[NDArray[Any]]:
    """What random actions, always the same, meet after a reset, or after what else has given ``begun``."""
    rng, (observation, info) = np.random.default_rng(0), begun
    trace: list[NDArray[Any]] = [np.append(observation, _number(info["task_id"]))]
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(_random_action(env.action_space, info, rng))
        trace.append(np.append(observation, float(reward)))
        if terminated or truncated:
            observation, info = env.reset()
            trace.append(np.append(observation, _number(info["task_id"])))
    return trace


def _alike(first: list[NDArray[Any]], second: list[NDArray[Any]]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _number(task_id: int) -> float:
    """Where rewards are rare, the task alone tells two trajectories apart."""
    return float(task_id % 2**48)  # 48 bits, which a float holds exactly


def _check_refusals(env: gym.Env[Any, Any], steps: int) -> None:
    """Malformed actions and resets are refused, and change nothing."""

    class Foreign(Task):
        family = "Foreign"

    begun = deepcopy(env.reset(seed=0))
    twin = deepcopy(env)
    for action in _malformed_actions(env.action_space):
        _expect(ValueError, partial(env.unwrapped.step, action), f"malformed action {action!r}")
    _expect(TaskError, lambda: env.reset(options={"task": Foreign()}), "a task of another family")
    _expect(TaskError, lambda: env.reset(options={"taks": None, "tsk": 1}), "an unknown option")
    _expect(ValueError, lambda: env.reset(seed=-1), "a negative seed")
    assert _alike(_trace(env, begun, steps), _trace(twin, begun, steps)), "a refused call has changed something"


def _malformed_actions(space: gym.spaces.Space[Any]) -> list[Any]:
    if isinstance(space, gym.spaces.Discrete):
        return [int(space.start + space.n), int(space.start) - 1, 0.5, np.nan, [0, 0]]
    assert isinstance(space, gym.spaces.Box)
    middle = (space.low + space.high) / 2
    nan, far = middle.copy(), middle.copy()
    nan.flat[0], far.flat[0] = np.nan, space.high.flat[0] + 1
    return [nan, far, middle[..., None], np.inf * np.ones_like(middle)]


def _expect(kind: type[Exception], call: Callable[[], Any], what: str, named: str = "") -> None:
    """The call is refused, with a message that says more than a word or two, among them what is wrong."""
    try:
        call()
    except kind as error:
        assert len(str(error)) > 20 and named in str(error), f"{what}: the message {str(error)!r} helps nobody"
        return
    raise AssertionError(f"{what} was accepted")


def _check_masks(env: gym.Env[Any, Any]) -> None:
    if not isinstance(env.action_space, gym.spaces.Discrete):
        return
    _, info = env.reset(seed=0)
    mask = info["action_mask"]
    assert mask.dtype == np.int8 and mask.shape == (env.action_space.n,), "action_mask must be int8, (n,)"
    assert mask.any(), "no action is allowed"
    np.testing.assert_array_equal(env.get_wrapper_attr("action_masks")(), mask.astype(bool))
    for action in np.flatnonzero(mask == 0):
        env.reset(seed=0)
        env.step(int(action) + int(env.action_space.start))  # harmless by contract: must not raise
    (_, info), over, rng = env.reset(seed=0), False, np.random.default_rng(0)
    while not over and info["action_mask"].all():
        _, _, terminated, truncated, info = env.step(_random_action(env.action_space, info, rng))
        over = terminated or truncated
    if not over:
        env.step(int(np.argmin(info["action_mask"])) + int(env.action_space.start))


def _check_pickle(inner: MetaEnv) -> None:
    inner.reset(seed=9)
    copy = pickle.loads(pickle.dumps(inner))
    action = inner.action_space.sample()
    np.testing.assert_array_equal(inner.step(action)[0], copy.step(action)[0], err_msg="a pickled copy plays otherwise")


def _check_info(env: gym.Env[Any, Any], steps: int) -> None:
    """The info has the same keys at every step, of numbers only; so has that of a trial."""
    for each in (env, Trial(env, episodes=2)):
        _, info = each.reset(seed=4)
        rng, expected = np.random.default_rng(0), set(info)
        for _ in range(steps):
            _, _, terminated, truncated, info = each.step(_random_action(each.action_space, info, rng))
            assert set(info) == expected, f"info has other keys than before: {set(info) ^ expected}"
            for name, value in info.items():
                assert np.asarray(value).dtype.kind in "biuf", f"info[{name!r}] is no number: {value!r}"
            if terminated or truncated:
                _, info = each.reset()


def _check_declarations(env: gym.Env[Any, Any], batch: BatchedEnv, steps: int) -> None:
    """Observations, rewards and lengths of episodes are those that the environment declares, its spec too."""
    length, (low, high), rng = batch.episode_length, batch.reward_range, np.random.default_rng(0)
    assert env.spec is None or length is None or env.spec.max_episode_steps is not None, (
        "spec.max_episode_steps is unset"
    )
    (observation, info), played = env.reset(seed=5), 0
    for _ in range(max(steps, length or 0)):
        assert env.observation_space.contains(observation), f"the observation is outside its space: {observation}"
        observation, reward, terminated, truncated, info = env.step(_random_action(env.action_space, info, rng))
        assert low <= float(reward) <= high, f"the reward {reward} is not from {low} to {high}, the reward_range"
        played += 1
        assert length is None or (terminated or truncated) == (played == length), (
            f"an episode of {played} steps, expected {length} of them, the episode_length"
        )
        if terminated or truncated:
            (observation, info), played = env.reset(), 0


def _check_render(inner: MetaEnv) -> None:
    for mode in inner.metadata["render_modes"]:
        fresh = deepcopy(inner)  # made anew, it might want arguments that nobody here knows
        fresh.batch._tasks, fresh.batch.render_mode = None, mode
        _expect(gym.error.ResetNeeded, fresh.render, "render() before reset()")


def _check_rows_are_scalars(make: Factory, n: int, steps: int, mode: AutoresetMode) -> None:
    """Row i of a batch plays, bit for bit, what a batch of one with its seed plays."""
    batch = make(num_envs=n, autoreset_mode=mode)
    singles = [make(num_envs=1, autoreset_mode=mode) for _ in range(n)]
    assert batch.metadata["autoreset_mode"] is mode
    observation, info = batch.reset(seed=100)
    ones: list[Any] = [env.reset(seed=100 + i) for i, env in enumerate(singles)]
    _assert_rows(observation, [o for o, _ in ones], "reset observation")
    assert batch.observation_space.contains(observation), "reset observation outside the space"
    rng = np.random.default_rng(1)
    for _ in range(steps):
        actions = _random_actions(batch, info, rng)
        result: Any = batch.step(actions)
        ones = [env.step(actions[i : i + 1]) for i, env in enumerate(singles)]
        for part, name in enumerate(("observation", "reward", "terminated", "truncated")):
            _assert_rows(result[part], [o[part] for o in ones], name)
        info = result[4]
        _assert_rows(info["task_id"], [o[4]["task_id"] for o in ones], "task_id")
        if mode is AutoresetMode.DISABLED and (done := result[2] | result[3]).any():
            _expect(ResetNeeded, partial(batch.step, actions), "stepping a finished sub-environment")
            _, info = batch.reset(options={"reset_mask": done})
            for i in np.flatnonzero(done):
                singles[i].reset(options={"reset_mask": np.array([True])})


def _assert_rows(batch: NDArray[Any], rows: list[NDArray[Any]], name: str) -> None:
    np.testing.assert_array_equal(batch, np.concatenate(rows), err_msg=f"{name}: a row is not its scalar twin")


def _check_final_observations(make: Factory, n: int, steps: int) -> None:
    """SAME_STEP: the final observation of an episode is in the info, the observation is the next one's first."""
    same = make(num_envs=n, autoreset_mode=AutoresetMode.SAME_STEP)
    off = make(num_envs=n, autoreset_mode=AutoresetMode.DISABLED)
    _, info = same.reset(seed=5)
    off.reset(seed=5)
    rng, ended = np.random.default_rng(2), 0
    for _ in range(steps):
        actions = _random_actions(same, info, rng)
        observation, _, terminated, truncated, info = same.step(actions)
        last, _, _, _, _ = off.step(actions)
        if (done := terminated | truncated).any():
            np.testing.assert_array_equal(info["_final_obs"], done, err_msg="_final_obs says where episodes end")
            np.testing.assert_array_equal(info["final_obs"][done], last[done], err_msg="final_obs")
            first, _ = off.reset(options={"reset_mask": done})
            np.testing.assert_array_equal(observation, first, err_msg="the first observation after an autoreset")
            ended += 1
    assert ended, f"no episode ended within {steps} steps: call with more steps"


def _check_vector_info(make: Factory, n: int, steps: int) -> None:
    """The keys of info are the same at every step, each with its mask; only numbers."""
    env = make(num_envs=n, autoreset_mode=AutoresetMode.NEXT_STEP)
    _, info = env.reset(seed=6)
    rng, expected = np.random.default_rng(3), set(info)
    for _ in range(steps):
        *_, info = env.step(_random_actions(env, info, rng))
        assert set(info) == expected, f"info has other keys than before: {set(info) ^ expected}"
        for name, values in info.items():
            assert values.dtype.kind in "biuf" and len(values) == n, f"info[{name!r}] must hold {n} numbers"
            assert name.startswith("_") or f"_{name}" in info, f"info lacks the mask _{name}"


def _check_refused(make: Factory, n: int, steps: int) -> None:
    """A reset or a step that is refused changes nothing."""
    mask = np.arange(n) == n - 1
    tried, twin = (make(num_envs=n, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    (_, info), _ = tried.reset(seed=8), twin.reset(seed=8)
    for options in ({"tsk": 1}, {"task": "a"}, {"tasks": [], "reset_mask": mask}, {"reset_mask": np.ones(n + 1, bool)}):
        _expect(TaskError, lambda options=options: tried.reset(seed=99, options=options), f"reset with {options}")
    _expect(ValueError, lambda: tried.reset(seed=[1] * (n + 1)), "a seed too many")
    actions = list(_random_actions(tried, info, np.random.default_rng(0)))
    for wrong in _malformed_actions(tried.single_action_space)[:2]:
        _expect(ValueError, lambda wrong=wrong: tried.step(np.array([*actions[1:], wrong])), f"the action {wrong}")
    _check_twins(tried, twin, info, steps, "a refused call has changed something")


def _check_partial_reset(make: Factory, n: int, steps: int) -> None:
    """A reset of one row leaves the others alone, and their streams."""
    tried, twin = (make(num_envs=n, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    (before, info), _ = twin.reset(seed=8), tried.reset(seed=8)
    after, _ = tried.reset(seed=99, options={"reset_mask": np.arange(n) == n - 1})
    np.testing.assert_array_equal(after[:-1], before[:-1], err_msg="a partial reset touched other rows")
    _check_twins(tried, twin, info, steps, "a partial reset touched other rows or their streams", slice(n - 1))


def _check_handed_out(make: Factory, n: int, steps: int) -> None:
    """Arrays that are handed out do not change later, and may be written to."""
    tried, twin = (make(num_envs=n, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    (observation, info), (_, same) = tried.reset(seed=9), twin.reset(seed=9)
    _overwrite([observation, *info.values()])
    _check_twins(tried, twin, same, steps, "an array that was handed out is the environment's own", overwrite=True)


def _check_twins(
    tried: BatchedEnv,
    twin: BatchedEnv,
    info: dict[str, Any],
    steps: int,
    message: str,
    rows: slice = ALL,
    overwrite: bool = False,
) -> None:
    """Both play the same in ``rows``; ``info`` is the twin's."""
    rng = np.random.default_rng(4)
    handed: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for _ in range(min(steps, 20)):
        actions = _random_actions(twin, info, rng)
        results = [(env, *env.step(actions)) for env in (tried, twin)]
        ours, theirs = ([*result[1:5], *result[5].values()] for result in results)
        assert all(np.array_equal(a[rows], b[rows]) for a, b in zip(ours, theirs, strict=True)), message
        handed += [(array, array.copy()) for array in theirs]
        for env, _, _, terminated, truncated, info in results:
            if (done := terminated | truncated).any():
                _, info = env.reset(options={"reset_mask": done})
        if overwrite:
            _overwrite(ours)
    assert all(np.array_equal(array, copy) for array, copy in handed), "an array that was handed out changed later"


def _overwrite(arrays: list[NDArray[Any]]) -> None:
    for array in arrays:
        if array.flags.writeable:
            array.fill(1)
