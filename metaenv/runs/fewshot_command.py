"""`metaenv fewshot`: train few-shot learners on a family of problems, and hold them against what is used today."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated

import tyro

from metaenv.errors import nearest
from metaenv.runs.cells import lengthen, read_run, run_fewshot
from metaenv.runs.fewshot import FewShotOptions, Run, resolve_run
from metaenv.runs.parallel import Engine
from metaenv.runs.stopping import or_stopped
from metaenv.supervised.families import FAMILIES, FILE_FAMILIES, family_class, make_family
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class

FEWSHOT_HELP = """\
usage: metaenv fewshot FAMILY LEARNER [options]
       metaenv fewshot FAMILY all [options]     every learner on one family
       metaenv fewshot all [options]            every learner on every family: one table
       metaenv fewshot resume RUN               go on with an interrupted run (`metaenv resume RUN` does, too)

Train a few-shot learner on a family of problems, and compare it, on problems it has never seen, with what one would use
without: nearest centroid, nearest neighbours, discriminant analysis, naive Bayes, a linear model, a random forest, a
Gaussian process; and with classical methods that learn from the training tasks, too: one linear projection, ridge
towards the mean weights, a Gaussian process with learned mean and covariance, and one network for all problems that
does not adapt (no-adaptation). A table and a picture by the number of samples to learn from.

families:  {families}
learners:  {learners}
baselines:    {baselines} (may be named as learners, too)
A family or a learner of your own is named module:Class.

  metaenv fewshot light-curves prototypical                     5 kinds of star, 5 samples of each
  metaenv fewshot light-curves prototypical --kind anomaly      rare transients
  metaenv fewshot materials-synthesis deep-kernel --n-shot 10 --seeds 3 --out runs/recipes
  metaenv fewshot gene-expression maml --settings inner_lr 0.2 inner_steps 5 --split validation
  metaenv fewshot assays prototypical --options data my.csv     active or not, in assays of your own
  metaenv fewshot table all --options data my.csv target yield group substrate    your own table, a task a group
  metaenv fewshot all --quick --workers 2
  metaenv fewshot FAMILY                    what the family is made of
  metaenv fewshot FAMILY LEARNER --help     all options

Ctrl-C keeps what was learned. The same command again, or `metaenv resume RUN`, goes on to the same result.
"""


def fewshot_command(args: list[str]) -> int:
    """Parse what comes after ``metaenv fewshot`` and do it."""
    if not args or args[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0
    family_class(args[0])  # complains of a name that is none
    if len(args) == 1 or args[1] in ("-h", "--help"):
        print(describe(args[0]), end="")
        return 0
    if args[1].startswith("-"):
        raise ValueError(f"expected a learner after {args[0]!r}, got {args[1]!r}.{nearest('', _methods())}")
    if args[1] != "all":
        learner_class(args[1])
    return _run_command(args[0], args[1], args[2:])


def _help() -> str:
    names = {
        "families": ", ".join(sorted(FAMILIES)) + f"; with a file of yours: {', '.join(FILE_FAMILIES)}",
        "learners": ", ".join(LEARNERS),
        "baselines": ", ".join(BASELINES),
    }
    return FEWSHOT_HELP.format(**names)


def _methods() -> list[str]:
    return [*LEARNERS, *BASELINES]


def describe(name: str) -> str:
    """What a family is made of, for a reader."""
    cls = family_class(name)
    if name in FILE_FAMILIES:  # what it has depends on the file
        return f"{(sys.modules[cls.__module__].__doc__ or '').strip()}\n\n{inspect.getdoc(cls)}\n"
    family = make_family(name)
    told = (sys.modules[cls.__module__].__doc__ or "").strip()
    able = {kind: [m for m in LEARNERS if kind in learner_class(m).kinds] for kind in family.kinds}
    lines = [told, "", f"source:    {cls.provenance}", f"splits:    {', '.join(family.splits)}"]
    lines.append(
        f"shots:     {family.shots[0]} to learn from, {family.shots[1]} to be judged on, unless told otherwise"
    )
    lines += [f"{kind + ':':<16} {', '.join(learners)}" for kind, learners in able.items()]
    return "\n".join([*lines, "", f"metaenv fewshot {name} LEARNER --help tells all options.", ""])


def _run_command(family: str, learner: str, args: list[str]) -> int:
    def run(
        options: Annotated[FewShotOptions, tyro.conf.arg(name="")],
        workers: int = 1,
        engine: Engine = "local",
        out: Path | None = None,
    ) -> int:
        """Train a few-shot learner, and compare it with the baselines on problems that it has never seen.

        Args:
            options: of the run.
            workers: processes that train at once.
            engine: local processes, or a Ray cluster.
            out: the run folder; runs/fewshot/FAMILY-KIND-LEARNER-SEED by default.
        """
        planned = resolve_run(family, None if learner == "all" else [learner], **vars(options))
        for note in planned.notes:
            print(f"- {note}")
        name = f"{family}-{planned.kind}-{learner}-{options.seed}{'-quick' * options.quick}".replace(":", ".")
        return _run(planned, out or Path("runs/fewshot") / name, workers, engine)

    title = "Every learner" if learner == "all" else learner_class(learner).__name__
    return tyro.cli(
        run,
        args=args,
        prog=f"metaenv fewshot {family} {learner}",
        description=f"{title} on {family}. {str(run.__doc__).splitlines()[0]}",
    )


def resume_fewshot(folder: Path, iterations: int | None, workers: int, engine: Engine) -> int:
    """Go on with a few-shot run, or lengthen it."""
    if iterations is not None:
        lengthen(folder, iterations)
    return _run(read_run(folder), folder, workers, engine)


def _run(run: Run, folder: Path, workers: int, engine: Engine) -> int:
    def work() -> int:
        report = run_fewshot(run, folder, progress_bar=True, workers=workers, engine=engine)
        print(f"\n{report.markdown()}\n\nRun folder: {folder}, with table.md, report.json and picture.png.")
        return 0

    return or_stopped(work, f"go on with: metaenv resume {folder}")
