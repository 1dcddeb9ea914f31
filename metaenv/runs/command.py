"""`metaenv train` and `metaenv resume`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from metaenv.agents.base import Agent
from metaenv.errors import nearest
from metaenv.runs.options import OPTIONS
from metaenv.runs.training import AGENTS, TITLES, RunError, TrainConfig, read_config, resume, train

TRAIN_HELP = """\
usage: metaenv train rl2|pearl ENV [options]

Train RL² (recurrent, on-policy) or PEARL (infers the task, off-policy) on trials of an environment, in a new run
folder (runs/ENV-SEED or runs/ENV-pearl-SEED by default). ENV is an environment (`metaenv envs`) or settings kept in
the repository, such as MaterialsSynthesis, materials-demo, bandit-10-5.

  metaenv train rl2 MaterialsSynthesis --steps 2000000 --seed 1 --out runs/first
  metaenv train rl2 MaterialsSynthesis --settings variant full feedback yield --agent.n-epochs 3
  metaenv train pearl SparsePointRobot --agent.belief.latent-size 3
  metaenv train rl2 TargetSelection --agent.teacher Bayes-UCB --agent.network.hidden-size 64
  metaenv train rl2 ENV --help       all options, with their defaults for that environment

Ctrl-C keeps what was learned; `metaenv resume RUN` goes on to the same result.
"""


def train_command(args: list[str], preset: Callable[[str, str], TrainConfig]) -> int:
    """Parse ``rl2|pearl ENV [options]`` and train; `preset` finds settings by name and algorithm."""
    if not args or args[0] in ("-h", "--help"):
        print(TRAIN_HELP, end="")
        return 0
    if args[0] not in AGENTS:
        raise RunError(f"no agent {args[0]!r}.{nearest(args[0], AGENTS)}")
    if len(args) < 2 or args[1].startswith("-"):
        print(TRAIN_HELP, end="")
        return 0 if len(args) > 1 and args[1] in ("-h", "--help") else 2
    algorithm, name = args[:2]
    defaults = preset(name, algorithm)

    def run(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = defaults,
        out: Path | None = None,
        verbose: int = 0,
        tensorboard: bool = False,
    ) -> int:
        """Train an agent in a new run folder.

        Args:
            config: settings.
            out: the run folder, new or empty.
            verbose: 1 prints the log as a table, instead of the progress bar.
            tensorboard: also write TensorBoard events into the run folder.
        """
        plain = name.rpartition("/")[2] + ("" if algorithm == "rl2" else f"-{algorithm}")
        folder = out or Path("runs") / f"{plain}-{config.seed}"
        return _report(
            lambda: train(config, folder, progress_bar=not verbose, verbose=verbose, tensorboard=tensorboard), folder
        )

    with OPTIONS:
        return tyro.cli(run, args=args[2:], prog=f"metaenv train {algorithm} {name}", description=TITLES[algorithm])


def resume_command(args: list[str]) -> int:
    """Parse ``RUN`` and go on with it."""

    def run(run: tyro.conf.Positional[Path], verbose: int = 0, tensorboard: bool = False) -> int:
        """Go on with an interrupted run, to the same result as without the interruption.

        Args:
            run: the run folder.
            verbose: 1 prints the log as a table, instead of the progress bar.
            tensorboard: also write TensorBoard events into the run folder.
        """
        read_config(run)
        how: dict[str, Any] = {"progress_bar": not verbose, "verbose": verbose, "tensorboard": tensorboard}
        return _report(lambda: resume(run, **how), run)

    return tyro.cli(run, args=args, prog="metaenv resume")


def _report(work: Callable[[], Agent], folder: Path) -> int:
    try:
        agent = work()
    except KeyboardInterrupt:
        print(f"\nInterrupted. What was learned is in {folder}; go on with: metaenv resume {folder}", file=sys.stderr)
        return 130
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    # An iteration whose trials a teacher all played has no return of the agent's own: NaN.
    returns = [line["rollout/return"] for line in lines if line["rollout/return"] == line["rollout/return"]]
    told = f"last mean return of a trial {returns[-1]:.3f}" if returns else "no trial was played without help"
    print(f"Trained for {agent.num_timesteps:,} steps; {told}.")
    print(f"Run folder: {folder}. Next: metaenv evaluate {folder} --split test")
    return 0
