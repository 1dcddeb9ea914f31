"""A trial: K episodes of one hidden task, remembered across episode ends. What RL² and PEARL learn on.

At an inner boundary the next episode begins at once, and the observation that comes back carries the last action,
the last reward and the boundary flag: two widely used wrappers lose them. The trial's own end is ``terminated``: a
trial is a finite game, so nothing is bootstrapped beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.gym_trials import GymEnvs, KeepTask
from metaenv.trial_state import OBJECTIVES, Objective, Shows, TrialState
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import AUTORESET, BatchedEnv, Info, Observations
from metaenv.wrappers import BatchedWrapper, VectorObserveTask

if TYPE_CHECKING:
    from metaenv.policies import Policy

TRIAL_OVER = "trial_over"
"""In what an environment reports: whether nothing more can be played of its task, so that a trial ends early."""


@dataclass(frozen=True)
class Transition:
    """One step of n trials as the episodes' own environment made it, for learners that replay steps.

    Attributes:
        reward: (n,) what the environment paid, before the trial's objective.
        terminated: (n,) which episodes ended for good.
        truncated: (n,) which were cut off by a time limit: their value goes on.
        observation: (n, d) after the step, before a new episode begins.
        mask: (n, k) Discrete actions allowed there, or None.
        report: the environment's part of ``info``, rows first.
    """

    reward: Floats
    terminated: Bools
    truncated: Bools
    observation: Observations
    mask: NDArray[np.int8] | None
    report: Info


class VectorTrial(BatchedWrapper):
    """Trials of a native vector environment: one episode of this env is one whole trial.

    Args:
        env: ``gym.make_vec("metaenv:metaenv/…", num_envs=n)`` or any `BatchedEnv`.
        episodes: K, by default the environment's ``trial_episodes``.
        objective: ``"sum"``: the trial's return is the sum of its episodes' rewards. ``"best"``: it is the best
            episode's return, paid out as the improvement at each episode's end. Default: the environment's own.
        autoreset_mode: of the trials; by default the environment's.
        hide_history: hide what the trial remembers, all but the progress: the control that sees the present only.
        shows: controls of memory. ``"episode"`` hides, in the first observation of each episode, all that came before
            it but the progress. ``"start"`` shows the trial's first observation at every step, and the progress:
            nothing that happens after it. The masks of actions stay.

    The observation is laid out in `TrialState`. ``info`` of the step that ends an episode carries that episode's
    report (its ``score``, for example) as the environment gave it. ``info["episode_end"]`` says where an episode ended,
    and ``info["episode_return"]`` holds its return there, and 0 elsewhere; both are there at every step.
    """

    def __init__(
        self,
        env: BatchedEnv,
        episodes: int | None = None,
        objective: Objective | None = None,
        autoreset_mode: AutoresetMode | str | None = None,
        hide_history: bool = False,
        shows: Shows = "trial",
    ) -> None:
        self.trial_state = TrialState(
            env.num_envs,
            env.single_observation_space,
            env.single_action_space,
            env.trial_episodes if episodes is None else episodes,
            objective or env.trial_objective,
            env.reports_at_end,
            hide_history,
            shows,
            env.layout,
            env.reward_range,
            env.report_columns,
        )
        super().__init__(env, self.trial_state.layout, autoreset_mode)
        self.episodes = self.trial_state.episodes
        self.episode_length = self.trial_length
        self._end_report: Info | None = None
        self.keep_transition = False
        """Whether each step leaves its `transition`; off by default, because it costs time."""
        self.last_transition: Transition | None = None
        """The last step of all trials; None before the first one, and where it played some of them only."""

    @classmethod
    def from_gym(
        cls,
        env: str | Callable[[], gym.Env[Any, Any]],
        num_envs: int = 1,
        episodes: int = 10,
        objective: Objective = "sum",
        *,
        sample_task: Callable[[np.random.Generator], Any] | None = None,
        set_task: Callable[[gym.Env[Any, Any], Any], None] | None = None,
        task_from_seed: bool = False,
        baselines: Mapping[str, Policy] | None = None,
        probe: bool = True,
        autoreset_mode: AutoresetMode | str = AUTORESET,
    ) -> VectorTrial:
        """Trials of a plain Gymnasium environment that has a hidden task, ready for an agent.

        By default the environment draws a task in ``reset(seed=…)`` and keeps it in later resets that are told
        ``options={"keep_task": True}``. Otherwise say where tasks come from, in one of the two other ways.

        Args:
            env: the id of a registered environment, or a function that makes one.
            num_envs: how many trials are played at once, in a copy of the environment each.
            episodes: of a trial.
            objective: what a trial adds up, ``"sum"`` or ``"best"``.
            sample_task: draws a task, of any kind, with the generator that it is given.
            set_task: gives a task to the unwrapped environment, which has it until it is given another one; by
                default ``env.unwrapped.set_task(task)``.
            task_from_seed: begin each episode of a task by ``reset(seed=…)`` with the same seed, which decides the
                task; all that is random is then the same in each of a trial's episodes.
            baselines: policies by name, to compare agents with and to teach them.
            probe: try out whether tasks are kept and differ.
            autoreset_mode: as in `BatchedEnv`.

        Raises:
            ValueError: the environment does not keep its task, or has none; the message says how that was found out.
        """
        batch = GymEnvs(env, num_envs, sample_task, set_task, task_from_seed, baselines, probe, autoreset_mode)
        return cls(batch, episodes, objective)

    @property
    def trial_length(self) -> int | None:
        """Steps in a trial where every episode has the same known length, else None."""
        steps, limit = self.env.episode_length, self.env.max_episode_steps
        return None if steps is None else min(steps, limit or steps) * self.episodes

    def presence(self, name: str, info: Info, present: Bools) -> Bools:
        """Returns of episodes are there where an episode ended; everything else is there everywhere."""
        return info["episode_end"] if name == "episode_return" else present

    def begin(self, rows: Rows) -> None:
        self.trial_state.begin(rows)
        self.env.start(rows)
        if self.trial_state.shows == "start":
            self.trial_state.show_start(rows, self.env.observe(rows))
        if self._end_report is not None:
            for name, values in {**self.env.report(rows), "episode_return": 0.0, "episode_end": False}.items():
                self._end_report[name][rows] = values

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        reward, terminated, truncated = self.env.play(rows, action)
        done = terminated | truncated
        final = self.env.observe(rows) if done.any() or self.keep_transition else None
        paid, over = self.trial_state.record(rows, action, reward, done, final)
        if self.keep_transition:
            self._keep(rows, reward, terminated, truncated, final)
        self._read_reports(rows, done)
        if self._end_report is not None and TRIAL_OVER in self._end_report:
            over = over | (done & self._end_report[TRIAL_OVER][rows])
        if (renew := done & ~over).any():
            again = np.arange(self.num_envs)[rows][renew]
            # All rows at once is the fast path of every environment.
            self.env.start(slice(None) if len(again) == self.num_envs else again)
        return paid, over, np.zeros_like(over)

    def _keep(
        self, rows: Rows, reward: Floats, terminated: Bools, truncated: Bools, after: Observations | None
    ) -> None:
        self.last_transition = None
        if after is not None and len(after) == self.num_envs:
            mask, report = self.env.mask(rows), self.env.report(rows)
            self.last_transition = Transition(reward, terminated, truncated, after, mask, report)

    def _read_reports(self, rows: Rows, done: Bools) -> None:
        """Keep what the finished episodes reported before the next ones begin."""
        if not done.any():
            self._end_report = None
            return
        returns = np.zeros(self.num_envs)
        ended = np.zeros(self.num_envs, bool)
        returns[rows], ended[rows] = self.trial_state.episode_return[rows], done
        self.trial_state.end_episodes(np.flatnonzero(ended))
        report = self.env.report(slice(None))
        self._end_report = {**report, "episode_return": np.where(ended, returns, 0), "episode_end": ended}

    def observe(self, rows: Rows) -> Observations:
        return self.trial_state.observation(rows, self.env.observe(rows))

    def report(self, rows: Rows) -> Info:
        if self._end_report is None:
            nothing = np.zeros(self.num_envs)
            ended = {"episode_return": nothing[rows], "episode_end": nothing[rows] > 0}
            return {**self.env.report(rows), **ended}
        return {k: v[rows].copy() for k, v in self._end_report.items()}

    def text(self, row: int) -> str:
        return self.trial_state.text(row, self.env.text(row))


class Trial(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Trials of a scalar environment: one episode of this env is one whole trial.

    Works on any Gymnasium environment that keeps the project's contract (``reset(options={"keep_task": True})``),
    also under other wrappers; ``step`` raises ValueError for one that does not look at that option. Arguments,
    observation and ``info`` as `VectorTrial`. The ``info["episode"]`` of a monitor inside, such as that of
    ``make_vec_env(id, wrapper_class=Trial)``, becomes one of the whole trial.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        episodes: int | None = None,
        objective: Objective | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(self, episodes=episodes, objective=objective)
        gym.Wrapper.__init__(self, env)
        batched, kept = getattr(env.unwrapped, "batch", BatchedEnv), "report_columns"  # which a wrapper may choose
        self.trial_state = TrialState(
            1,
            env.observation_space,
            env.action_space,
            batched.trial_episodes if episodes is None else episodes,
            objective or batched.trial_objective,
            batched.reports_at_end,
            reward_range=batched.reward_range,
            report_columns=env.get_wrapper_attr(kept) if env.has_wrapper_attr(kept) else batched.report_columns,
        )
        self.episodes = self.trial_state.episodes
        self.observation_space = self.trial_state.space
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin a new trial, of ``options["task"]`` or of the next task."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.trial_state.begin(slice(None))
        self._steps = 0
        return self._around(observation), {**info, "episode_return": np.float64(0), "episode_end": np.False_}

    def step(self, action: Any) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """One step; at the end of an inner episode the next one begins within this call."""
        if self.trial_state.finished[0] >= self.episodes:
            raise ResetNeeded("the trial is over: call reset()")
        observation, reward, terminated, truncated, info = self.env.step(action)
        done = np.array([terminated or truncated])
        paid, all_played = self.trial_state.record(
            slice(None), np.asarray(action)[None], np.array([float(reward)]), done, observation[None]
        )
        ended = bool(done[0])
        over = bool(all_played[0]) or (ended and bool(info.get(TRIAL_OVER, False)))
        self._steps += 1
        monitor = info.get("episode")
        info = {name: value for name, value in info.items() if name != "episode"}
        info |= {"episode_return": self.trial_state.episode_return[0] * done[0], "episode_end": done[0]}
        if monitor is not None and over:
            info["episode"] = {**monitor, "r": float(self.trial_state.total[0]), "l": self._steps}
        if ended:
            self.trial_state.end_episodes(slice(None))
        if ended and not over:
            options = KeepTask()
            observation, fresh = self.env.reset(options=options)
            options.check(self.env)
            info = {**fresh, **info, **{k: fresh[k] for k in ("action_mask",) if k in fresh}}
        return self._around(observation), float(paid[0]), over, False, info

    def render(self) -> Any:
        """What the environment inside renders; text with a line on the trial before it."""
        drawn = self.env.render()
        return self.trial_state.text(0, drawn) if isinstance(drawn, str) else drawn

    def action_masks(self) -> NDArray[np.bool_]:
        """The inner environment's mask."""
        masks: NDArray[np.bool_] = self.env.get_wrapper_attr("action_masks")()
        return masks

    def _around(self, observation: NDArray[Any]) -> Observations:
        return self.trial_state.observation(slice(None), observation[None].astype(np.float32))[0]


