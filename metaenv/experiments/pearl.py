"""`metaenv reproduce` for PEARL: the point robot of its paper, GridNavi, bandits and materials.

Every policy meets the same frozen tasks and the same noise. An agent that infers the task draws at random, so trials
are repeated where tasks are few; means over repetitions come first, then intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.agents.pearl import PEARL, PEARLConfig
from metaenv.agents.rl2 import RL2
from metaenv.baselines import RANDOM, baselines_of
from metaenv.evaluation import CHUNK, Evaluation, difference, first_tasks, make_row, oracle_row, write_text
from metaenv.experiments.belief_figures import write_pictures
from metaenv.experiments.evaluate import compare, save
from metaenv.plots import curves
from metaenv.plots import save as save_figure
from metaenv.policies import AgentPolicy, Policy, RandomPolicy, play_trials
from metaenv.runs.parallel import Engine
from metaenv.runs.sets import is_complete, seconds_spent, train_set
from metaenv.runs.training import TrainConfig, load_run, parsed, preset, replace
from metaenv.stats import Interval, bootstrap_interval, paired_difference
from metaenv.tasks import FrozenTasks, Reference
from metaenv.trial import VectorTrial, make_trials
from metaenv.typing import Floats

RL2_TITLE, PEARL_TITLE, BLIND = RL2.title, PEARL.title, "PPO, context-blind"
BLIND_SHARE = 3  # of RL²'s steps for a context-blind PPO; chosen: it has less to learn
RESAMPLES = 1000  # of the bootstrap; chosen
SUMMARY = (0, 1, 2, 5, 10, 19)  # trajectories of the point robot that the short table shows
BANDIT_SHOTS = (1, 2, 5, 10, 20, 50, 100)  # pulls at which bandits' curves are drawn (chosen)

Policies = Mapping[str, Policy | Sequence[Policy]]


def pearl_point_robot(
    out: Path = Path("runs/reproduce/pearl-point-robot"),
    seeds: int = 3,
    tasks: int | None = None,
    steps: int | None = None,
    repetitions: int = 10,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """PEARL on the sparse point robot of its paper: 20 trajectories to each of 20 goals never trained on.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs.
        tasks: the first so many of the 20 test goals; all by default.
        steps: steps to train on; the preset's own number by default.
        repetitions: trials of each goal.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    config = _sized(preset("SparsePointRobot", "pearl"), steps)
    folders = train_set({"pearl": config}, seeds, out, engine, workers)["pearl"]
    match = play_match(config, {PEARL_TITLE: trained(folders)}, tasks, repetitions)
    shown = [k for k in SUMMARY if k < match.episodes]
    summary = {
        name: np.concatenate([s[:, :, shown], s.mean(axis=2, keepdims=True)], axis=2)
        for name, s in match.over_tasks().items()
    }
    oracle = match.test.reference.oracle
    evaluation = match.evaluation(range(1, match.episodes + 1), _spent({PEARL_TITLE: folders}))
    save(evaluation, out)
    lines = [
        "# PEARL on the sparse point robot",
        "",
        f"Sparse return of a trajectory of {match.steps} steps, on {len(oracle)} test goals, {repetitions} trials of "
        f"each, final policies; mean [95 % interval over goals and {seeds} training seeds]. The oracle walks straight "
        f"to the goal and stays: {oracle.mean():.2f}, exactly, on these goals. Nothing is trained on them. The paper "
        "shows its result as a figure only and prints no numbers, so there are none here to compare with.",
        "",
        *_training_lines({PEARL_TITLE: (config, folders)}),
        "",
        *_table(["trajectory", *map(str, shown), "mean of all"], {n: _cells(v) for n, v in summary.items()}),
        f"| known goal, exact | {' | '.join([f'{oracle.mean():.3f}'] * (len(shown) + 1))} |",
        "",
        "As fractions of the oracle's return (ratio of means), trajectory by trajectory:",
        "",
        *_by_episode(evaluation),
    ]
    _finish(lines, out, _pictures(folders, out))


