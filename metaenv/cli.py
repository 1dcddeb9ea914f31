"""The console script `metaenv`. Each command imports what it needs when it is called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pkgutil import resolve_name

HELP = """\
metaenv: meta-reinforcement learning on distributions of scientific problems

  metaenv demo                    train PEARL on simulated chemistry and show it unseen systems (2 to 4 minutes)
  metaenv train rl2 ENV           train an agent in a new run folder
  metaenv resume RUN              go on with an interrupted run, to the same result
  metaenv fewshot FAMILY LEARNER  train a few-shot supervised learner and compare it with the baselines; `fewshot all`
  metaenv evaluate RUN            play a run's agent on held-out tasks, beside the classical methods
  metaenv certify ENV             show whether an environment needs memory, by agents that have it and that lack it
  metaenv envs [ENV|MODULE]       list the environments, ours or a module's, or print the page of one
  metaenv molecules mine|coverage make a chemistry of your own from a file of molecules, or count what one can build
  metaenv bench WHAT              measure speed: envs, rl2, fewshot and more
  metaenv reproduce WHAT          train and evaluate a published result whole: materials-rl2, bandit-rl2

Add --help to a command for its options. Every command takes --device: auto (a GPU where there is one), cpu, or cuda.
Nothing needs a network.
"""


ENVS_HELP = """\
usage: metaenv envs [ENV|MODULE] [--settings NAME VALUE ...]

List the environments, with their spaces, trials and splits; those that MODULE registers, where one is given; or print
the page of ENV: what it is, and every column of its observation.

  metaenv envs
  metaenv envs MaterialsSynthesis
  metaenv envs FurnaceControl --settings laboratory lab.toml
  metaenv envs lab                 the environments of lab.py in this folder
  metaenv envs lab:lab/Dose-v0     one of them
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, so that a user's own modules are found
    try:
        status = _run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has closed the pipe, as in `metaenv envs | head`. Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if args[0] == "--version":
        from metaenv.version import __version__

        print(__version__)
        return 0
    from metaenv.errors import install_hint, nearest

    # Before torch is imported: with small networks, two threads on a busy machine are ten times slower than one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    commands = _commands()
    if args[0] not in commands:
        return _complain(f"no command {args[0]!r}.{nearest(args[0], commands)}")
    try:
        return commands[args[0]]([*_with_whole_steps(_without_device(args[1:]))])
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        raise
    except ImportError as error:
        hint = "" if "pip install" in str(error) else f"\nThis command needs more packages: {install_hint(error)}"
        return _complain(f"{error}{hint}")
    except (ValueError, KeyError, OSError, NotImplementedError) as error:
        return _complain(str(error.args[0]) if isinstance(error, KeyError) else str(error))


def _commands() -> dict[str, Callable[[list[str]], int]]:
    return {
        "demo": _demo,
        "train": _train,
        "resume": _at("metaenv.runs.command:resume_command"),
        "fewshot": _fewshot,
        "evaluate": _evaluate,
        "certify": _at("metaenv.experiments.certificate.command:certify_command"),
        "envs": _envs,
        "molecules": _at("metaenv.molecules.build.command:molecules_command"),
        "bench": _at("metaenv.experiments.speed.command:bench_command"),
        "reproduce": _at("metaenv.experiments.command:reproduce_command"),
    }


def _at(place: str) -> Callable[[list[str]], int]:
    """The command at a place, such as "module:function", which is imported when the command is run."""
    return lambda args: resolve_name(place)(args)


def _without_device(args: list[str]) -> list[str]:
    """The arguments without ``--device NAME``, which this process and its workers go by from now on."""
    from metaenv.devices import VARIABLE, check_name, resolve_device

    others: list[str] = []
    given = iter(args)
    for arg in given:
        option, equals, name = arg.partition("=")
        if option == "--device":
            os.environ[VARIABLE] = chosen = check_name(name if equals else next(given, ""))
            if chosen.startswith("cuda"):
                resolve_device(chosen)  # refused before anything begins
        else:
            others.append(arg)
    return others


def _with_whole_steps(args: list[str]) -> Iterator[str]:
    """The arguments, with counts of steps such as 1e6 and 2.5e5 written out."""
    option = ""
    for arg in args:
        name, equals, value = arg.partition("=") if arg.startswith("--") else (option, "", arg)
        if name.endswith("steps") and re.fullmatch(r"[0-9._]+e[+]?[0-9]+", value, re.IGNORECASE):
            number = float(value)
            if not number.is_integer():
                raise ValueError(f"Expected a whole number of steps, got {value}.")
            yield f"{name}={int(number)}" if equals else str(int(number))
        else:
            yield arg
        option = arg


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
    from metaenv.experiments.settings import preset
    from metaenv.runs.command import train_command

    return train_command(args, preset)


def _fewshot(args: list[str]) -> int:
    if args[:1] == ["resume"]:
        return _at("metaenv.runs.command:resume_command")(args[1:])
    if args[:1] == ["all"]:
        return _at("metaenv.experiments.fewshot:matrix_command")(args[1:])
    return _at("metaenv.runs.fewshot_command:fewshot_command")(args)


def _evaluate(args: list[str]) -> int:
    import tyro

    from metaenv.experiments.evaluate import evaluate_run

    tyro.cli(evaluate_run, args=args, prog="metaenv evaluate")
    return 0


def _envs(args: list[str]) -> int:
    if args and args[0] in ("-h", "--help"):
        print(ENVS_HELP, end="")
        return 0
    from metaenv.pages import ids_of, overview, page
    from metaenv.registry import names, parsed

    if not args:
        print(overview())
        return 0
    name, more, settings = args[0], args[1:2], args[2:]
    if more not in ([], ["--settings"]) or len(settings) % 2 or bool(more) != bool(settings):
        return _complain(f"Expected one environment or module, or ENV --settings NAME VALUE ..., got {' '.join(args)}.")
    given = parsed(dict(zip(settings[::2], settings[1::2], strict=True)))
    if given or ":" in name or name.removeprefix("metaenv/").rpartition("-v")[0] in names() or name in names():
        print(page(name, given))
    else:
        print(overview(ids_of(name)))
    return 0
