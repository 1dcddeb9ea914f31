"""Policies that play trials, agents and classical methods alike: one small protocol, and the loop that plays them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Bools, Floats
from metaenv.vector import Info, Observations

Progress = Callable[[int, int], None]

NO_ADVICE = -1
"""The action of a policy that teaches, where it has nothing to say."""


class Policy(Protocol):
    """Plays n trials at once. It sees what the trial shows, and nothing of the hidden task.

    A teacher of RL² (`metaenv.agents.imitation`) on trials of different lengths must also have ``restart(rows)``, which
    is called when new trials have begun in some rows; it may answer `NO_ADVICE` in situations that its own play does
    not lead to.

    A policy that cannot play every environment has ``check(env)``, which raises ValueError for the others: `evaluate`
    then refuses it before anything is played.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin in every row of ``env``; take sizes and spaces from it, not tasks."""
        ...

    def act(self, observation: Observations) -> NDArray[Any]:
        """Actions (n, …) for the trial's observations (n, d)."""
        ...

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """What was played and what the trial's environment paid for it, (n,)."""
        ...


class RandomPolicy:
    """Uniformly random actions; random allowed ones where actions are masked."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Remember the action space."""
        self._env, self._rng = env, rng

    def act(self, observation: Observations) -> NDArray[Any]:
        """One action for each row."""
        space = self._env.single_action_space
        if hasattr(space, "n"):
            draws = self._rng.random((self._env.num_envs, int(space.n)))  # type: ignore[attr-defined]
            return np.argmax(np.where(self._env.action_masks(), draws, -1), axis=1)
        shape = (self._env.num_envs, *space.shape)  # type: ignore[misc]
        return self._rng.uniform(space.low, space.high, shape)  # type: ignore[attr-defined]

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Nothing is learned."""


class AgentPolicy:
    """An agent with Stable-Baselines3's ``predict(observation, state, episode_start, deterministic)``.

    Args:
        agent: the agent.
        deterministic: take the most likely action instead of a sample.
        cut_memory: clear the agent's state before every step: a control that shows what its memory is worth.
        trial_options: how the agent's trials differ from the others', such as ``{"hide_history": True}``.

    In trials that show the present episode only, ``{"shows": "episode"}``, the state is cleared before each episode.

    What an agent of this package draws, such as a sample of its actions or PEARL's latent task, comes from the seed of
    the play, and its own stream is left as it is: it plays the same tasks alike, however often.
    """

    def __init__(
        self,
        agent: Any,
        deterministic: bool = True,
        cut_memory: bool = False,
        trial_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.agent, self.deterministic, self.cut_memory = agent, deterministic, cut_memory
        self.trial_options = dict(trial_options or {})

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Clear the memory: every trial begins knowing nothing."""
        self._env = env
        self._state = self._zero_state(env.num_envs)
        self._first = np.ones(env.num_envs, bool)
        self._draws: Any = int(rng.integers(2**63))  # the seed of a stream, then the stream

    def _zero_state(self, n: int) -> Any:
        """Of n trials. An agent of this package has one that stays on its device; others make theirs of None."""
        return self.agent.zero_state(n) if hasattr(self.agent, "zero_state") else None

    def act(self, observation: Observations) -> NDArray[Any]:
        """The agent's actions."""
        state = self._env.trial_state
        self._first = self._first | state.forgotten
        masks = {"action_masks": self._env.action_masks()} if hasattr(self._env.single_action_space, "n") else {}
        action, self._state = self._predicted(observation, self._state, self._first, **masks)
        self._first = np.full(self._env.num_envs, self.cut_memory)
        return np.asarray(action)

    def _predicted(self, observation: Observations, state: Any, first: Bools, **masks: Any) -> tuple[Any, Any]:
        """What the agent's ``predict`` returns."""
        given = {"deterministic": self.deterministic, **masks}
        if not hasattr(self.agent, "drawing_from"):
            return self.agent.predict(observation, state, first, **given)
        with self.agent.drawing_from(self._draws) as self._draws:
            return self.agent.predict(observation, state, first, **given)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """The trial's next observation carries both."""


