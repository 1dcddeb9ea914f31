"""What PEARL must know of the trials it plays, and the checks that an env delivers such trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gymnasium.vector import VectorEnv

from metaenv.agents.trial_spaces import resolve_spaces
from metaenv.trial import VectorTrial


@dataclass(frozen=True)
class PEARLSpaces:
    """The sizes that PEARL's networks are made for; all of it is stored in checkpoints."""

    observation_size: int
    """d, length of the observation of an episode."""
    trial_size: int
    """Length of the trial's observation around it."""
    n_actions: int | None
    """Number of discrete actions; None for a continuous action."""
    action_size: int
    """Dimensions of a continuous action in [-1, 1]; 0 for discrete actions."""
    reports_at_end: bool
    """Whether the trial's observation repeats the last observation of the episode before."""
    hide_history: bool = False
    """Whether the trial hides what was done and paid: then the belief stays the prior."""
    task_size: int = 0
    """Length of the task's context vector; 0 where it is not predicted."""
    items: tuple[int, int] | None = None
    """Features of an item, and number of items, where the observation begins with a list that is used as one (see
    `metaenv.agents.entities`); else None."""

    def __post_init__(self) -> None:
        if self.items is not None:  # a checkpoint has it as a list
            object.__setattr__(self, "items", tuple(self.items))

    @property
    def action_vector(self) -> int:
        """Length of an action as the context shows it: one-hot, or the vector."""
        return self.action_size if self.n_actions is None else self.n_actions


def pearl_spaces(
    env: VectorEnv[Any, Any, Any] | None,
    expected: PEARLSpaces | None,
    predicts_task: bool = False,
    lists_items: bool = False,
) -> PEARLSpaces:
    """The sizes of the env's trials, checked.

    Args:
        env: the env; None returns what is expected.
        expected: what they must be, or None.
        predicts_task: whether the task's context vector is predicted.
        lists_items: whether the env must say how its observation lists items.

    Raises:
        ValueError: the env is none of trials, or its spaces or autoreset mode do not fit.
    """
    if env is None:
        if expected is None:
            raise ValueError("Expected an env to take the sizes of the spaces from, or `spaces`; got neither.")
        return expected
    if not isinstance(env, VectorTrial):
        raise ValueError(
            f"Expected a VectorTrial, whose steps PEARL can tell apart and replay; got {type(env).__name__}. Make one "
            "with metaenv.trial.make_trials(env_id, num_envs)."
        )
    trial = resolve_spaces(env, None, predicts_task, lists_items)
    found = PEARLSpaces(
        observation_size=env.trial_state.episode_size,
        trial_size=trial.observation_size,
        n_actions=trial.n_actions,
        action_size=trial.action_size,
        reports_at_end=env.trial_state.reports_at_end,
        hide_history=env.trial_state.hide_history,
        task_size=trial.context_size,
        items=trial.items,
    )
    if expected is not None and found != expected:
        raise ValueError(f"Expected the environment this agent was made for, {expected}; got {found}.")
    return found
