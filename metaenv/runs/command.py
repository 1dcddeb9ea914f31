"""`metaenv train` and `metaenv resume`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from metaenv.agents.registry import AGENTS, agent_class
from metaenv.files import read_json
from metaenv.limits import COUNT, check
from metaenv.runs.folder import RunError, RunFolder
from metaenv.runs.options import OPTIONS
from metaenv.runs.parallel import Engine
from metaenv.runs.sets import members, seed_runs, train_folders
from metaenv.runs.settings import TrainConfig
from metaenv.runs.stopping import or_stopped
from metaenv.runs.training import COUNTER, lengthen, read_config, resume, train

TRAIN_HELP = """\
usage: metaenv train {agents} ENV [options]

Train RL² (recurrent, on-policy), PEARL (infers the task, off-policy) or an agent of your own (module:Class) on trials
of an environment, in a new run folder (runs/ENV-SEED or runs/ENV-AGENT-SEED by default). ENV is an environment
(`metaenv envs`), one of your own (module:id), or settings kept in the repository, such as MaterialsSynthesis,
materials-recipe-short, bandit-10-5.

  metaenv train rl2 MaterialsSynthesis --steps 2000000 --seed 1 --out runs/first
  metaenv train rl2 MaterialsSynthesis --settings variant full feedback yield --agent.n-epochs 3
  metaenv train rl2 MaterialsSynthesis --seeds 5 --workers 4       five runs; on a cluster with --engine ray
  metaenv train rl2 MaterialsSynthesis --eval-every 500000         scores on validation tasks; the best policy is kept
  metaenv train rl2 MaterialsSynthesis --tasks 50                  on fifty materials, always the same
  metaenv train rl2 MaterialsSynthesis --device cpu                even where there is a GPU, which is used otherwise
  metaenv train pearl SparsePointRobot --agent.belief.latent-size 3
  metaenv train rl2 telescope-short --agent.teacher Bayes-UCB --agent.network.hidden-size 64
  metaenv train rl2 ENV --help       all options, with their defaults for that environment

