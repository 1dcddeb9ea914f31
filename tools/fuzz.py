"""Try random operations on every environment, valid and invalid ones, beside a twin that gets the valid ones only.

    python tools/fuzz.py                                    20,000 operations on each registered environment
    python tools/fuzz.py --ids GridNavi --operations 500    fewer of them, on some environments
    python tools/fuzz.py --ids GridNavi --session 17        one session again, whose number a fault has told

Each environment is tried in all its forms: scalar, vector and trials, in every autoreset mode. After an operation both
twins must have answered the same, bit for bit; after a refused one they must go on the same, too. Only ValueError, of
which TaskError is a kind, and ResetNeeded may come. What was handed in and out is overwritten afterwards.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from metaenv import ENVIRONMENTS, Task, Trial, full_id, make_trials

MODES = [mode.value for mode in AutoresetMode]
FORMS = ["scalar", "trial", *(f"{kind} {mode}" for kind in ("vector", "trials") for mode in MODES)]
FINAL = {"final_obs", "_final_obs", "final_info", "_final_info"}
ABSURD = (
    *(1e308, -1e308, 1e12, -1.0, float("nan"), float("inf"), 10**400, True, None, "1", [], [1.0], [[1.0]], {}, 1j),
)
"""What is no value of a task's field, or seldom one."""
NO_ACTIONS = (None, "jump", "", {}, set(), object(), 1j, [], [[1], [2, 3]], np.nan, 10**400, [10**400], min)
NO_SEEDS = (-1, 1.5, "seven", np.nan, {}, b"1", object(), [1] * 9, [[1]], min)
BAD_SETTINGS: list[dict[str, Any]] = [
    *({"split": split} for split in ("tset", 3, None)),
    *({"tasks": tasks} for tasks in (0, -1, [], "many", 1.5, [3], True)),
    *({"task": task} for task in (3, {}, "a")),
    {"distribution": 5},
]
BAD_VECTOR_SETTINGS: list[dict[str, Any]] = [
    *({"num_envs": n} for n in (0, -1, 1.5, "two")),
    *({"max_episode_steps": steps} for steps in (0, -1, 1.5, "two")),
    *({"autoreset_mode": "never"}, {"render_mode": 5}),
]
BAD_TRIALS: list[dict[str, Any]] = [{"episodes": 0}, {"episodes": 1.5}, {"episodes": "two"}, {"objective": "bset"}]


class Fault(Exception):
    """A promise that an environment has broken."""


class Foreign(Task):
    """A task of no environment."""

    family = "Foreign"


@dataclass(frozen=True)
class Operation:
    """Something to do to an environment."""

    text: str
    call: Callable[[Any], Any]
    valid: bool | None = True
    """Whether it must be accepted (True), refused (False), or may be either (None)."""
    mask: Any = np.True_
    """Of a reset: which sub-environments."""
    handed_in: Any = None


@dataclass
class Result:
    """What came of the operations on an environment."""

    done: Counter[str] = field(default_factory=Counter)
    """How many operations there were, by their kind and by whether they were accepted."""
    faults: list[str] = field(default_factory=list)