def gridnavi(
    out: Path = Path("runs/reproduce/gridnavi"),
    seeds: int = 3,
    tasks: int | None = None,
    steps: int | None = None,
    repetitions: int = 50,
    blind: bool = True,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """RL² and PEARL on GridNavi, beside the exact values: four episodes towards each of all 21 goals.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs of each agent.
        tasks: the first so many of the 21 goals; all by default.
        steps: steps to train each agent on; the presets' own numbers by default.
        repetitions: trials of each goal.
        blind: also train a PPO that sees neither rewards nor its past actions.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    from metaenv.classic.gridnavi.env import PROBLEM

    rl2 = _sized(preset("GridNavi"), steps)
    configs = {RL2_TITLE: rl2, PEARL_TITLE: _sized(preset("GridNavi", "pearl"), steps)}
    if blind:
        configs[BLIND] = replace(rl2, hide_history=True, steps=max(1, rl2.steps // BLIND_SHARE))
    folders = _train(configs, seeds, out, engine, workers)
    match = play_match(rl2, {name: trained(f) for name, f in folders.items()}, tasks, repetitions)
    evaluation = match.evaluation(range(1, match.episodes + 1), _spent(folders))
    _save_closed(evaluation, out)
    totals = {n: np.concatenate([s, s.sum(axis=2, keepdims=True)], axis=2) for n, s in match.over_draws().items()}
    exact = _exact_gridnavi() if match.episodes == PROBLEM.episodes and tasks is None else {}
    rows = {name: [*_cells(values, 4), _exact_cell(exact, name)] for name, values in totals.items()}
    lines = [
        "# GridNavi: a hidden goal on 5 by 5 cells, four episodes",
        "",
        f"Return of each episode, mean over {len(match.test)} goals. The family has 21 goals and no others, so nothing "
        f"is held out, and intervals (95 %) are over {seeds} training seeds and {repetitions} repetitions, not goals. "
        "Final policies, most likely actions. VariBAD (Zintgraf et al. 2020) shows its results as figures only.",
        "",
        *_training_lines({name: (configs[name], folders[name]) for name in configs}),
        "",
        *_table([*(f"episode {k + 1}" for k in range(match.episodes)), "total", "exact total"], rows, "policy"),
        *[_exact_row(name, values) for name, values in exact.items() if name not in rows],
        "",
        *_of_each_seed({name: totals[name][:, :, -1] for name in configs}),
    ]
    _finish(lines, out, _pictures(folders[PEARL_TITLE], out))


def pearl_bandit(
    out: Path = Path("runs/reproduce/pearl-bandit"),
    seeds: int = 1,
    tasks: int = 2000,
    steps: int | None = None,
    rl2: bool = False,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """PEARL with discrete actions on 100 pulls of a 5-armed bandit, beside baselines on the same bandits.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs.
        tasks: the first so many of the 10,000 frozen test bandits.
        steps: pulls to train on; the preset's own number by default.
        rl2: also train RL² (an hour). Runs of `metaenv reproduce rl2-bandits` beside this folder are shown in any case.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    configs = {PEARL_TITLE: _sized(preset("bandit-100-5", "pearl"), steps)}
    if rl2:
        configs[RL2_TITLE] = _sized(preset("bandit-100-5"), steps)
    config = configs[PEARL_TITLE]
    folders = _train(configs, seeds, out, engine, workers)
    _add_finished(folders, out.parent / "rl2-bandits" / "100-5")
    # RL²'s actions are drawn from its policy, as in the table of its own paper.
    agents = {name: trained(f, deterministic=name == PEARL_TITLE) for name, f in folders.items()}
    match = play_match(config, agents, tasks, 1)
    save(match.evaluation([k for k in BANDIT_SHOTS if k <= match.episodes], _spent(folders)), out)
    totals = match.total_readings()
    lines = [
        f"# PEARL on {match.episodes} pulls of a bandit",
        "",
        f"Total reward, mean over {len(match.test):,} frozen test bandits, the same noise for all; 95 % intervals over "
        "bandits, and over seeds where there are several. The last column is paired, bandit by bandit.",
        "",
        *_training_lines({name: (load_run(f[0])[0], f) for name, f in folders.items()}),
        "",
        *_table(
            ["total reward", "PEARL minus this"],
            {name: [_cell(_interval(v)), _lead(totals, name)] for name, v in totals.items()},
            "policy",
        ),
        # All arms have the same law, so that what is not learned within the trial cannot help: 1/2 a pull.
        f"| any context-blind policy | {match.episodes / 2:g}, exactly | |",
    ]
    _finish(lines, out, _pictures(folders[PEARL_TITLE], out))


def pearl_materials(
    out: Path = Path("runs/reproduce/pearl-materials"),
    seeds: int = 3,
    tasks: int | None = None,
    steps: int | None = None,
    rl2: bool = False,
    bayesopt: bool = False,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """PEARL on materials it has never seen, beside the baselines.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs.
        tasks: the first so many of the frozen test materials; all 1,000 by default.
        steps: experiments to train on; the preset's own number by default.
        rl2: also train RL². Runs of `metaenv reproduce materials-rl2` beside this folder are shown in any case.
        bayesopt: also run GP-BO (needs the baselines extra, takes minutes).
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    if bayesopt:
        _require_botorch()
    configs = {PEARL_TITLE: _sized(preset("MaterialsSynthesis", "pearl"), steps)}
    if rl2:
        configs[RL2_TITLE] = _sized(preset("MaterialsSynthesis"), steps)
    config = configs[PEARL_TITLE]
    folders = _train(configs, seeds, out, engine, workers)
    _add_finished(folders, out.parent / "materials-rl2" / "default")
    agents: Policies = {name: trained(f) for name, f in folders.items()}
    evaluation = compare(config, dict(agents), "test", tasks, 0, bayesopt, parsed(config.settings))
    evaluation = replace(evaluation, notes={**evaluation.notes, **_spent(folders)})
    save(evaluation, out)
    lines = [
        "# PEARL on materials it has never seen",
        "",
        f"{evaluation.n_tasks} materials, fraction of the refined oracle (ratio of means) after k experiments, mean "
        "[95 % interval over materials, and over seeds where there are several].",
        "",
        *_training_lines({name: (load_run(f[0])[0], f) for name, f in folders.items()}),
        "",
        evaluation.table("fraction"),
        "",
        *_differences(evaluation, "greedy portfolio", (5, 10)),
    ]
    _finish(lines, out, _pictures(folders[PEARL_TITLE], out))


# ------------------------------------------------------------------------- playing


@dataclass(frozen=True)
class Match:
    """What policies did on the same frozen tasks, several times over.

    Attributes:
        config: of the environment.
        test: the tasks.
        scores: by policy, (seeds, repetitions, tasks, K) true scores of the episodes.
        readings: likewise, the returns of the episodes as the policy saw them.
        best_fixed: name of the policy that is the best fixed rule.
        closed: whether the family has no other tasks.
        steps: of an episode; None where they differ.
    """

    config: TrainConfig
    test: FrozenTasks
    scores: dict[str, Floats]
    readings: dict[str, Floats]
    best_fixed: str
    closed: bool
    steps: int | None

    @property
    def episodes(self) -> int:
        """K, of a trial."""
        return next(iter(self.scores.values())).shape[3]

    def over_tasks(self) -> dict[str, Floats]:
        """(seeds, tasks, K) means over repetitions: what is left to chance is which tasks there are."""
        return {name: s.mean(axis=1) for name, s in self.scores.items()}

    def over_draws(self) -> dict[str, Floats]:
        """(seeds, repetitions, K) means over tasks: for families that have no other tasks."""
        return {name: s.mean(axis=2) for name, s in self.scores.items()}

    def total_readings(self) -> dict[str, Floats]:
        """(seeds, tasks) rewards of whole trials."""
        return {name: r.mean(axis=1).sum(axis=2) for name, r in self.readings.items()}

    def evaluation(self, shots: Sequence[int], notes: Mapping[str, Any]) -> Evaluation:
        """Curves over episodes, as `metaenv.evaluation.evaluate` makes them, with intervals over what was drawn."""
        values, readings, judged = self.over_tasks(), self.readings, self.test
        axis = 1
        if self.closed:
            values, judged, axis = self.over_draws(), self._as_one_task(), 2
        index = np.array(shots) - 1
        kept = {name: v[:, :, index] for name, v in values.items()}
        fixed = kept[self.best_fixed].mean(axis=0)
        rows = [make_row(n, v, judged, fixed, readings[n].mean(axis=axis).sum(axis=2)) for n, v in kept.items()]
        return Evaluation(
            self.config.env, self.test.split, self.test.sha256, len(self.test), tuple(shots),
            parsed(self.config.settings), 0, [*rows, oracle_row(judged, len(shots))],
            notes={"training": asdict(self.config), **notes},
        )  # fmt: skip

    def _as_one_task(self) -> FrozenTasks:
        """The mean over all tasks as if it were a task, once for each repetition."""
        n = next(iter(self.scores.values())).shape[1]
        random, oracle = self.test.reference.random, self.test.reference.oracle
        means = Reference(np.full(n, random.mean()), np.full(n, oracle.mean()))
        return FrozenTasks(self.test.split, self.test.tasks, means, self.test.sha256)


def play_match(config: TrainConfig, agents: Policies, tasks: int | None, repetitions: int) -> Match:
    """Let agents and the baselines of their environment play frozen test tasks.

    Args:
        config: of the environment.
        agents: by name; a sequence is one method trained with several seeds.
        tasks: the first so many of the test tasks; all if None.
        repetitions: trials of each task, each with noise and draws of its own.

    Raises:
        ValueError: no repetition.
    """
    if repetitions < 1:
        raise ValueError(f"expected repetitions >= 1, got {repetitions}; every task is played at least once")
    env = _trials(config, RandomPolicy(), 1)
    test = first_tasks(env.distribution.frozen("test"), tasks)
    classical, best_fixed = baselines_of(env)
    scores, readings = {}, {}
    for name, policy in {**classical, **agents}.items():
        group = policy if isinstance(policy, Sequence) else [policy]
        both = np.stack([_play(config, p, test, repetitions) for p in group])
        scores[name], readings[name] = both[:, 0], both[:, 1]
    length = None if env.trial_length is None else env.trial_length // env.episodes
    return Match(config, test, scores, readings, best_fixed, env.distribution.closed, length)


def _play(config: TrainConfig, policy: Policy, test: FrozenTasks, repetitions: int) -> Floats:
    """True scores and readings of the episodes, (2, repetitions, tasks, K)."""
    n = len(test)
    repeated = test.tasks.take(np.tile(np.arange(n), repetitions))
    record = play_trials(policy, _trials(config, policy, CHUNK), repeated)
    return np.stack([record.scores, record.readings]).reshape(2, repetitions, n, -1)


def _trials(config: TrainConfig, policy: Policy, num_envs: int) -> VectorTrial:
    options = getattr(policy, "trial_options", {})
    return make_trials(config.env, num_envs, config.episodes, split="test", **options, **parsed(config.settings))


def trained(folders: Sequence[Path], deterministic: bool = True) -> list[AgentPolicy]:
    """The final policies of training runs."""
    runs = [load_run(folder) for folder in folders]
    return [AgentPolicy(agent, deterministic, trial_options=config.trial_options()) for config, agent in runs]


# ------------------------------------------------------------------------ training


def _sized(config: TrainConfig, steps: int | None) -> TrainConfig:
    return replace(config, steps=steps) if steps else config


def _train(
    configs: Mapping[str, TrainConfig], seeds: int, out: Path, engine: Engine, workers: int
) -> dict[str, list[Path]]:
    """Train every agent; run folders by the agents' names."""
    short = {RL2_TITLE: "rl2", PEARL_TITLE: "pearl", BLIND: "blind"}
    folders = train_set({short[name]: config for name, config in configs.items()}, seeds, out, engine, workers)
    return {name: folders[short[name]] for name in configs}


def _add_finished(folders: dict[str, list[Path]], where: Path) -> None:
    """Add complete runs of RL² that another command has left, unless it was trained here."""
    found = [folder for folder in sorted(where.glob("seed-*")) if is_complete(folder)]
    if found:
        folders.setdefault(RL2_TITLE, found)


def _spent(folders: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    return {"training_seconds": {name: [seconds_spent(f) for f in group] for name, group in folders.items()}}


def _require_botorch() -> None:
    from importlib.util import find_spec

    if find_spec("botorch") is None:
        raise ImportError("GP-BO needs BoTorch: pip install -e '.[baselines]', or leave --bayesopt out")


def _save_closed(evaluation: Evaluation, out: Path) -> None:
    """As `metaenv.experiments.evaluate.save`, for a family of which no task is unseen."""
    path = evaluation.save(out / f"evaluation-{evaluation.split}.json")
    figure = curves(
        evaluation, title=f"{evaluation.env_id}: {evaluation.n_tasks} goals, {evaluation.shots[-1]} episodes to each"
    )
    figure.axes[0].set_xlabel("episode")
    save_figure(figure, path.with_suffix(".png"))


def _pictures(folders: Sequence[Path], out: Path) -> list[Path]:
    """Of the belief of the first run."""
    config, agent = load_run(folders[0])
    return write_pictures(config, agent, out) if isinstance(agent, PEARL) else []


# ------------------------------------------------------------------------- writing


def _table(head: Sequence[str], rows: Mapping[str, Sequence[str]], first: str = "") -> list[str]:
    """A Markdown table; ``head`` names the columns, or with an empty ``first`` its own first entry the rows."""
    names = [first, *head] if first else list(head)
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *([name, *cells] for name, cells in rows.items())]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cells(values: Floats, digits: int = 3) -> list[str]:
    """A cell for each column of (seeds, tasks, columns)."""
    return [_cell(_interval(values[:, :, k]), digits) for k in range(values.shape[2])]


def _interval(values: Floats) -> Interval:
    return bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=RESAMPLES)


def _cell(interval: Interval, digits: int = 3) -> str:
    estimate, low, high = interval
    certain = high - low < 10.0**-digits / 2
    return f"{estimate:.{digits}f}" if certain else f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def _by_episode(evaluation: Evaluation) -> list[str]:
    """A table of fractions with the policies as columns; trajectories are counted from 0, as in the paper."""
    policies = [row for row in evaluation.rows if row.name != "task oracle"]
    rows = {str(k - 1): [_cell(row.fraction[i]) for row in policies] for i, k in enumerate(evaluation.shots)}
    return _table([row.name for row in policies], rows, "trajectory")


def _training_lines(runs: Mapping[str, tuple[TrainConfig, Sequence[Path]]]) -> list[str]:
    """What was spent on training, and what the training was told."""
    lines: list[str] = []
    for name, (config, folders) in runs.items():
        minutes = [seconds_spent(f) / 60 for f in folders]
        plural = "s" * (len(folders) > 1)
        text = f"- {name}: {len(folders)} training run{plural} of {config.steps:,} steps, "
        text += f"{'-'.join(sorted({f'{m:.1f}' for m in (min(minutes), max(minutes))}, key=float))} min each, one core."
        if isinstance(config.agent, PEARLConfig) and config.agent.critic_reward:
            text += (
                f" In training its critics learned from `{config.agent.critic_reward}`; its context held the reward."
            )
        if isinstance(config.agent, PEARLConfig) and config.agent.mixture:
            text += (
                " Unlike in the paper, encoder, critics and actor learned with what is known of a task in hindsight, "
                f"and acting draws z from a mixture of {config.agent.mixture} Gaussians that learned to predict it."
            )
        if isinstance(config.agent, PEARLConfig) and config.agent.resample_every:
            text += f" It draws z anew every {config.agent.resample_every} steps of an episode."
        lines.append(text)
    return lines


def _of_each_seed(totals: Mapping[str, Floats]) -> list[str]:
    each = {name: ", ".join(f"{x:.2f}" for x in values.mean(axis=1)) for name, values in totals.items()}
    return ["Totals of each seed:", "", *[f"- {name}: {text}" for name, text in each.items()]]


def _lead(totals: Mapping[str, Floats], name: str) -> str:
    if name == PEARL_TITLE:
        return ""
    rng = np.random.default_rng(0)
    return _cell(paired_difference(totals[PEARL_TITLE], totals[name], rng=rng, n_resamples=RESAMPLES))


def _differences(evaluation: Evaluation, other: str, shots: Sequence[int]) -> list[str]:
    """PEARL against another policy, material by material."""
    lines = [f"PEARL minus {other}, paired by task, in units of the score:", ""]
    for k in [k for k in shots if k in evaluation.shots]:
        lead = difference(evaluation.row(PEARL_TITLE), evaluation.row(other), evaluation.shots.index(k))
        lines.append(f"- after {k} experiments: {lead.estimate:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}]")
    return lines


def _exact_gridnavi() -> dict[str, Floats]:
    """Expected returns of the episodes over all goals, where they are known exactly."""
    from metaenv.classic.gridnavi.env import PROBLEM
    from metaenv.classic.gridnavi.exact import (
        OFF_GOAL,
        ON_GOAL,
        bayes_optimal_plan,
        best_blind_search,
        known_goal_returns,
        random_returns,
    )

    # Without rewards every place in reach of the goals is as good as another: it is the goal with the same chance.
    on_goal = (PROBLEM.steps - PROBLEM.distances[0].min() + 1) / len(PROBLEM.goals)
    each = {
        RANDOM: random_returns(PROBLEM).mean(),
        BLIND: PROBLEM.steps * OFF_GOAL + on_goal * (ON_GOAL - OFF_GOAL),
        "best blind search": best_blind_search(PROBLEM).value(),
        "known goal": known_goal_returns(PROBLEM).mean(),
    }
    exact = {name: np.full(PROBLEM.episodes, value) for name, value in each.items()}
    return {**exact, "Bayes-optimal": bayes_optimal_plan(PROBLEM).episode_returns()}


def _exact_cell(exact: Mapping[str, Floats], name: str) -> str:
    if name not in exact:
        return ""
    return f"{'at most ' * (name == BLIND)}{exact[name].sum():.4f}"


def _exact_row(name: str, values: Floats) -> str:
    label = f"{name}, at most" if name == BLIND else name
    return f"| {' | '.join([label, *(f'{v:.4f}' for v in values), '', f'{values.sum():.4f}'])} |"


def _finish(lines: list[str], out: Path, pictures: Sequence[Path]) -> None:
    path = write_text(out / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    names = ["evaluation-test.json", "evaluation-test.png", *(p.name for p in pictures)]
    print(f"\nWritten: {path}, with {', '.join(names)} beside it.")
