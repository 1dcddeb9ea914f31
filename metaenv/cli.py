"""The console script `metaenv`. Each command imports what it needs when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

HELP = """\
metaenv: meta-reinforcement learning on distributions of scientific problems

  metaenv demo                    train RL² on simulated materials and show it adapt to unseen ones (3 minutes)
  metaenv train rl2 ENV           train an agent in a new run folder
  metaenv resume RUN              go on with an interrupted run, to the same result
  metaenv fewshot FAMILY LEARNER  train a few-shot supervised learner and compare it with the floors; `fewshot all`
  metaenv evaluate RUN            play a run's agent on held-out tasks, beside the classical methods
  metaenv envs                    list the environments
  metaenv bench WHAT              measure speed: envs, rl2, fewshot and more
  metaenv reproduce WHAT          train and evaluate a published result whole: materials-rl2, bandit-rl2

Add --help to a command for its options. Everything runs on the CPU, without a network.
"""


RETURNS = {"sum": "their sum", "best": "the best of them"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if args[0] == "--version":
        from metaenv.version import __version__

        print(__version__)
        return 0
    from metaenv.errors import nearest

    # Before torch is imported: with small networks, two threads on a busy machine are ten times slower than one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    commands = _commands()
    if args[0] not in commands:
        return _complain(f"no command {args[0]!r}.{nearest(args[0], commands)}")
    try:
        return commands[args[0]](args[1:])
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except ImportError as error:
        return _complain(f"{error}\nThis command needs more packages: pip install -e '.[all]'")
    except (ValueError, KeyError, OSError) as error:
        return _complain(str(error.args[0]) if isinstance(error, KeyError) else str(error))


def _commands() -> dict[str, Callable[[list[str]], int]]:
    return {
        "demo": _demo,
        "train": _train,
        "resume": _resume,
        "fewshot": _fewshot,
        "evaluate": _evaluate,
        "envs": _envs,
        "bench": _bench,
        "reproduce": _reproduce,
    }


def _complain(message: str, status: int = 2) -> int:
    print(f"metaenv: {message}", file=sys.stderr)
    return status


def _demo(args: list[str]) -> int:
    import tyro

    from metaenv.experiments.demo import demo
    from metaenv.runs.allocator import keep_freed_memory

    keep_freed_memory()
    tyro.cli(demo, args=args, prog="metaenv demo")
    return 0


def _train(args: list[str]) -> int:
    from metaenv.runs.command import train_command

    return train_command(args)


def _resume(args: list[str]) -> int:
    from metaenv.runs.command import resume_command

    return resume_command(args)


def _fewshot(args: list[str]) -> int:
    from metaenv.runs.fewshot_command import fewshot_command

    return fewshot_command(args)


def _evaluate(args: list[str]) -> int:
    import tyro

    from metaenv.experiments.evaluate import evaluate_run

    tyro.cli(evaluate_run, args=args, prog="metaenv evaluate")
    return 0


def _envs(args: list[str]) -> int:
    if args:
        print("usage: metaenv envs\n\nList the registered environments, with their spaces, trials and splits.")
        return 0 if args[0] in ("-h", "--help") else 2
    import gymnasium as gym

    from metaenv.registry import ENVIRONMENTS, full_id
    from metaenv.trial import make_trials

    for name in ENVIRONMENTS:
        env = make_trials(name)
        summary = (gym.make(full_id(name)).unwrapped.__doc__ or "").split("\n")[0]
        print(f"{full_id(name)}\n  {summary}")
        print(f"  action {env.single_action_space}; observation {env.env.single_observation_space.shape}")
        splits = ", ".join(env.distribution.splits)
        print(f"  trial of {env.episodes} episodes, its return {RETURNS[env.trial_state.objective]}; splits {splits}")
    return 0


def _bench(args: list[str]) -> int:
    from metaenv.experiments.speed.command import bench_command

    return bench_command(args)


def _reproduce(args: list[str]) -> int:
    from metaenv.experiments.command import reproduce_command

    return reproduce_command(args)