class Session:
    """An environment in one of its forms, its twin, and what is known of them."""

    def __init__(self, name: str, form: str, rng: np.random.Generator, pictures: bool) -> None:
        self.name, self.rng, (self.kind, _, self.mode) = full_id(name), rng, form.partition(" ")
        self.scalar = self.kind in ("scalar", "trial")
        self.n = 1 if self.scalar else int(rng.integers(1, 5))
        self.distribution: Any = gym.make(self.name).get_wrapper_attr("distribution")
        settings = {**self.settings(), "render_mode": self.pick([None, *3 * ["ansi"], *pictures * ["rgb_array"]])}
        self.tried, self.twin = self.made(**settings), self.made(**settings)
        self.space: Any = self.tried.action_space if self.scalar else self.tried.single_action_space
        self.discrete = isinstance(self.space, gym.spaces.Discrete)
        self.playing, self.waiting = np.zeros(self.n, bool), np.zeros(self.n, bool)
        self.started = False
        self.masks = np.ones((self.n, int(self.space.n) if self.discrete else 1), bool)
        self.keys: set[str] = set()

    def pick(self, options: Any) -> Any:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def settings(self) -> dict[str, Any]:
        """Settings of an environment, some by default."""
        some = {
            "split": self.pick(self.distribution.splits),
            "tasks": self.pick([3, self.distribution.sample(2, "train", self.rng).tasks(), None, None, None, None]),
            "text_info": self.rng.random() < 0.2,
        }
        if not self.scalar:  # a scalar one has Gymnasium's TimeLimit, which counts refused steps too
            some["max_episode_steps"] = self.pick([None, None, int(self.rng.integers(1, 9))])
        if self.kind == "trials":
            some |= {"episodes": int(self.rng.integers(1, 4)), "objective": self.pick(["sum", "best", None])}
            some |= {"observe_task": self.rng.random() < 0.2, "hide_history": self.rng.random() < 0.2}
        return some

    def made(self, **settings: Any) -> Any:
        """The environment in this form."""
        if self.scalar:
            # Gymnasium 1.4's checker fails in the first step where the first reset was refused.
            env = gym.make(self.name, disable_env_checker=True, **settings)
            return Trial(env, episodes=2) if self.kind == "trial" else env
        make: Any = make_trials if self.kind == "trials" else gym.make_vec
        return make(self.name, **{"num_envs": self.n, "autoreset_mode": self.mode, **settings})

    # OPERATIONS

    def operation(self) -> Operation:
        """A random one."""
        kinds = {
            self.good_step: 40, self.bad_step: 12, self.good_reset: 12, self.bad_reset: 16, self.look: 14,
            self.other: 5,
        }  # fmt: skip
        weights = np.array(list(kinds.values()))
        return list(kinds)[int(self.rng.choice(len(kinds), p=weights / weights.sum()))]()

    def actions(self) -> Any:
        """Actions in the space as an array, mostly allowed ones."""
        if self.discrete:
            allowed = self.masks if self.rng.random() < 0.9 else np.ones_like(self.masks)
            actions = np.argmax(np.where(allowed, self.rng.random(allowed.shape), -1), axis=1) + self.space.start
        else:
            share = self.rng.random((self.n, *self.space.shape))
            share = share if self.rng.random() < 0.7 else np.round(share)  # to the corners
            actions = self.space.low + share * (self.space.high - self.space.low)
        return actions[0] if self.scalar else actions

    def step(self, actions: Any, valid: bool) -> Operation:
        """A step with these actions."""
        return Operation(f"step({actions!r})", lambda env: env.step(actions), valid, handed_in=actions)

    def good_step(self) -> Operation:
        """Valid actions, in some form."""
        forms = [int, np.int32] if self.scalar else [np.int32, list]
        form = self.pick([np.array, *(forms if self.discrete else [np.float32, list])])
        return self.step(form(self.actions()), bool((self.playing | self.waiting).all()))

    def bad_step(self) -> Operation:
        """Actions of a wrong kind, shape or range."""
        good = np.asarray(self.actions())
        wrong = [*NO_ACTIONS, good[None], good[..., None], np.full(good.shape, None), np.full(good.shape, "nan")]
        wrong += [good.astype(kind) for kind in (str, complex, object)]
        if self.discrete:
            last = int(self.space.start + self.space.n)
            wrong += [good + last, good * 0 + self.space.start - 1, good + 0.5, good.astype(float), good > 0]
            wrong += [np.full(good.shape, 2**63, np.uint64), np.full(good.shape, np.iinfo(np.int64).min)]
        else:
            for value in (np.nan, np.inf, -np.inf, 1e308, float(self.space.high.max()) + 1e-3):
                wrong.append(good.astype(float))
                wrong[-1].flat[int(self.rng.integers(good.size))] = value
        return self.step(self.pick(wrong), False)

    def task(self) -> Any:
        """One task, as such or as a dictionary."""
        task = self.distribution.sample(1, self.pick(self.distribution.splits), self.rng).task(0)
        return self.pick([task, task.to_dict()])

    def reset(self, seed: Any, options: Any, valid: bool | None, mask: Any = np.True_) -> Operation:
        """A reset with this seed and these options."""
        text = f"reset(seed={seed!r}, options={options!r})"
        return Operation(text, lambda env: env.reset(seed=seed, options=options), valid, mask, (seed, options))

    def good_reset(self) -> Operation:
        """A valid reset; before the first one perhaps an invalid one."""
        mask, options, valid = np.ones(self.n, bool), {}, True
        if not self.scalar and self.rng.random() < 0.4:
            mask = self.rng.random(self.n) < 0.6
            options["reset_mask"] = self.pick([mask.copy(), mask.tolist()])
            valid = self.started or bool(mask.all())
        what = self.pick(["task", "tasks", "keep_task", *4 * [""]])
        if what == "task":
            options["task"] = self.pick([self.task(), None])
        elif what == "tasks" and mask.any():
            tasks = [self.task() for _ in range(self.pick([self.n, int(mask.sum())]))]
            batch = self.distribution.sample(len(tasks), "train", self.rng)
            options["tasks"] = self.pick([tasks, [self.pick([task, None]) for task in tasks], batch])
        elif what == "keep_task":
            options["keep_task"] = self.pick([True, False, self.rng.random(self.n) < 0.6])
            valid &= self.started or not (options["keep_task"] & mask).any()
        seeds = [int(self.rng.integers(10)), np.int64(self.rng.integers(2**40)), 2**70]
        seed = self.pick(seeds + self.started * [None, None, None])  # without a seed, the twins would differ at first
        if not self.scalar and self.rng.random() < 0.2:
            seed = [self.pick(seeds + self.started * [None, None]) for _ in range(self.n)]
        return self.reset(seed, options if options or self.rng.random() < 0.5 else None, valid, mask)

    def bad_reset(self) -> Operation:
        """A reset with something wrong in it, beside what is right."""
        task, more, n = self.task(), self.distribution.sample(self.n + 1, "train", self.rng), self.n
        if self.rng.random() < 0.2:
            return self.reset(self.pick(NO_SEEDS), None, False)
        if self.rng.random() < 0.3:
            values = dict(task.to_dict() if isinstance(task, Task) else task)
            name, value = self.pick([name for name in values if name != "family"]), self.pick(ABSURD)
            one_of_several = isinstance(values[name], list) and self.rng.random() < 0.5
            values[name] = [value, *values[name][1:]] if one_of_several else value
            return self.reset(1, {"task": values}, None)
        wrong: list[Any] = [
            "all", 3, ["task"], {"tsk": task}, {1: 2}, {"split": "test"}, {"task": task, "tasks": [task] * n},
            {"task": task, "keep_task": True},
            *({"task": no} for no in ("a", 3, [], {}, Foreign(), {"family": "Foreign"}, [task, task], object())),
            *({"tasks": no} for no in (more, more.tasks(), [], "abc", 5, [None] * (n + 1), [3] * n, [Foreign()] * n)),
            *({"tasks": no} for no in ((t for t in more.tasks()), [task, "a"], np.array([task] * n))),
            *({"reset_mask": no} for no in (np.ones(n + 1, bool), np.ones(n, int), "all", [[True], [True, False]], {})),
            *({"keep_task": no} for no in (1, "yes", [True] * (n + 1))),
        ]  # fmt: skip
        return self.reset(self.pick([None, 1]), self.pick(wrong), False)

    def look(self) -> Operation:
        """Something that changes nothing but what it must."""
        seed, split = int(self.rng.integers(100)), self.pick(self.distribution.splits)
        masks = self.masks.astype(np.int8)

        def sample(env: Any) -> Any:
            env.action_space.seed(seed)
            if not self.discrete:
                return env.action_space.sample()
            return env.action_space.sample(masks[0] if self.scalar else tuple(masks))

        def no_np_random(env: Any) -> str:
            try:
                return str(env.np_random)
            except AttributeError as error:
                return str(error)

        def inner(env: Any) -> Any:
            return env.unwrapped.batch if self.scalar else env

        possible = [
            Operation("render()", lambda env: env.render(), self.started),
            Operation("tasks", lambda env: copy.deepcopy(inner(env).tasks.columns), self.started),
            Operation("task_vector()", lambda env: inner(env).task_vector(), self.started),
            Operation("action_masks()", lambda env: inner(env).action_masks(), self.started and self.discrete),
            Operation("action_space.sample()", sample),
            Operation("seeds", lambda env: inner(env).np_random_seed),
            Operation("sample()", lambda env: self.distribution.sample(1, split, np.random.default_rng(seed)).ids),
            Operation("sample('tset')", lambda env: self.distribution.sample(1, "tset", self.rng), False),
            Operation("sample(0)", lambda env: self.distribution.sample(0, split, self.rng), False),
            Operation("frozen('tset')", lambda env: self.distribution.frozen("tset"), False),
        ]
        return self.pick(possible if self.scalar else [*possible, Operation("np_random", no_np_random)])

    def other(self) -> Operation:
        """Go on with a copy, close (nothing is held open), begin anew in another way, or make what cannot be."""
        mode, how = (
            self.pick([*MODES, "never"]),
            self.pick([copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))]),
        )

        def go_on_with_copy(env: Any) -> None:
            self.tried = how(env) if env is self.tried else self.tried

        wrong = [*BAD_SETTINGS, {"task": self.task(), "tasks": 2}, {"distribution": self.distribution, "split": "b"}]
        settings = self.pick(wrong + (not self.scalar) * BAD_VECTOR_SETTINGS + (self.kind == "trials") * BAD_TRIALS)
        possible = [
            *3 * [Operation("copy", go_on_with_copy)],
            Operation("close()", lambda env: env.close()),
            Operation(f"made({settings!r})", lambda env: self.made(**settings), False),
        ]
        if not self.scalar:
            call = lambda env: env.use_autoreset_mode(mode)  # noqa: E731
            possible.append(Operation(f"use_autoreset_mode({mode!r})", call, mode in MODES))
        return self.pick(possible)

    # WHAT CAME OF IT

    def play(self, operation: Operation, result: Result) -> None:
        """Do an operation and see that nothing is wrong with what comes of it. Raises Fault."""
        kind = operation.text.partition("(")[0]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", UserWarning)  # Gymnasium's, on render() without a mode for example
                answer = operation.call(self.tried)
        except (ValueError, ResetNeeded) as error:
            result.done[f"{kind}, refused"] += 1
            if operation.valid or len(str(error)) < 20:
                raise Fault(f"refused, or with a message that helps nobody: {error!r}") from error
            if self.rng.random() < 0.05:
                self.go_on_the_same()
            return
        result.done[kind] += 1
        if operation.valid is False:
            raise Fault("accepted")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same(answer, operation.call(self.twin))
        if kind == "use_autoreset_mode":
            self.playing, self.waiting = self.playing & False, self.waiting & False
        if kind in ("reset", "step"):
            self.check(answer, operation.mask)
        overwrite(answer)
        overwrite(operation.handed_in)

    def check(self, answer: Any, mask: Any) -> None:
        """See that an environment has told numbers that it may tell, and keep what the next operation must know."""
        observation, *outcome, info = answer
        if not self.tried.observation_space.contains(observation):
            raise Fault(f"the observation is outside of its space: {observation}")
        keys = set(info) - FINAL
        if self.keys and keys != self.keys:
            raise Fault(f"info has other keys than before: {keys ^ self.keys}")
        self.keys, self.masks = keys, np.atleast_2d(info["action_mask"]) > 0 if self.discrete else self.masks
        for name, value in {**info, **info.get("final_info", {})}.items():
            if np.asarray(value).dtype.kind == "f" and not np.isfinite(value).all():
                raise Fault(f"info[{name!r}] is {value}")
        if not outcome:
            self.started = True
            self.playing |= mask
            self.waiting &= ~mask
            return
        batch = self.tried.unwrapped.batch if self.scalar else self.tried
        reward, done = np.atleast_1d(outcome[0]), np.atleast_1d(outcome[1]) | np.atleast_1d(outcome[2])
        low, high = batch.reward_range
        if self.kind in ("trial", "trials") and self.tried.trial_state.objective == "best":
            # The first episode pays its whole return; later ones what they improve, from the worst to the best at most.
            length = batch.episode_length or 1_000
            low, high = min(low, low * length), max(high, (high - low) * length)
        if not ((low <= reward) & (reward <= high) & np.isfinite(reward)).all():
            raise Fault(f"the reward is {reward}, expected from {low} to {high}")
        over = done & (batch.autoreset_mode is not AutoresetMode.SAME_STEP)
        self.playing = (self.playing | self.waiting) & ~over
        self.waiting = over & (batch.autoreset_mode is AutoresetMode.NEXT_STEP)

    def go_on_the_same(self) -> None:
        """Copies of both twins play on the same."""
        copies, actions = (copy.deepcopy(self.tried), copy.deepcopy(self.twin)), self.actions()
        if (self.playing | self.waiting).all():
            same(*(env.step(actions) for env in copies))
        for seed in (None, 5)[not self.started :]:
            same(*(env.reset(seed=seed) for env in copies))
            same(*(env.step(actions) for env in copies))


