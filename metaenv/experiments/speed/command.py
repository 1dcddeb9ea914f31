"""`metaenv bench`: measurements that anyone can repeat."""

from __future__ import annotations

from metaenv.errors import nearest

BENCHMARKS = ("accuracy", "envs", "fewshot", "molecules", "pearl", "rl2", "telescope")
BENCH_HELP = """\
usage: metaenv bench WHAT

  envs       steps per second of every environment, beside Gymnasium's CartPole
  accuracy   error of the synthesis simulator against a run with 4,000 substeps, and its speed
  fewshot    MAML's update of all tasks at once beside a loop over tasks; samplers of episodes and light curves
  molecules  molecule design with and without remembered scores, beside MolDQN's enumeration step
  pearl      PEARL's update of all tasks at once beside the same update task by task
  rl2        RL²'s learner beside sb3-contrib's RecurrentPPO: same nets, batch, minibatches and epochs
  telescope  nights of target selection, and a plan beside astroplan's PriorityScheduler

Compare numbers of one run only: machines differ, and are not always idle.
"""


def bench_command(args: list[str]) -> int:
    """Run one benchmark."""
    if len(args) != 1 or args[0] in ("-h", "--help"):
        print(BENCH_HELP, end="")
        return 0 if args else 2
    if args[0] not in BENCHMARKS:
        raise ValueError(f"no benchmark {args[0]!r}.{nearest(args[0], BENCHMARKS)}")
    if args[0] == "envs":
        from metaenv.experiments.speed.envs import run
    elif args[0] == "accuracy":
        from metaenv.materials.convergence import main as run
    elif args[0] == "fewshot":
        from metaenv.experiments.speed.fewshot import run
    elif args[0] == "molecules":
        from metaenv.experiments.speed.molecules import run
    elif args[0] == "pearl":
        from metaenv.experiments.speed.pearl import run
    elif args[0] == "rl2":
        from metaenv.experiments.speed.rl2 import run
    else:
        from metaenv.experiments.speed.telescope import run
    run()
    return 0
