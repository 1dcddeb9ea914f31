"""The memory ladder of an environment: what is trained, what is shown to whom, and what each of them scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.agents.rl2_config import RL2Config
from metaenv.baselines import baselines_of
from metaenv.baselines.fixed_list import best_fixed_list
from metaenv.controls import FixedLists, LastEpisodes, OtherFeedback, Watched
from metaenv.evaluation import CHUNK, first_tasks, recommended, trainings_of
from metaenv.experiments.trainings import Training, train
from metaenv.policies import AgentPolicy, Policy, RandomPolicy, TrialRecord, play_trials
from metaenv.registry import parsed
from metaenv.runs.folder import RunFolder
from metaenv.runs.parallel import Engine
from metaenv.runs.training import COUNTER, TrainConfig
from metaenv.tasks import FrozenTasks, Reference, TaskBatch, TaskDistribution
from metaenv.trial import VectorTrial, make_trials
from metaenv.typing import Floats

BLIND, NO_MEMORY, FORGETS, FULL, TOLD = "blind", "no memory", "forgets each episode", "full memory", "told the task"
RANDOM, FIXED_LIST, OTHER, ORACLE = "random", "best fixed list", "feedback of another task", "oracle"
STRONGEST = "strongest baseline"
STILL_LEARNING = 0.1  # a rise in the last fifth of a training, of the whole, that is worth telling (chosen)
LAST = (1, 2, 3)
"""How many episodes the agent with full memory is left with."""
CHOICE_TASKS = 64  # training tasks on which the fixed list and the strongest baseline are chosen (chosen)
RAW_TASKS = 200  # test tasks of an environment that has no list of them (chosen)
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Rung:
    """One line of the ladder.

    Attributes:
        name: of the line.
        values: (seeds, tasks, K) what is recommended after each episode: its true score.
        trainings: how many training seeds the values are of; None for what is not trained.
    """

    name: str
    values: Floats
    trainings: int | None = None


@dataclass(frozen=True, eq=False)
class Ladder:
    """All rungs on the same test tasks."""

    config: TrainConfig
    """Of the agent with full memory, which stands for all: they differ in memory alone."""
    test: FrozenTasks
    rungs: dict[str, Rung]
    """By name, from the bottom to the top."""
    notes: list[str]
    """What was left out, chosen or not known."""
    objective: str

    @property
    def referenced(self) -> bool:
        """Whether random play and an oracle are known, so that scores can be normalised."""
        return ORACLE in self.rungs

    @property
    def episodes(self) -> int:
        """K, the number of episodes of a trial."""
        return self.rungs[RANDOM].values.shape[2]


def trainings(config: TrainConfig) -> tuple[dict[str, Training], list[str]]:
    """What is trained, by the name of its folder, and notes on what cannot be.

    Args:
        config: of the agent with full memory.
    """
    env, agent = config.make_env(num_envs=1), config.agent
    # A belief is inferred by a memory of its own.
    without = replace(agent, network=replace(agent.network, recurrent=False), belief=None)
    apart = replace(agent, trials_per_env=agent.trials_per_env * env.episodes)
    found = {
        "blind": Training(BLIND, replace(config, shows="start")),
        "no-memory": Training(NO_MEMORY, replace(config, agent=without)),
        "forgets": Training(FORGETS, replace(config, shows="episode", agent=apart)),
        "full": Training(FULL, config),
        "told": Training(TOLD, replace(config, observe_task=True)),
    }
    notes: list[str] = []
    if env.episodes == 1:
        del found["forgets"]
        notes.append("A trial is one episode, so that there is nothing to forget between episodes.")
    try:
        env.distribution.task_vector(env.distribution.sample(1, "train", np.random.default_rng(0)))
    except NotImplementedError:
        del found["told"]
        notes.append("There is no agent that is told the task: the distribution has no task_vector(tasks).")
    return found, notes


def still_learned(folders: Sequence[Path]) -> float:
    """How much of its rise from the first fifth of the training the mean return has gained in the last one."""
    logs = [RunFolder(folder).read_log(COUNTER) for folder in folders]
    fifths = np.array([[np.mean(part) for part in np.array_split(_returns(log), 5)] for log in logs]).mean(axis=0)
    rise = fifths[4] - fifths[0]
    return float((fifths[4] - fifths[3]) / rise) if rise > 0 else 0.0


def _returns(log: Sequence[Mapping[str, Any]]) -> Floats:
    """Of each iteration, five at least."""
    found = np.array([line["rollout/return"] for line in log])
    return np.repeat(found, 5) if len(found) < 5 else found


def untaught(config: TrainConfig) -> TrainConfig:
    """The settings of a plain RL²: nobody teaches it, and it does not learn to predict the task."""
    assert isinstance(config.agent, RL2Config), "the ladder is one of RL²"
    return replace(config, agent=replace(config.agent, teacher=None, task_prediction=None))


def climb(
    config: TrainConfig,
    seeds: int,
    folder: Path,
    split: str,
    n_tasks: int | None,
    engine: Engine,
    workers: int,
    say: Say,
) -> Ladder:
    """Train what is not trained yet in ``folder``, and let everyone play the test tasks."""
    kinds, notes = trainings(config)
    distribution = config.make_env(num_envs=1, split=split).distribution
    test, referenced = tasks_of(distribution, split, n_tasks)
    if distribution.closed:
        notes.append("The family is closed: the test tasks are those of the training, and nothing is held out.")
    if not referenced:
        notes.append("The environment has no references of random play and an oracle, so that scores are as they are.")
    runs = train(kinds, seeds, folder, engine, workers)
    if (share := still_learned(runs["full"].folders)) > STILL_LEARNING:
        notes.append(
            f"In the last fifth of its training, the return of full memory still rose by {100 * share:.0f} % of its "
            "whole gain: **more steps would help it**."
        )
    stage = Stage(config, split if referenced else "train", test, say)  # other splits need references
    rungs = [*stage.rungs(runs, notes)]
    best = {rung.name: float(rung.values[:, :, -1].mean()) for rung in rungs}
    if above := [name for name in best if name.startswith(STRONGEST) and best[name] > best[FULL]]:
        notes.append(f"The agent with full memory is below the {above[0]}: it has not learned all that it could.")
    if referenced:
        oracle = np.repeat(test.reference.oracle[None, :, None], rungs[0].values.shape[2], axis=2)
        rungs.append(Rung(ORACLE, oracle))
    return Ladder(config, test, {rung.name: rung for rung in rungs}, notes, stage.objective)


def tasks_of(distribution: TaskDistribution, split: str, n: int | None) -> tuple[FrozenTasks, bool]:
    """The first ``n`` test tasks, and whether they have references that tell an oracle from random play."""
    try:
        frozen = first_tasks(distribution.frozen(split), n)
    except NotImplementedError:  # by `TaskDistribution.reference`
        size, seed = distribution.frozen_draws.get(split, (RAW_TASKS, 0))
        unit = np.random.default_rng(seed).random((min(size, n or size), distribution.unit_dim))
        tasks = distribution.draw(unit, split)
        nothing = np.full(len(tasks), np.nan)
        return FrozenTasks(split, tasks, Reference(nothing, nothing), tasks.sha256), False
    return frozen, bool((frozen.reference.oracle - frozen.reference.random).mean() > 0)


class Stage:
    """Where everyone plays: the test tasks, and the training tasks on which choices are made."""

    def __init__(self, config: TrainConfig, split: str, test: FrozenTasks, say: Say) -> None:
        self.config, self.split, self.test, self.say = config, split, test, say
        env = self._trials(RandomPolicy(), 1, "train")
        self.objective, self.episodes = env.trial_state.objective, env.episodes
        self.choice = env.distribution.sample(CHOICE_TASKS, "train", np.random.default_rng(0))
        self._env = env

    def rungs(self, runs: Mapping[str, Training], notes: list[str]) -> Iterator[Rung]:
        """Everyone's scores, from the bottom of the ladder to its top; ``notes`` are added to."""
        baselines, fixed = baselines_of(self._env)
        agents = {key: run.policies() for key, run in runs.items()}
        rules = {name: policy for name, policy in baselines.items() if _plays(policy, self._env)}
        chosen = {name: self._play(policy, self.choice, "train") for name, policy in rules.items()}
        lists = [record.actions for record in chosen.values()]
        lists += [self._play(policy, self.choice, "train").actions for group in agents.values() for policy in group]
        yield self._rung(RANDOM, [RandomPolicy()])
        if fixed is not None:
            yield self._rung(f"best fixed rule: {fixed}", [baselines[fixed]])
        yield self._rung(FIXED_LIST, [self._fixed_list(lists, notes)])
        for key in ("blind", "no-memory", "forgets"):
            if key in agents:
                yield self._rung(runs[key].title, agents[key])
        yield from self._shown_less(runs["full"], agents["full"])
        earned = {
            name: float(self._values(chosen[name])[:, -1].mean()) for name in chosen if name not in (RANDOM, fixed)
        }
        if earned:
            strongest = max(earned, key=lambda name: earned[name])
            yield self._rung(f"{STRONGEST}: {strongest}", [rules[strongest]])
            notes.append(f"The strongest of {len(earned)} baselines was chosen on {CHOICE_TASKS} training tasks.")
        else:
            notes.append("The environment declares no baselines that adapt.")
        if "told" in agents:
            yield self._rung(TOLD, agents["told"])

    def _shown_less(self, run: Training, agents: Sequence[AgentPolicy]) -> Iterator[Rung]:
        """The agent with full memory, and what it scores when it is shown something else."""
        options = run.config.trial_options()
        watched = [Watched(policy.agent, trial_options=options) for policy in agents]
        records = [self._play(policy, self.test.tasks) for policy in watched]
        others = [OtherFeedback(policy, record) for policy, record in zip(watched, records, strict=True)]
        yield self._rung(OTHER, others)
        for k in (k for k in LAST if k < self.episodes):
            shown = f"{FULL}, last {k} episode{'s' * (k > 1)}"
            yield self._rung(shown, [LastEpisodes(policy.agent, k, **options) for policy in agents])
        yield Rung(FULL, np.stack([self._values(record) for record in records]), len(agents))

    def _fixed_list(self, lists: Sequence[NDArray[Any]], notes: list[str]) -> FixedLists:
        self.say("searching for the best fixed list")
        env = self._trials(RandomPolicy(), CHUNK, "train")
        found = best_fixed_list(env, self.choice, lists, self.config.steps)
        notes.append(f"The best fixed list is {found.found}, on {CHOICE_TASKS} training tasks.")
        return FixedLists(found.actions[None], len(self.test))

    def _rung(self, name: str, group: Sequence[Policy]) -> Rung:
        self.say(f"playing: {name}")
        values = np.stack([self._values(self._play(policy, self.test.tasks)) for policy in group])
        return Rung(name, values, trainings_of(group))

    def _play(self, policy: Policy, tasks: TaskBatch, split: str = "") -> TrialRecord:
        return play_trials(policy, self._trials(policy, min(CHUNK, len(tasks)), split or self.split), tasks)

    def _values(self, record: TrialRecord) -> Floats:
        return recommended(record, range(1, self.episodes + 1), self.objective)

    def _trials(self, policy: Policy, n: int, split: str) -> VectorTrial:
        options = {**parsed(self.config.settings), **getattr(policy, "trial_options", {})}
        return make_trials(self.config.env, n, self.config.episodes, split=split, **options)


def _plays(policy: Policy, env: VectorTrial) -> bool:
    """Whether a policy can play the environment."""
    try:
        getattr(policy, "check", lambda env: None)(env)
    except ValueError:
        return False
    return True