Ctrl-C keeps what was learned; `metaenv resume RUN` goes on to the same result.
"""


def train_command(args: list[str], preset: Callable[[str, str], TrainConfig]) -> int:
    """Parse ``AGENT ENV [options]`` and train; `preset` finds settings by name and algorithm."""
    usage = TRAIN_HELP.format(agents="|".join(AGENTS))
    if not args or args[0] in ("-h", "--help"):
        print(usage, end="")
        return 0
    chosen = agent_class(args[0])
    if len(args) < 2 or args[1].startswith("-"):
        print(usage, end="")
        return 0 if len(args) > 1 and args[1] in ("-h", "--help") else 2
    algorithm, name = args[:2]
    defaults = preset(name, algorithm)

    def run(
        agent: Any = defaults.agent,
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = defaults,
        seeds: int = 1,
        workers: int = 1,
        engine: Engine = "local",
        out: Path | None = None,
        verbose: int = 0,
        tensorboard: bool = False,
    ) -> int:
        """Train an agent in a new run folder.

        Args:
            agent: settings of the agent.
            config: settings.
            seeds: training runs, with one seed after the other; beyond one, each in a folder seed-S of the run folder,
                and the same command again goes on where it stopped.
            workers: runs that are trained at once.
            engine: local processes, or a Ray cluster.
            out: the run folder, new or empty.
            verbose: 1 prints the log as a table, instead of the progress bar.
            tensorboard: also write TensorBoard events into the run folder.
        """
        check("seeds", seeds, COUNT)
        check("workers", workers, COUNT)
        config = replace(config, agent=agent)
        plain = "-".join([name.rpartition("/")[2].rpartition(":")[2], *([_short(algorithm)] * (algorithm != "rl2"))])
        folder = out or Path("runs") / f"{plain}-{config.seed}"
        if seeds > 1 or engine == "ray":
            jobs = seed_runs(config, range(config.seed, config.seed + seeds), folder)
            return _train_set(jobs, engine, workers, f"the same command, or metaenv resume {folder}, goes on")
        return _report(
            lambda: train(config, folder, progress_bar=not verbose, verbose=verbose, tensorboard=tensorboard), folder
        )

    run.__annotations__["agent"] = chosen.config_class  # it is known only now
    with OPTIONS:
        return tyro.cli(run, args=args[2:], prog=f"metaenv train {algorithm} {name}", description=chosen.title)


def _short(algorithm: str) -> str:
    return algorithm.rpartition(":")[2]


def resume_command(args: list[str]) -> int:
    """Parse ``RUN`` and go on with it: a run of an agent, a few-shot run, or a set of runs."""

    def run(
        run: tyro.conf.Positional[Path],
        steps: int | None = None,
        iterations: int | None = None,
        workers: int = 1,
        engine: Engine = "local",
        verbose: int = 0,
        tensorboard: bool = False,
    ) -> int:
        """Go on with an interrupted run, to the same result as without the interruption, or lengthen a run.

        Args:
            run: the run folder, of an agent or of few-shot learners, or one that holds folders seed-S.
            steps: train an agent for so many steps in all, more than it was to have.
            iterations: train few-shot learners for so many meta-updates in all, likewise.
            workers: of a few-shot run or a set, what is trained at once.
            engine: likewise, local processes, or a Ray cluster.
            verbose: of an agent's run, 1 prints the log as a table, instead of the progress bar.
            tensorboard: of an agent's run, also write TensorBoard events into the run folder.
        """
        check("workers", workers, COUNT)
        config = RunFolder(run).config
        if config.exists() and read_json(config).get("run") == "few-shot":
            from metaenv.runs.fewshot_command import resume_fewshot

            return resume_fewshot(run, iterations, workers, engine)
        if iterations is not None:
            raise RunError("--iterations is for few-shot runs; an agent's is lengthened by --steps")
        if folders := members(run):
            if steps is not None:
                for folder in folders:
                    lengthen(folder, steps)
            jobs = [(read_config(folder), folder.resolve()) for folder in folders]
            return _train_set(jobs, engine, workers, f"metaenv resume {run} goes on")
        read_config(run)
        if steps is not None:
            lengthen(run, steps)
        how: dict[str, Any] = {"progress_bar": not verbose, "verbose": verbose, "tensorboard": tensorboard}
        return _report(lambda: resume(run, **how), run)

    return tyro.cli(run, args=args, prog="metaenv resume")


def _train_set(jobs: list[tuple[TrainConfig, Path]], engine: Engine, workers: int, how: str) -> int:
    def work() -> int:
        train_folders(jobs, engine, workers)
        folders = [folder for _, folder in jobs]
        print(f"Run folders: {', '.join(map(str, folders))}. Next: metaenv evaluate {folders[0].parent}")
        return 0

    return or_stopped(work, how)


def _report(work: Callable[[], Any], folder: Path) -> int:
    def done() -> int:
        agent = work()
        lines = RunFolder(folder).read_log(COUNTER)
        # An iteration whose trials a teacher all played has no return of the agent's own: NaN.
        returns = [value for line in lines if (value := line.get("rollout/return", float("nan"))) == value]
        last = f"last mean return of a trial {returns[-1]:.3f}" if returns else "no trial was played without help"
        print(f"Trained for {agent.num_timesteps:,} steps; {last}.")
        if evaluations := [line for line in lines if "eval/score" in line]:
            final, best = evaluations[-1], max(evaluations, key=lambda line: line["eval/score"])
            print(
                f"Score on validation tasks: {final['eval/score']:.3f}; the best was "
                f"{best['eval/score']:.3f} after {int(best['eval/timesteps']):,} steps, kept in best.pt."
            )
        print(f"Run folder: {folder}. Next: metaenv evaluate {folder} --split test")
        return 0

    return or_stopped(done, f"go on with: metaenv resume {folder}")