def same(a: Any, b: Any, where: str = "") -> None:
    """Raise Fault unless both are the same, to the last bit."""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and set(a) == set(b):
        for name in a:
            same(a[name], b[name], f"{where}[{name!r}]")
    elif isinstance(a, tuple | list) and isinstance(b, tuple | list) and len(a) == len(b):
        for i, (first, second) in enumerate(zip(a, b, strict=True)):
            same(first, second, f"{where}[{i}]")
    else:
        first, second = np.asarray(a), np.asarray(b)
        alike = type(a) is type(b) and first.dtype == second.dtype and first.shape == second.shape
        if not alike or (first.tobytes() != second.tobytes() if first.dtype != object else (first != second).any()):
            raise Fault(f"the twin answers otherwise{where}: {a!r}, twin {b!r}")


def overwrite(data: Any) -> None:
    """Write over all that can be written to."""
    if isinstance(data, tuple | list | dict):
        for part in data.values() if isinstance(data, dict) else data:
            overwrite(part)
        if not isinstance(data, tuple):
            data.clear()
    elif isinstance(data, np.ndarray) and data.flags.writeable and data.dtype.kind in "biuf":
        data.fill(1)


def fuzz(name: str, operations: int, sessions: Iterator[int], length: int = 100, pictures: bool = True) -> Result:
    """Try so many operations on an environment.

    Args:
        name: of the environment.
        operations: how many, at least.
        sessions: numbers of sessions, which are their seeds and say their forms.
        length: operations of a session, which is of one environment and its twin.
        pictures: whether some sessions draw pictures, which takes long.
    """
    result = Result()
    for number in sessions:
        if result.done.total() >= operations:
            break
        form, operation = FORMS[number % len(FORMS)], Operation("made()", lambda env: None)
        try:
            session = Session(name, form, np.random.default_rng(number), pictures)
            for _ in range(length):
                operation = session.operation()
                session.play(operation, result)
        except Exception as fault:
            told = fault if isinstance(fault, Fault) else f"{type(fault).__name__}: {fault}"
            text = " ".join(f"{operation.text[:300]}: {str(told)[:500]}".split())
            result.faults.append(f"{name}, {form}, session {number}: {text}")
    return result


def main() -> int:
    """Parse the command line, try every environment and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ids", nargs="*", default=list(ENVIRONMENTS), help="environments, by default all")
    parser.add_argument("--operations", type=int, default=20_000, help="of each environment")
    parser.add_argument("--seed", type=int, default=0, help="number of the first session")
    parser.add_argument("--session", type=int, help="only this session")
    parser.add_argument("--no-pictures", action="store_true", help="draw none, which is quicker")
    given = parser.parse_args()
    faults = 0
    for name in given.ids:
        start = time.process_time()
        sessions = count(given.seed) if given.session is None else iter([given.session])
        result = fuzz(name, given.operations, sessions, pictures=not given.no_pictures)
        refused = sum(n for kind, n in result.done.items() if kind.endswith("refused"))
        told = f"{result.done.total()} operations, {refused} of them refused; {len(result.faults)} faults"
        print(f"{name:24s} {told}; {time.process_time() - start:.0f} s", *result.faults, sep="\n    ", flush=True)
        faults += len(result.faults)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
