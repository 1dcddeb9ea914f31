"""`metaenv bench`: measurements that anyone can repeat."""

from __future__ import annotations

from importlib import import_module

from metaenv.errors import nearest

BENCHMARKS = {
    "envs": "metaenv.experiments.speed.envs:run",
    "accuracy": "metaenv.materials.convergence:main",
    "fewshot": "metaenv.experiments.speed.fewshot:run",
    "gpu": "metaenv.experiments.speed.gpu:run",
    "molecules": "metaenv.experiments.speed.molecules:run",
    "oracles": "metaenv.materials.oracle_convergence:main",
    "pearl": "metaenv.experiments.speed.pearl:run",
    "rl2": "metaenv.experiments.speed.rl2:run",
    "run": "metaenv.experiments.speed.played:run",
    "telescope": "metaenv.experiments.speed.telescope:run",
}
OF_A_RUN = ("run",)  # those that are given the folder of a training run
BENCH_HELP = """\
usage: metaenv bench WHAT
       metaenv bench run FOLDER

  envs       steps per second and time of a picture of every environment, beside Gymnasium's CartPole
  accuracy   error of the synthesis simulator against a run with 4,000 substeps, and its speed
  fewshot    MAML's update of all tasks at once beside a loop over tasks; samplers of episodes and light curves
  gpu        training on a GPU beside the CPU: where the time goes, and seconds to a target score
  molecules  molecule design with and without remembered scores, beside MolDQN's enumeration step
  oracles    what ten times the search finds above the stored oracles of MaterialsSynthesis
  pearl      PEARL's update of all tasks at once beside the same update task by task
  rl2        RL²'s learner beside sb3-contrib's RecurrentPPO: same nets, batch, minibatches and epochs
  run        steps per second of the environment of a trained run, as its agent plays it, beside CartPole
  telescope  nights of target selection, and a plan beside astroplan's PriorityScheduler

Compare numbers of one run only: machines differ, and are not always idle.
"""


def bench_command(args: list[str]) -> int:
    """Run one benchmark."""
    asked = args[0] if args else ""
    if asked in ("", "-h", "--help"):
        print(BENCH_HELP, end="")
        return 0 if asked else 2
    if asked not in BENCHMARKS:
        raise ValueError(f"no benchmark {asked!r}.{nearest(asked, BENCHMARKS)}")
    if len(args) != (2 if asked in OF_A_RUN else 1):
        print(BENCH_HELP, end="")
        return 2
    module, _, function = BENCHMARKS[asked].partition(":")
    getattr(import_module(module), function)(*args[1:])
    return 0
