"""Help that RL² has in training and that fades: a teacher's actions to imitate, and a teacher who plays.

Imitation in the situations that the pupil gets into is that of Ross, Gordon and Bagnell 2011, "A Reduction of Imitation
Learning and Structured Prediction to No-Regret Online Learning" (DAgger), https://arxiv.org/abs/1011.0686, and so is
letting the teacher play a share of the trials that falls over the training.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from metaenv.agents.trial_spaces import TrialSpaces
from metaenv.baselines import baselines_of
from metaenv.errors import nearest
from metaenv.policies import NO_ADVICE, Policy
from metaenv.trial import VectorTrial

Batch = dict[str, NDArray[Any]]


@runtime_checkable
class RestartingPolicy(Policy, Protocol):
    """A policy of trials that may end at different steps, or of several trials in a row."""

    def restart(self, rows: NDArray[np.int64]) -> None:
        """New trials have begun in ``rows`` (m,); called after `observe` of the step that ended the old ones."""
        ...


class Teacher:
    """A baseline that watches the trials of its pupil, and says what it would do.

    Args:
        env: the trials.
        policy: the teacher. Its action `NO_ADVICE` says that it has no advice. Where it has a method ``restart``
            (`RestartingPolicy`), that is called when trials have ended; ``start`` once an iteration.
    """

    def __init__(self, env: VectorTrial, policy: Policy) -> None:
        self.env, self.teacher = env, policy
        self._restart = policy.restart if isinstance(policy, RestartingPolicy) else None

    def start(self, rng: np.random.Generator) -> None:
        """New trials begin in every row."""
        self.teacher.start(self.env, rng)

    def advise(self, observations: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The actions (n,) it would take of those allowed (n, k), or `NO_ADVICE`.

        Raises:
            ValueError: an action is none of the env's, or forbidden.
        """
        advice = np.asarray(self.teacher.act(observations), np.int64)
        known = (advice >= 0) & (advice < allowed.shape[1])
        good = known & allowed[np.arange(len(advice)), advice * known]
        if not (good | (advice == NO_ADVICE)).all():
            raise ValueError(
                f"Expected allowed actions in 0..{allowed.shape[1] - 1} from the teacher, or {NO_ADVICE} for no "
                f"advice; got {advice[~good][0]} in row {np.flatnonzero(~good)[0]}. Correct the policy's act()."
            )
        return advice

    def watch(self, actions: NDArray[Any], ends: NDArray[np.bool_]) -> None:
        """See what was played, and in which rows (n,) trials ended with it."""
        self.teacher.observe(actions, self.env.trial_state.last_reward.copy())
        if self._restart is not None and ends.any():
            self._restart(np.flatnonzero(ends))


def find_teacher(env: VectorEnv[Any, Any, Any], spaces: TrialSpaces, name: str, trials_per_env: int) -> Teacher:
    """The baseline of that name, ready to teach.

    Raises:
        ValueError: there is none of that name, or it cannot teach on these trials.
    """
    if not isinstance(env, VectorTrial) or spaces.n_actions is None:
        raise ValueError(
            "Expected a VectorTrial with discrete actions for a teacher; got "
            f"{type(env).__name__} with {env.single_action_space}. Set teacher to None."
        )
    known = baselines_of(env)[0]
    if name not in known:
        raise ValueError(f"The environment has no baseline {name!r}.{nearest(name, known)}")
    policy = known[name]
    if (spaces.trial_length is None or trials_per_env != 1) and not isinstance(policy, RestartingPolicy):
        raise ValueError(
            f"Expected a teacher with a method restart(rows), or trials of a fixed length and trials_per_env=1; "
            f"{name!r} has no such method, trial_length is {spaces.trial_length} and trials_per_env {trials_per_env}."
        )
    return Teacher(env, policy)


def played(actions: NDArray[Any], step: Batch) -> NDArray[Any]:
    """What is played for the policy's `actions` (n,): the teacher's where it plays and has advice.

    The step's own "samples" stay the policy's, so that ratios of probabilities are finite where they do not count.
    """
    if "played_by_teacher" not in step:
        return actions
    return np.where(step["played_by_teacher"] & (step["taught"] != NO_ADVICE), step["taught"], actions)


def note_what_counts(batch: Batch) -> NDArray[np.bool_]:
    """Add to the batch which steps count in the losses, where that is not every step; returns those of PPO's.

    "advised" (T, trials) are the steps with advice to imitate. "on_policy" (T, trials) are those of trials that the
    policy played itself: PPO learns from no others.
    """
    valid = batch.get("valid", np.ones_like(batch["rewards"], np.bool_))
    if "taught" in batch and (valid & (batch["taught"] == NO_ADVICE)).any():
        batch["advised"] = valid & (batch["taught"] != NO_ADVICE)
    if "played_by_teacher" not in batch or not batch["played_by_teacher"].any():
        return valid
    batch["on_policy"] = valid & ~batch["played_by_teacher"]
    return batch["on_policy"]


def faded(start: float, played: int, end: float) -> float:
    """`start`, falling linearly to 0 from 0 steps played to `end`; 0 from then on."""
    return start * max(0.0, 1 - played / end) if end > 0 else 0.0