def make_trials(
    env_id: str,
    num_envs: int = 1,
    episodes: int | None = None,
    objective: Objective | None = None,
    observe_task: bool = False,
    hide_history: bool = False,
    shows: Shows = "trial",
    **settings: Any,
) -> VectorTrial:
    """Trials of a registered environment, ready for an agent.

    Args:
        env_id: ``"MaterialsSynthesis"``, ``"MaterialsSynthesis-v1"``, ``"metaenv/MaterialsSynthesis-v1"`` …
        num_envs: how many trials are played at once.
        episodes: K, by default the environment's ``trial_episodes``.
        objective: ``"sum"`` or ``"best"``, by default the environment's own.
        observe_task: show the true task to the policy (an oracle, not a meta-learner).
        hide_history: hide what the trial remembers (a control, not a meta-learner).
        shows: ``"episode"`` or ``"start"``: further controls, see `VectorTrial`.
        **settings: of the environment, e.g. ``split="test"``.
    """
    from metaenv.registry import full_id

    env = gym.make_vec(full_id(env_id), num_envs=num_envs, **settings)
    if not isinstance(env, BatchedEnv):
        raise ValueError(
            f"Expected {env_id} to be built on metaenv.BatchedEnv, got a {type(env).__name__}. Where it has a hidden "
            "task, metaenv.VectorTrial.from_gym makes trials of it."
        )
    inner = VectorObserveTask(env) if observe_task else env
    trials = VectorTrial(inner, episodes, objective, hide_history=hide_history, shows=shows)
    if env.spec is not None:  # with which gymnasium.make_vec makes the same trials again
        chosen = {
            "episodes": episodes,
            "objective": objective,
            "observe_task": observe_task,
            "hide_history": hide_history,
            "shows": shows,
        }
        kwargs = {"env_id": env_id, "num_envs": num_envs, **chosen, **settings}
        trials.spec = EnvSpec(env.spec.id, vector_entry_point="metaenv.trial:make_trials", kwargs=kwargs)
    return trials


__all__: Sequence[str] = ("OBJECTIVES", "Objective", "Transition", "Trial", "TrialState", "VectorTrial", "make_trials")
