"""The baselines of each environment, by name, for comparisons."""

from __future__ import annotations

from metaenv.policies import Policy, RandomPolicy
from metaenv.trial import VectorTrial

RANDOM = "random"


def baselines_of(trials: VectorTrial) -> tuple[dict[str, Policy], str]:
    """What to compare an agent with.

    Args:
        trials: of the environment to play.

    Returns:
        Policies by name, random first, and the name of the best fixed rule.
    """
    env = trials.innermost
    policies: dict[str, Policy] = {RANDOM: RandomPolicy()}
    # By name: importing every domain to ask isinstance would load all of them.
    match type(env).__name__:
        case "MaterialsSynthesisVectorEnv":
            from metaenv.materials import baselines

            return {**policies, **baselines.baselines(getattr(env, "variant"))}, "best fixed recipe"  # noqa: B009
        case "FurnaceControlVectorEnv":
            from metaenv.materials import furnace_baselines as furnace_policies

            return {**policies, **furnace_policies.baselines()}, "best fixed programme"
        case "MoleculeDesignVectorEnv":
            from metaenv.molecules.design import baselines as molecules
            from metaenv.molecules.design.bayes import BayesAdapter

            variant = getattr(env, "variant")  # noqa: B009
            known = (
                {} if variant == "assay" else {"Bayes adapter": BayesAdapter(variant)}
            )  # it knows windows, not targets
            return {**policies, **molecules.baselines(variant), **known}, "best fixed molecule"
        case "SparsePointRobotVectorEnv":
            from metaenv.classic.point_robot import baselines as point_robot_policies

            return {**policies, **point_robot_policies.baselines()}, "best fixed walk"
        case "GridNaviVectorEnv":
            from metaenv.classic.gridnavi import baselines as grid_navi_policies

            return {**policies, **grid_navi_policies.baselines()}, "best blind search"
        case "TabularMDPVectorEnv":
            from metaenv.classic.mdp import policies as mdp_policies

            return {**policies, **mdp_policies.baselines()}, RANDOM
        case "BernoulliBanditVectorEnv":
            from metaenv.classic.bandit import policies as trial_policies

            return {**policies, **trial_policies.baselines()}, RANDOM
        case "LeadOptimizationVectorEnv":
            from metaenv.molecules.lead import baselines as lead_policies

            return {**policies, **lead_policies.baselines()}, "best fixed molecule"
        case "TargetSelectionVectorEnv":
            from metaenv.telescope import baselines as telescope

            return {**policies, **telescope.baselines()}, telescope.BEST_FIXED
        case _:
            return policies, RANDOM
