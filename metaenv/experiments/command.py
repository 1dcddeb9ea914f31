"""`metaenv reproduce`: train and evaluate a published result whole, and write its table.

Runs that are complete are not trained again, and interrupted ones are resumed, so a second call goes on where the
first one stopped.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from metaenv.errors import nearest

if TYPE_CHECKING:
    from metaenv.experiments.runner import Experiment

EXPERIMENTS = {
    "bandit-rl2": ("bandits:BanditRL2", "RL² on 10 pulls of a 5-armed bandit, every baseline, the exact optimum"),
    "materials-rl2": ("materials:MaterialsRL2", "RL² on unseen materials, in and out of distribution, and controls"),
    "missing-instruments": (
        "missing_instruments:MissingInstruments",
        "RL² and PEARL where XRD, SEM or balance is missing",
    ),
    "rl2-bandits": ("bandits:RL2Bandits", "Table 1 of the RL² paper: bandits of 10, 100 and 500 pulls, every column"),
    "rl2-mdps": ("mdps:RL2MDPs", "Table 2 of the RL² paper: random MDPs of 10 to 100 episodes, every column"),
    "pearl-point-robot": ("point_robot:PointRobot", "PEARL on the sparse point robot of its paper, on unseen goals"),
    "gridnavi": ("gridnavi:GridNavi", "RL² and PEARL on VariBAD's 5 by 5 grid, beside the exact Bayes-optimal values"),
    "pearl-materials": ("materials:PEARLMaterials", "PEARL on unseen materials, beside the greedy portfolio"),
    "pearl-ablation": ("pearl_ablation:PEARLAblation", "PEARL as published, and its options one by one, on one family"),
    "pearl-bandit": ("bandits:PEARLBandit", "PEARL with discrete actions on 100 pulls of a 5-armed bandit"),
    "ablations": ("ablations:Ablations", "RL² with other memories, hypernetwork heads, an inferred belief; validation"),
    "molecules": ("molecules:Molecules", "RL² and PEARL on unseen molecule objectives, a Bayes adapter, an oracle"),
    "telescope": ("telescope:Telescope", "RL² and PEARL on unseen skies and observing programmes, night by night"),
    "omniglot": ("omniglot:Omniglot", "all few-shot learners on Omniglot (--data PATH), beside their papers"),
    "real-data": ("real_data:RealData", "few-shot learners on real cells, genes, steels and recipes (--data FOLDER)"),
    "sinusoid": ("sinusoid:Sinusoid", "MAML on its paper's sines: error after 1, 5 and 10 gradient steps"),
}
"""The published results: where each is defined in this package, and what it shows."""


def reproduce_command(args: list[str]) -> int:
    """Parse ``WHAT [options]`` and run it."""
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0
    if args[0] not in EXPERIMENTS:
        raise ValueError(f"no result {args[0]!r}.{nearest(args[0], EXPERIMENTS)}")
    import tyro

    from metaenv.runs.stopping import or_stopped

    asked = tyro.cli(experiment(args[0]), args=args[1:], prog=f"metaenv reproduce {args[0]}")

    def work() -> int:
        asked.run()
        return 0

    return or_stopped(work, "the same command goes on")


def experiment(name: str) -> type[Experiment]:
    """The class of a published result."""
    module, _, kind = EXPERIMENTS[name][0].partition(":")
    return getattr(import_module(f"metaenv.experiments.{module}"), kind)


def _help() -> str:
    lines = [f"  {name:<19} {summary}" for name, (_, summary) in EXPERIMENTS.items()]
    return "\n".join(
        [
            "usage: metaenv reproduce WHAT [options]",
            "",
            *lines,
            "",
            "`metaenv reproduce WHAT --help` lists the options. The table is written to runs/reproduce/WHAT as",
            "Markdown, with JSON and pictures beside it.",
        ]
    )
