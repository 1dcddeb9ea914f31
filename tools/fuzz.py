"""Try random operations on every environment, valid and invalid ones, beside a twin that gets the valid ones only.

    python tools/fuzz.py                                    20,000 operations on each registered environment
    python tools/fuzz.py --ids GridNavi --operations 500    fewer of them, on some environments
    python tools/fuzz.py --ids GridNavi --session 17        one session again, whose number a fault has told

Each environment is tried in all its forms: scalar, vector and trials, in every autoreset mode. After an operation both
twins must have answered the same, bit for bit; after a refused one they must go on the same, too. Only ValueError, which
TaskError is, and ResetNeeded may come. What is handed out, and what was handed in, is overwritten afterwards.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from metaenv import ENVIRONMENTS, ObserveTask, Task, Trial, full_id, make_trials

MODES = [mode.value for mode in AutoresetMode]
FORMS = ["scalar", "trial", *(f"{kind} {mode}" for kind in ("vector", "trials") for mode in MODES)]
REFUSALS = (ValueError, ResetNeeded)
LENGTH = 100  # operations of a session: of one environment and its twin
FINAL = {"final_obs", "_final_obs", "final_info", "_final_info"}
ABSURD = (
    *(1e308, -1e308, 1e12, 1e4, -1.0, -1e-9, float("nan"), float("inf"), float("-inf"), 10**400, 2**63),
    *(True, None, "1", "", [], [1.0], [[1.0]], {}, 1j, np.float32(0.5), np.zeros(2), object()),
)
"""What is no value of a task's field, or seldom one."""


@dataclass(frozen=True)
class Operation:
    """Something to do to an environment."""

    text: str
    call: Callable[[Any], Any]
    valid: bool | None = True
    """Whether it must be accepted (True), refused (False), or may be either (None)."""
    mask: Any = np.True_
    """Of a reset: which sub-environments."""


@dataclass
class Result:
    """What came of the operations on an environment."""

    done: Counter[str] = field(default_factory=Counter)
    """How many operations there were, by their kind and by whether they were accepted."""
    faults: list[str] = field(default_factory=list)


class Fault(Exception):
    """A promise that an environment has broken."""


