"""`metaenv certify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from metaenv.experiments.certificate.card import lines, save
from metaenv.experiments.certificate.ladder import climb, untaught
from metaenv.experiments.settings import preset
from metaenv.runs.parallel import Engine
from metaenv.runs.stopping import or_stopped
from metaenv.runs.training import TrainConfig

CERTIFY_HELP = """\
usage: metaenv certify ENV [options]

Does ENV need memory? Train RL² with one budget five times: blind, without memory, forgetting at each episode's end,
with its full memory, and told the task. Play them on test tasks, beside the agent with full memory that is shown its
last episodes only or what came of another task, random play, the best fixed rule and list, the strongest baseline that
the environment declares, and the oracle. ENV is an environment, one of your own (module:id), or kept settings.

  metaenv certify BernoulliBandit --steps 1000000 --seeds 3
  metaenv certify own_environment:example/Dose-v0
  metaenv certify materials-yield --steps 3000000 --workers 2 --card docs/cards/materials-yield.md
  metaenv certify ENV --help         all options

The page, its JSON and its picture are written to runs/certify/ENV. The same command again goes on where it stopped.
"""
STEPS = 200_000  # of each training (chosen)
ITERATIONS = 150  # that a training has at least, where its trials have a fixed length (chosen)
LEAST_ENVS = 16  # trials at once, at least (chosen)


def certify_command(args: list[str]) -> int:
    """Parse ``ENV [options]`` and make the certificate."""
    if not args or args[0] in ("-h", "--help"):
        print(CERTIFY_HELP, end="")
        return 0
    import tyro

    name = args[0]
    base = untaught(preset(name))

    def run(
        steps: int = STEPS,
        seeds: int = 1,
        out: Path | None = None,
        num_envs: int | None = None,
        episodes: int | None = base.episodes,
        settings: dict[str, str] | None = None,
        split: str = "test",
        tasks: int = 256,
        card: Path | None = None,
        workers: int = 1,
        engine: Engine = "local",
    ) -> int:
        """Train and play the memory ladder of an environment, and write its adaptation certificate.

        Args:
            steps: environment steps of each training.
            seeds: trainings of each kind; with one there are no intervals over seeds.
            out: folder of the runs and of the certificate; runs/certify/ENV by default.
            num_envs: trials played at once; by default as the settings of the environment say, but fewer where a
                training would have less than 150 updates.
            episodes: of a trial.
            settings: of the environment as pairs, for example `--settings variant full noise_factor 2`.
            split: whose tasks are played in the end.
            tasks: the first so many of them.
            card: write the page there, too, with its picture and JSON beside it.
            workers: trainings at the same time.
            engine: local processes, or a Ray cluster.
        """
        config = replace(base, steps=steps, episodes=episodes, settings={**base.settings, **(settings or {})})
        config = replace(config, num_envs=num_envs or _at_once(config))
        plain = name.rpartition("/")[2].rpartition(":")[2]
        folder = out or Path("runs/certify") / plain

        def work() -> int:
            ladder = climb(config, seeds, folder, split, tasks, engine, workers, lambda text: print(text, flush=True))
            print("\n" + "\n".join(lines(ladder, plain)))
            written = [path for page in (folder / "card.md", card) if page for path in save(ladder, plain, page)]
            print(f"\nWritten: {', '.join(map(str, written))}")
            return 0

        return or_stopped(work, "the same command goes on")

    return tyro.cli(run, args=args[1:], prog=f"metaenv certify {name}")


def _at_once(config: TrainConfig) -> int:
    length = config.make_env(num_envs=1).trial_length
    most = config.num_envs if length is None else config.steps // (length * ITERATIONS)
    return min(config.num_envs, max(LEAST_ENVS, most))