@dataclass(frozen=True)
class TrialRecord:
    """What happened in one trial of each of n tasks, episode by episode.

    Attributes:
        readings: (n, K) the return of each episode, as the policy saw it.
        scores: (n, K) the episode's true score, free of measurement noise, where the environment reports one.
        actions: (n, steps, …) what was played; 0 after the end of a trial shorter than the longest.
        observations: (n, steps, d) what the trial showed after each step; 0 likewise.
        made: (n, K) what each episode made, as text, where the environment names it (`BatchedEnv.made_in_episode`); ""
            elsewhere.
    """

    readings: Floats
    scores: Floats
    actions: NDArray[Any]
    observations: Observations
    made: NDArray[Any] = field(default_factory=lambda: np.full((0, 0), "", object))

    def best_so_far(self) -> Floats:
        """(n, K) true score of the episode with the best reading up to each episode: the recommendation."""
        best_before = np.maximum.accumulate(self.readings, axis=1)[:, :-1]
        improved = np.pad(self.readings[:, 1:] > best_before, [(0, 0), (1, 0)])
        chosen = np.maximum.accumulate(np.where(improved, np.arange(improved.shape[1]), 0), axis=1)
        return np.take_along_axis(self.scores, chosen, axis=1)


def play_trials(
    policy: Policy,
    env: VectorTrial,
    tasks: TaskBatch,
    seed: int | None = 0,
    progress: Progress | None = None,
) -> TrialRecord:
    """Let ``policy`` play one trial of each task.

    Tasks are played ``env.num_envs`` at a time, the last chunk padded with repeats that are not recorded. The noise
    of the environment depends on ``seed`` and on the task's place in the list only, never on the policy, so
    policies meet the same noise on the same steps.

    Args:
        policy: an agent or a classical method.
        env: trials; its own split and sampler are not used. It resets in the same step from then on.
        tasks: what to play, n of them.
        seed: of the environment's noise and of the policy's own draws; None lets the environment's noise go on, which
            is faster where trials are short.
        progress: called with (tasks done, tasks in all).
    """
    n, chunk = len(tasks), env.num_envs
    parts: list[TrialRecord] = []
    env.use_autoreset_mode(AutoresetMode.SAME_STEP)  # final reports then come with the step that ends a trial
    env.text_info = env.text_info or bool(env.made_in_episode)
    for start in range(0, n, chunk):
        index = np.arange(start, start + chunk)
        rng = np.random.default_rng([seed or 0, start])
        seeds = None if seed is None else [seed * n + int(i) for i in index]
        record = _play_chunk(policy, env, tasks.take(index % n), seeds, rng)
        keep = slice(0, min(chunk, n - start))
        parts.append(TrialRecord(*(getattr(record, name)[keep] for name in record.__dataclass_fields__)))
        if progress:
            progress(min(start + chunk, n), n)
    names = TrialRecord.__dataclass_fields__
    return TrialRecord(**{name: _stacked([getattr(p, name) for p in parts]) for name in names})


def _stacked(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """One array of all tasks, (n, longest, …), with zeros where a chunk had fewer steps."""
    longest = max(a.shape[1] for a in arrays)
    padded = [np.pad(a, [(0, 0), (0, longest - a.shape[1]), *[(0, 0)] * (a.ndim - 2)]) for a in arrays]
    return np.concatenate(padded)


def _play_chunk(
    policy: Policy, env: VectorTrial, tasks: TaskBatch, seeds: list[int] | None, rng: np.random.Generator
) -> TrialRecord:
    observation, _ = env.reset(seed=seeds, options={"tasks": tasks})
    policy.start(env, rng)
    n = env.num_envs
    readings, scores = np.zeros((n, env.episodes)), np.zeros((n, env.episodes))
    made = np.full((n, env.episodes), "", object)
    finished, over = np.zeros(n, np.intp), np.zeros(n, bool)
    actions: list[NDArray[Any]] = []
    observations: list[Observations] = []
    while not over.all():
        action = policy.act(observation)
        observation, _, terminated, _, info = env.step(action)
        report = _merged(info, terminated) if terminated.any() else info
        policy.observe(action, env.trial_state.last_reward.copy())
        ended = np.flatnonzero(report["episode_end"] & ~over)
        readings[ended, finished[ended]] = report["episode_return"][ended]
        scores[ended, finished[ended]] = report.get("score", report["episode_return"])[ended]
        if env.made_in_episode in report:
            made[ended, finished[ended]] = report[env.made_in_episode][ended]
        finished[ended] += 1
        shown = np.where(terminated[:, None], info["final_obs"], observation) if terminated.any() else observation
        playing = ~over
        actions.append(action * playing.reshape(-1, *[1] * (action.ndim - 1)))
        observations.append(shown * playing[:, None])
        over |= terminated
    return TrialRecord(readings, scores, np.stack(actions, axis=1), np.stack(observations, axis=1), made)


def _merged(info: Info, done: NDArray[np.bool_]) -> Info:
    """The reports of finished rows come from ``final_info``, those of the others from the step itself."""
    final = info["final_info"]
    return {
        k: np.where(done.reshape(-1, *[1] * (v.ndim - 1)), final[k], v)
        for k, v in info.items()
        if k in final and not k.startswith("_")
    }