class Session:
    """An environment in one of its forms, its twin, and what is known of them."""

    def __init__(self, name: str, form: str, rng: np.random.Generator) -> None:
        self.rng, self.kind, self.mode = rng, form.partition(" ")[0], form.partition(" ")[2]
        self.scalar = self.kind in ("scalar", "trial")
        self.n = 1 if self.scalar else int(rng.integers(1, 5))
        self.name, self.settings = full_id(name), self._settings(gym.make(full_id(name)).unwrapped.distribution)  # type: ignore[attr-defined]
        self.tried, self.twin = self.made(**self.settings), self.made(**self.settings)
        self.distribution = self.tried.get_wrapper_attr("distribution") if self.scalar else self.tried.distribution
        self.space = self.tried.action_space if self.scalar else self.tried.single_action_space
        self.best = not self.scalar and self.kind == "trials" and self.tried.trial_state.objective == "best"
        self.playing, self.waiting = np.zeros(self.n, bool), np.zeros(self.n, bool)
        self.started = False
        self.info: dict[str, Any] = {}
        self.keys: set[str] = set()

    def pick(self, options: Any) -> Any:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def _settings(self, distribution: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {"render_mode": self.pick([None, "ansi", "ansi", "ansi", "rgb_array"])}
        settings["split"] = self.pick(distribution.splits)
        if not self.scalar and self.rng.random() < 0.3:  # a scalar one has Gymnasium's TimeLimit
            settings["max_episode_steps"] = int(self.rng.integers(1, 9))
        if self.rng.random() < 0.3:
            settings["tasks"] = self.pick([3, distribution.sample(2, "train", self.rng).tasks()])
        if self.rng.random() < 0.2:
            settings["text_info"] = True
        if self.kind == "trials":
            settings |= {"episodes": int(self.rng.integers(1, 4)), "objective": self.pick(["sum", "best", None])}
            settings |= {"observe_task": self.rng.random() < 0.2, "hide_history": self.rng.random() < 0.2}
        return settings

    def made(self, **settings: Any) -> Any:
        """The environment in this form."""
        if self.scalar:
            # Gymnasium 1.4's checker fails in the first step where the first reset was refused.
            env = gym.make(self.name, disable_env_checker=True, **settings)
            return Trial(env, episodes=2) if self.kind == "trial" else env
        settings = {"num_envs": self.n, "autoreset_mode": self.mode, **settings}
        if self.kind == "trials":
            return make_trials(self.name, **settings)
        return gym.make_vec(self.name, **settings)

    # OPERATIONS

    def operation(self) -> Operation:
        """A random one."""
        kinds = {
            self.step: 40, self.bad_step: 12, self.reset: 12, self.bad_reset: 16, self.look: 14, self.copied: 4,
            self.bad_making: 1, self.closed: 0.3, self.other_mode: 0.0 if self.scalar else 1,
        }  # fmt: skip
        weights = np.array(list(kinds.values()))
        return list(kinds)[int(self.rng.choice(len(kinds), p=weights / weights.sum()))]()

    def actions(self) -> Any:
        """Actions in the space, mostly allowed ones, as an array."""
        rows = []
        for row in range(self.n):
            if not isinstance(self.space, gym.spaces.Discrete):
                share = self.rng.choice(
                    [self.rng.random(self.space.shape), np.round(self.rng.random(self.space.shape))]
                )
                rows.append(self.space.low + share * (self.space.high - self.space.low))
                continue
            masks = np.atleast_2d(self.info.get("action_mask", np.ones((self.n, int(self.space.n)))))
            allowed = np.flatnonzero(masks[row] if self.rng.random() < 0.9 else np.ones_like(masks[row]))
            rows.append(self.pick(allowed) + int(self.space.start))
        return rows[0] if self.scalar else np.array(rows)

    def step(self) -> Operation:
        """Valid actions, in some form."""
        actions = self.actions()
        if isinstance(self.space, gym.spaces.Discrete):
            forms = [int, np.int32, np.array] if self.scalar else [np.array, np.int32, list]
        else:
            forms = [np.array, np.float32, list]
        actions = self.pick(forms)(actions)
        return Operation(f"step({actions!r})", lambda env: env.step(actions), bool((self.playing | self.waiting).all()))

    def bad_step(self) -> Operation:
        """Actions of a wrong kind, shape or range."""
        good = np.asarray(self.actions())
        wrong: list[Any] = [
            None,
            "jump",
            "",
            {},
            set(),
            object(),
            1j,
            good[None],
            good[..., None],
            [[1], [2, 3]],
            np.nan,
        ]
        wrong += [good.astype(str), good.astype(complex), good.astype(object), [], np.full(good.shape, None)]
        wrong += [np.full(good.shape, "nan"), 10**400, [10**400] * self.n, lambda: 0]
        if isinstance(self.space, gym.spaces.Discrete):
            last = int(self.space.start + self.space.n)
            wrong += [good + last, good * 0 - 1, good + 0.5, good.astype(float), np.full(good.shape, 2**63, np.uint64)]
            wrong += [good > 0, np.full(good.shape, np.iinfo(np.int64).min)]
        else:
            for value in (np.nan, np.inf, -np.inf, 1e308, float(self.space.high.max()) + 1e-3):
                wrong.append(good.astype(float))
                wrong[-1].flat[int(self.rng.integers(good.size))] = value
        actions = self.pick(wrong)
        return Operation(f"step({actions!r})", lambda env: env.step(actions), False)

    def tasks(self, n: int) -> Any:
        """So many tasks, in some form."""
        batch = self.distribution.sample(n, self.pick(self.distribution.splits), self.rng)
        return self.pick([batch, batch.tasks(), [task.to_dict() for task in batch.tasks()]])

    def mask(self) -> Any:
        """Some of the sub-environments."""
        return self.rng.random(self.n) < 0.6

    def reset(self) -> Operation:
        """A valid reset, before the first one perhaps an invalid one."""
        mask, options, valid, rows = np.ones(self.n, bool), {}, True, self.n
        if not self.scalar and self.rng.random() < 0.4:
            mask = self.mask()
            options["reset_mask"] = mask.copy() if self.rng.random() < 0.8 else mask.tolist()
            valid, rows = self.started or bool(mask.all()), int(mask.sum())
        what = self.rng.random()
        if what < 0.15:
            options["task"] = self.pick([self.one_task(), None])
        elif what < 0.3 and rows:
            tasks = self.tasks(self.pick([rows, self.n]))
            if isinstance(tasks, list):
                tasks = [task if self.rng.random() < 0.8 else None for task in tasks]
            options["tasks"] = tasks
        elif what < 0.45:
            keep = self.pick([True, False, self.mask()])
            options["keep_task"] = keep
            valid &= self.started or not (keep & mask).any()
        seeds = [int(self.rng.integers(10)), np.int64(self.rng.integers(2**40)), 2**70]
        seed = self.pick(seeds + self.started * [None, None, None])  # without a seed, the twins would differ at first
        if not self.scalar and self.rng.random() < 0.2:
            seed = [self.pick(seeds + self.started * [None, None]) for _ in range(self.n)]
        chosen = options if options or self.rng.random() < 0.5 else None
        text = f"reset(seed={seed!r}, options={chosen!r})"
        return Operation(text, lambda env: env.reset(seed=copy.copy(seed), options=chosen), valid, mask)

    def one_task(self) -> Any:
        """One task, as such or as a dictionary."""
        task = self.distribution.sample(1, self.pick(self.distribution.splits), self.rng).task(0)
        return task if self.rng.random() < 0.5 else task.to_dict()

    def bad_reset(self) -> Operation:
        """A reset with something wrong in it, among much that may be right."""
        task, more = self.one_task(), self.distribution.sample(self.n + 1, "train", self.rng)

        class Foreign(Task):
            family = "Foreign"

        wrong: list[Any] = [
            "all", 3, ["task"], {"tsk": task}, {1: 2}, {"split": "test"}, {"task": "a"}, {"task": 3}, {"task": []},
            {"task": {}}, {"task": Foreign()}, {"task": {"family": "Foreign"}}, {"task": [task, task]}, {"tasks": more},
            {"tasks": more.tasks()}, {"tasks": []}, {"tasks": "abc"}, {"tasks": 5}, {"tasks": [None] * (self.n + 1)},
            {"tasks": [3] * self.n}, {"tasks": (t for t in more.tasks())}, {"tasks": [Foreign()] * self.n},
            {"reset_mask": np.ones(self.n + 1, bool)}, {"reset_mask": np.ones(self.n, int)}, {"reset_mask": "all"},
            {"reset_mask": [[True], [True, False]]}, {"reset_mask": {}}, {"keep_task": 1}, {"keep_task": "yes"},
            {"keep_task": [True] * (self.n + 1)}, {"task": task, "tasks": [task] * self.n}, {"task": object()},
            {"task": task, "keep_task": True}, {"tasks": [task, "a"]}, {"tasks": np.array([task] * self.n)},
        ]  # fmt: skip
        seeds = [-1, 1.5, "seven", np.nan, {}, [1] * (self.n + 1), [-1] * self.n, [1.5] * self.n, object(), b"1"]
        if self.rng.random() < 0.2:
            options, seed = None, self.pick(seeds)
        elif self.rng.random() < 0.3:
            absurd = dict(task.to_dict() if isinstance(task, Task) else task)
            name = self.pick([name for name in absurd if name != "family"])
            value = self.pick(ABSURD)
            if isinstance(absurd[name], list) and self.rng.random() < 0.5:
                value = [value if i == 0 else number for i, number in enumerate(absurd[name])]
            options = {"task": {**absurd, name: value}}
            return Operation(f"reset(options={options!r})", lambda env: env.reset(seed=1, options=options), None)
        else:
            options, seed = self.pick(wrong), self.pick([None, int(self.rng.integers(10))])
        text = f"reset(seed={seed!r}, options={options!r})"
        return Operation(text, lambda env: env.reset(seed=seed, options=options), False)

    def look(self) -> Operation:
        """Something that changes nothing but what it must."""
        discrete = isinstance(self.space, gym.spaces.Discrete)
        seed, masks = int(self.rng.integers(100)), self.info.get("action_mask")
        split = self.pick(self.distribution.splits)

        def sample(env: Any) -> Any:
            env.action_space.seed(seed)
            if masks is None:
                return env.action_space.sample()
            return env.action_space.sample(masks if self.scalar else tuple(masks))

        def no_np_random(env: Any) -> str:
            try:
                return str(env.np_random)
            except AttributeError as error:
                return str(error)

        def task_vector(env: Any) -> Any:
            return (env.unwrapped.batch if self.scalar else env).task_vector()

        def task(env: Any) -> Any:
            return env.get_wrapper_attr("task").to_dict() if self.scalar else copy.deepcopy(env.tasks.columns)

        possible = [
            Operation("render()", lambda env: env.render(), self.started),
            Operation("task", task, self.started),
            Operation("task_vector()", task_vector, self.started),
            Operation("action_space.sample()", sample),
            Operation("distribution", lambda env: self.distribution.sample(1, split, np.random.default_rng(seed)).ids),
            Operation("sample('tset')", lambda env: self.distribution.sample(1, "tset", self.rng), False),
            Operation("sample(0)", lambda env: self.distribution.sample(0, split, self.rng), False),
            Operation("frozen('tset')", lambda env: self.distribution.frozen("tset"), False),
        ]
        masks_now = (
            (lambda env: env.get_wrapper_attr("action_masks")()) if self.scalar else lambda env: env.action_masks()
        )
        possible.append(Operation("action_masks()", masks_now, self.started if discrete else False))
        if not self.scalar:
            possible += [Operation("np_random", no_np_random), Operation("seeds", lambda env: env.np_random_seed)]
        return self.pick(possible)

    def copied(self) -> Operation:
        """Go on with a copy."""
        how = self.pick([copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])

        def call(env: Any) -> None:
            if env is self.tried:
                self.tried = how(env)

        return Operation("copy", call)

    def bad_making(self) -> Operation:
        """An environment that cannot be made."""
        wrong: list[dict[str, Any]] = [
            {"split": "tset"}, {"split": 3}, {"split": None}, {"tasks": 0}, {"tasks": -1}, {"tasks": []}, {"tasks": "many"},
            {"tasks": 1.5}, {"task": 3}, {"task": {}}, {"tasks": [3]}, {"tasks": True}, {"distribution": 5},
            {"task": self.one_task(), "tasks": 2}, {"distribution": self.distribution, "split": "b"},
        ]  # fmt: skip
        if not self.scalar:
            wrong += [
                {"autoreset_mode": "never"},
                {"render_mode": 5},
                {"num_envs": 0},
                {"num_envs": -1},
                {"num_envs": 1.5},
            ]
            wrong += [{"max_episode_steps": steps} for steps in (0, -1, 1.5, "two")]
        if self.kind == "trials":
            wrong += [{"episodes": 0}, {"episodes": 1.5}, {"episodes": "two"}, {"objective": "bset"}]
        settings = self.pick(wrong)
        return Operation(f"made({settings!r})", lambda env: self.made(**settings), False)

    def closed(self) -> Operation:
        """Nothing is held open, so that a closed environment goes on."""
        return Operation("close()", lambda env: env.close())

    def other_mode(self) -> Operation:
        """Another way to begin anew."""
        mode = self.pick([*MODES, "never"])
        return Operation(f"use_autoreset_mode({mode!r})", lambda env: env.use_autoreset_mode(mode), mode in MODES)

    # WHAT CAME OF IT

    def play(self, operation: Operation, result: Result) -> None:
        """Do an operation and see that nothing is wrong with what comes of it. Raises Fault."""
        kind = operation.text.partition("(")[0]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", UserWarning)  # Gymnasium's, on render() without a mode for example
                answer = operation.call(self.tried)
        except REFUSALS as error:
            result.done[f"{kind}, refused"] += 1
            if operation.valid:
                raise Fault(f"refused: {error!r}") from error
            if len(str(error)) < 20:
                raise Fault(f"the message helps nobody: {error!r}") from error
            if self.rng.random() < 0.1:
                self._go_on_the_same()
            return
        result.done[kind] += 1
        if operation.valid is False:
            raise Fault("accepted")
        _same(answer, operation.call(self.twin))
        if kind == "use_autoreset_mode":
            self.playing, self.waiting = self.playing & False, self.waiting & False
        if kind == "reset" or kind == "step":
            self._note(kind, answer, operation)
        _overwrite(answer)

    def _note(self, kind: str, answer: Any, operation: Operation) -> None:
        """Keep what the next operation must know, and check what an environment has said of itself."""
        observation, info = answer[0], answer[-1]
        space = self.tried.observation_space
        if not space.contains(observation):
            raise Fault(f"the observation is outside of its space: {observation}")
        keys = set(info) - FINAL
        if self.keys and keys != self.keys:
            raise Fault(f"info has other keys than before: {keys ^ self.keys}")
        self.keys, self.info = keys, {k: np.copy(v) for k, v in info.items() if k == "action_mask"}
        for name, value in {**info, **info.get("final_info", {})}.items():
            if np.asarray(value).dtype.kind == "f" and not np.isfinite(value).all():
                raise Fault(f"info[{name!r}] is {value}")
        if kind == "reset":
            self.started = True
            reset = operation.mask
            self.playing |= reset
            self.waiting &= ~reset
            return
        reward, done = np.atleast_1d(answer[1]), np.atleast_1d(answer[2]) | np.atleast_1d(answer[3])
        low, high = (self.tried.unwrapped.batch if self.scalar else self.tried).reward_range
        if not np.isfinite(reward).all() or (not self.best and ((reward < low) | (reward > high)).any()):
            raise Fault(f"the reward is {reward}")
        self.playing, self.waiting = self.playing | self.waiting, self.waiting & False
        mode = "Disabled" if self.scalar else self.tried.autoreset_mode.value
        if mode != "SameStep":
            self.playing &= ~done
        if mode == "NextStep":
            self.waiting |= done

    def _go_on_the_same(self) -> None:
        """Copies of both twins play on the same."""
        copies = copy.deepcopy(self.tried), copy.deepcopy(self.twin)
        actions = self.actions()
        if (self.playing | self.waiting).all():
            _same(*(env.step(actions) for env in copies))
        for seed in (None, 5, None)[not self.started :]:
            _same(*(env.reset(seed=seed) for env in copies))
            _same(*(env.step(actions) for env in copies))


def _same(a: Any, b: Any, where: str = "") -> None:
    """Raise Fault unless both are the same, to the last bit."""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and set(a) == set(b):
        for name in a:
            _same(a[name], b[name], f"{where}[{name!r}]")
    elif isinstance(a, tuple | list) and isinstance(b, tuple | list) and len(a) == len(b):
        for i, (first, second) in enumerate(zip(a, b, strict=True)):
            _same(first, second, f"{where}[{i}]")
    else:
        first, second = np.asarray(a), np.asarray(b)
        alike = type(a) is type(b) and first.dtype == second.dtype and first.shape == second.shape
        if not alike or (first.tobytes() != second.tobytes() if first.dtype != object else (first != second).any()):
            raise Fault(f"the twin answers otherwise{where}: {a!r}, twin {b!r}")


def _overwrite(answer: Any) -> None:
    """Write over all that was handed out."""
    if isinstance(answer, tuple | list):
        for part in answer:
            _overwrite(part)
    elif isinstance(answer, dict):
        _overwrite(list(answer.values()))
        answer.clear()
    elif isinstance(answer, np.ndarray) and answer.flags.writeable and answer.dtype.kind in "biuf":
        answer.fill(1)


def fuzz(name: str, operations: int, sessions: Iterator[int], forms: Sequence[str] = FORMS) -> Result:
    """Try so many operations on an environment, evenly over its forms; session i has the form i of the list."""
    result = Result()
    while result.done.total() < operations:
        number = next(sessions)
        form = forms[number % len(forms)]
        operation = Operation("made()", lambda env: None)
        try:
            session = Session(name, form, np.random.default_rng(number))
            for _ in range(LENGTH):
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
    given = parser.parse_args()
    faults = 0
    for name in given.ids:
        start = time.process_time()
        sessions = count(given.seed) if given.session is None else iter([given.session])
        result = fuzz(name, given.operations if given.session is None else 1, sessions)
        refused = sum(n for kind, n in result.done.items() if kind.endswith("refused"))
        told = f"{result.done.total()} operations, {refused} of them refused; {len(result.faults)} faults"
        print(f"{name:24s} {told}; {time.process_time() - start:.0f} s", *result.faults, sep="\n    ", flush=True)
        faults += len(result.faults)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
