"""Help from an expert in training, which fades: actions to imitate, and trials that the expert plays.

Imitation in the situations that the agent gets into is that of Ross, Gordon and Bagnell 2011, "A Reduction of Imitation
Learning and Structured Prediction to No-Regret Online Learning" (DAgger), https://arxiv.org/abs/1011.0686, and so is an
expert that plays a share of the trials, which falls over the training. The weight of the imitation falls as well, as in
Schmitt et al. 2018, "Kickstarting Deep Reinforcement Learning", https://arxiv.org/abs/1803.03835.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from metaenv.agents.dims import find_attribute
from metaenv.baselines import baselines_of
from metaenv.errors import nearest
from metaenv.policies import NO_ADVICE, Policy
from metaenv.trial import VectorTrial

Batch = dict[str, Any]
"""Steps by field: arrays, and tensors on the device of the networks."""


@runtime_checkable
class RestartingPolicy(Policy, Protocol):
    """A policy for trials that end at different steps, or for several trials in a row."""

    def restart(self, rows: NDArray[np.int64]) -> None:
        """New trials have begun in ``rows`` (m,); called after `observe` of the step that ended the old ones."""
        ...


class Expert:
    """A baseline that watches the trials of an agent and says what it would do.

    Args:
        env: the trials.
        policy: the baseline. Its action `NO_ADVICE` is no advice. Its method ``start`` is called once an iteration; its
            method ``restart``, where it has one (`RestartingPolicy`), when trials have ended.
    """

    def __init__(self, env: VectorTrial, policy: Policy) -> None:
        self.env, self.policy = env, policy
        self._restart = policy.restart if isinstance(policy, RestartingPolicy) else None

    def start(self, rng: np.random.Generator) -> None:
        """New trials begin in every row."""
        self.policy.start(self.env, rng)

    def advise(self, observations: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The actions (n,) it would take of those allowed (n, k), or `NO_ADVICE`.

        Raises:
            ValueError: an action does not exist in the environment, or is forbidden.
        """
        advice = np.asarray(self.policy.act(observations), np.int64)
        known = (advice >= 0) & (advice < allowed.shape[1])
        good = known & allowed[np.arange(len(advice)), advice * known]
        if not (good | (advice == NO_ADVICE)).all():
            raise ValueError(
                f"Expected allowed actions in 0..{allowed.shape[1] - 1} from the teacher, or {NO_ADVICE} for no "
                f"advice; got {advice[~good][0]} in row {np.flatnonzero(~good)[0]}. Correct the policy's act()."
            )
        return advice

    def watch(self, actions: NDArray[Any], ends: NDArray[np.bool_]) -> None:
        """See which actions were played, and in which rows (n,) trials ended with them."""
        self.policy.observe(actions, self.env.trial_state.last_reward.copy())
        if self._restart is not None and ends.any():
            self._restart(np.flatnonzero(ends))


def find_expert(env: VectorEnv[Any, Any, Any], name: str, trials_per_env: int = 1) -> Expert:
    """The baseline of that name, ready to teach.

    Raises:
        ValueError: the environment has no baseline of that name, or it cannot teach on these trials.
    """
    n_actions = getattr(env.single_action_space, "n", None)
    if not isinstance(env, VectorTrial) or n_actions is None:
        raise ValueError(
            "Expected a VectorTrial with discrete actions for a teacher; got "
            f"{type(env).__name__} with {env.single_action_space}. Set teacher to None."
        )
    known = baselines_of(env)[0]
    if name not in known:
        raise ValueError(f"The environment has no baseline {name!r}.{nearest(name, known)}")
    policy, trial_length = known[name], find_attribute(env, "trial_length")
    if (trial_length is None or trials_per_env != 1) and not isinstance(policy, RestartingPolicy):
        raise ValueError(
            f"Expected a teacher with a method restart(rows), or trials of a fixed length and trials_per_env=1; "
            f"{name!r} has no such method, trial_length is {trial_length} and trials_per_env {trials_per_env}."
        )
    return Expert(env, policy)


def assisted_actions(actions: NDArray[Any], advice: NDArray[np.int64], assisted: NDArray[np.bool_]) -> NDArray[Any]:
    """The actions (n,) to play: the expert's advice (n,) in assisted rows (n,), where there is any; else the
    agent's."""
    return np.where(assisted & (advice != NO_ADVICE), advice, actions)


def add_loss_masks(batch: Batch) -> NDArray[np.bool_]:
    """Add the masks of the losses to the batch, where they leave out steps, and return the mask of PPO's.

    "imitated" (T, trials) are the steps with advice to imitate. "on_policy" (T, trials) are the steps of trials that
    the agent played itself: PPO learns from no others.
    """
    valid = batch.get("valid", np.ones_like(batch["rewards"], np.bool_))
    if "advice" in batch and (valid & (batch["advice"] == NO_ADVICE)).any():
        batch["imitated"] = valid & (batch["advice"] != NO_ADVICE)
    if "assisted" not in batch or not batch["assisted"].any():
        return valid
    batch["on_policy"] = valid & ~batch["assisted"]
    return batch["on_policy"]
