"""The baselines that an environment declares, with random play beside them, for comparisons and as teachers."""

from __future__ import annotations

from metaenv.policies import Policy, RandomPolicy
from metaenv.vector import BatchedEnv

RANDOM = "random"


def baselines_of(env: BatchedEnv) -> tuple[dict[str, Policy], str | None]:
    """What to compare an agent with.

    Args:
        env: the environment to play, or trials of it.

    Returns:
        Policies by name, random first, and the name of the best fixed rule, if the environment declares one.

    Raises:
        ValueError: the environment names a best fixed rule that is none of its baselines.
    """
    policies: dict[str, Policy] = {RANDOM: RandomPolicy(), **env.baselines()}
    if env.best_fixed is not None and env.best_fixed not in policies:
        raise ValueError(
            f"Expected best_fixed to name a baseline of the environment, one of {', '.join(policies)}; "
            f"got {env.best_fixed!r}. Correct best_fixed or baselines() of the environment."
        )
    return policies, env.best_fixed
