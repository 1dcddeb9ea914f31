"""The classical players of each environment, by name, for comparisons."""

from __future__ import annotations

from metaenv.players import RandomPlayer, TrialPlayer
from metaenv.trial import VectorTrial

RANDOM = "random"


def classical_players(trials: VectorTrial) -> tuple[dict[str, TrialPlayer], str]:
    """What to compare an agent with.

    Args:
        trials: of the environment to play.

    Returns:
        Players by name, random first, and the name of the best fixed rule.
    """
    env = trials.innermost
    players: dict[str, TrialPlayer] = {RANDOM: RandomPlayer()}
    # By name: importing every domain to ask isinstance would load all of them.
    match type(env).__name__:
        case "MaterialsSynthesisVectorEnv":
            from metaenv.materials import baselines

            return {**players, **baselines.players(getattr(env, "tier"))}, "best fixed recipe"  # noqa: B009
        case "FurnaceControlVectorEnv":
            from metaenv.materials import furnace_players

            return {**players, **furnace_players.players()}, "best fixed programme"
        case "MoleculeDesignVectorEnv":
            from metaenv.molecules import baselines as molecules
            from metaenv.molecules.bayes import BayesAdapter

            tier = getattr(env, "tier")  # noqa: B009
            known = {} if tier == "assay" else {"Bayes adapter": BayesAdapter(tier)}  # it knows windows, not targets
            return {**players, **molecules.players(tier), **known}, "best fixed molecule"
        case "SparsePointRobotVectorEnv":
            from metaenv.classic import point_robot_players

            return {**players, **point_robot_players.players()}, "best fixed walk"
        case "GridNaviVectorEnv":
            from metaenv.classic import grid_navi_players

            return {**players, **grid_navi_players.players()}, "best blind search"
        case "TabularMDPVectorEnv":
            from metaenv.classic import mdp_players

            return {**players, **mdp_players.players()}, RANDOM
        case "BernoulliBanditVectorEnv":
            from metaenv.classic import trial_players

            return {**players, **trial_players.players()}, RANDOM
        case "LeadOptimizationVectorEnv":
            from metaenv.molecules import lead_players

            return {**players, **lead_players.players()}, "best fixed molecule"
        case "TargetSelectionVectorEnv":
            from metaenv.telescope import baselines as telescope

            return {**players, **telescope.players()}, telescope.BEST_FIXED
        case _:
            return players, RANDOM
