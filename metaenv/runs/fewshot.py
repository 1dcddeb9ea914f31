"""What a few-shot run is: learners and baselines on one problem of a family, every setting resolved.

    run = resolve_run("light-curves", ["prototypical"], seeds=3)
    report = run_fewshot(run, "runs/curves")            # the same call again goes on where it stopped
    print(report.markdown())

`metaenv.runs.cells` has `run_fewshot`, which trains and evaluates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from metaenv.limits import Count, CountOrZero, check_limits
from metaenv.registry import parsed
from metaenv.runs.folder import RunError
from metaenv.runs.settings import plain, read, with_files
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, FrozenEpisodes, frozen_episodes
from metaenv.supervised.data.problem import Kind, Problem
from metaenv.supervised.families import make_family
from metaenv.supervised.families.family import Family
from metaenv.supervised.learner import Learner, config_names
from metaenv.supervised.registry import BASELINES, LEARNERS, is_learner, learner_class, make_learner
from metaenv.supervised.settings import CACHED_EXAMPLES, TrainingSettings, training_settings
from metaenv.tasks import TaskSampler

EVALUATION_SEED = 8_128  # of the frozen episodes; training streams have the seeds of the runs (chosen)
FOREST_EPISODES = 100  # forests take a tenth of a second an episode, so they get the first so many only (chosen)
QUICK_EPISODES, QUICK_FORESTS, QUICK_SHARE = 50, 10, 20  # --quick: episodes, and a twentieth of the updates (chosen)
FORESTS = ("isolation-forest", "random-forest")
VALIDATION_SEED = 6_174  # of the frozen validation episodes (chosen)
QUICK_VALIDATION = 20  # --quick: validation episodes (chosen)
Choice = Literal["updates", "temperature"]


@dataclass(frozen=True)
class Run:
    """Learners and baselines on one problem, everything resolved. A value; JSON in and out."""

    family: str
    options: dict[str, Any]
    """Of the family."""
    kind: Kind
    n_way: Count
    n_shot: Count
    """Samples to learn from in training: of each class in classification."""
    n_query: Count
    seed: CountOrZero
    seeds: Count
    """Trainings of each learner, with seeds ``seed``, ``seed + 1``, …"""
    shots: tuple[Count, ...]
    """Samples to learn from in the evaluations."""
    split: str
    episodes: Count
    """Frozen episodes of each shot count."""
    forest_episodes: Count
    validation_episodes: CountOrZero
    """Frozen episodes of the split "validation" that choose; 0 where there are none, and nothing is chosen."""
    choose: tuple[Choice, ...]
    """What they choose."""
    torch_threads: Count
    """Threads of torch in training."""
    methods: dict[str, TrainingSettings]
    """Learners and baselines."""

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def name(self) -> str:
        """Such as "light-curves, 5-way classification"."""
        ways = f"{self.stream('train').problem.n_classes}-way " if self.kind == "classification" else ""
        of = f" of {self._made.quantity}" if self.kind == "regression" and self._made.quantity else ""
        return f"{self.family}, {ways}{self.kind}{of}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the family assumed of files, or left out of them."""
        return self._made.notes

    def stream(self, split: str, k: int | None = None, n_query: int | None = None, seed: int = 0) -> Episodes:
        """Episodes of a split, by default with the shots and queries of the run."""
        k, n_query = self.n_shot if k is None else k, self.n_query if n_query is None else n_query
        return self._made.episodes(split, k, n_query, kind=self.kind, n_way=self.n_way, seed=seed)

    @cached_property
    def _made(self) -> Family:
        return _family(self.family, json.dumps(self.options))

    def training(self, method: str, seed: int) -> Episodes:
        """The training episodes of a method, with a seed."""
        chosen = self.methods[method]
        if chosen.task_cache is None:
            return self.stream("train", n_query=chosen.n_query, seed=seed)
        examples = max(CACHED_EXAMPLES, self.n_shot + self.n_query)
        data = _task_cache(self.family, json.dumps(self.options), self.kind, chosen.task_cache, examples, seed)
        return Episodes(data, self.n_shot, chosen.n_query or self.n_query, kind=self.kind, seed=seed)

    def frozen(self, k: int) -> FrozenEpisodes:
        """The evaluation episodes with ``k`` samples to learn from."""
        return _frozen(json.dumps(self.to_dict()), k)

    def chooses(self, what: Choice) -> bool:
        """Whether validation episodes choose that."""
        return self.validation_episodes > 0 and what in self.choose

    def validation(self) -> FrozenEpisodes:
        """The episodes that choose, with the shots of training."""
        return _validation(json.dumps(self.to_dict()))

    def learner(self, method: str, seed: int) -> Learner:
        """A new one."""
        return make_learner(method, self.stream("train").problem, seed=seed, **self.methods[method].settings)

    def cells(self) -> list[tuple[str, int]]:
        """Every method with the first seed, then with the next; baselines that are not trained have one."""
        seeds = range(self.seed, self.seed + self.seeds)
        return [(m, s) for s in seeds for m in self.methods if s == self.seed or learner_class(m).trained]

    def cell_settings(self, method: str) -> dict[str, Any]:
        """All settings that decide what a method learns and how it is scored, as JSON has them."""
        others = {k: v for k, v in self.to_dict().items() if k not in ("seed", "seeds", "methods")}
        return {**others, "method": plain(self.methods[method])}

    def lengthened(self, iterations: int) -> Run:
        """With so many meta-updates of everything that is trained.

        Raises:
            RunError: a method was to have more.
        """
        for name, chosen in self.methods.items():
            if chosen.iterations > iterations:
                raise RunError(
                    f"{name} is trained for {chosen.iterations:,} iterations; it can be lengthened, but not to "
                    f"{iterations:,}"
                )
        longer = {m: replace(r, iterations=iterations) if r.iterations else r for m, r in self.methods.items()}
        return replace(self, methods=longer)

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, as JSON has them."""
        return plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the settings") -> Run:
        """What `to_dict` gave. Raises RunError, which begins with ``where``, if something is missing or unknown."""
        return read(cls, values, where)


@dataclass(frozen=True)
class FewShotOptions:
    """What is asked of a few-shot run; `metaenv fewshot` has an option for each field."""

    kind: Kind | None = None
    """Kind of problem; by default the family's first."""
    n_way: Count | None = None
    """Number of classes of an episode, for families of many classes; by default the family's."""
    n_shot: Count | None = None
    """Number of samples to learn from, of each class in classification; by default the family's."""
    n_query: Count | None = None
    """Number of samples to be judged on, likewise."""
    iterations: CountOrZero | None = None
    """Number of meta-updates; by default what `metaenv.supervised.settings` has for the learner and the family."""
    iterations_of: dict[str, CountOrZero] = field(default_factory=dict)
    """Numbers of meta-updates of single learners or baselines, which come before ``iterations``."""
    torch_threads: Count = 1
    """Threads of torch in training; results differ by rounding from those of another number."""
    seed: CountOrZero = 0
    """Seed of the first training."""
    seeds: Count = 1
    """Number of trainings of each learner, with one seed after the other."""
    shots: tuple[Count, ...] = ()
    """Numbers of samples to evaluate with; by default a half (or one), once and twice n-shot."""
    split: str = "test"
    """Split of the evaluation: validation while settings are tuned, test, or one of the ood splits."""
    episodes: Count = 1_000
    """Number of frozen episodes for each number of samples."""
    baselines: bool = True
    """Whether to evaluate every baseline, too."""
    validation_episodes: CountOrZero = 100
    """Number of frozen episodes of the split "validation" that choose the number of meta-updates and the temperature; 0
    takes the final parameters as they are."""
    choose: tuple[Choice, ...] = ("updates", "temperature")
    """What they choose: the number of meta-updates, up to the iterations, and the temperature of probabilities."""
    quick: bool = False
    """A twentieth of the meta-updates and 50 episodes, to see that it works."""
    settings: Annotated[dict[str, str], tyro.conf.arg(metavar="NAME VALUE …")] = field(default_factory=dict)
    """Settings of the learners, over the stored ones; as values, or as they are typed."""
    options: Annotated[dict[str, str], tyro.conf.arg(metavar="NAME VALUE …")] = field(default_factory=dict)
    """Settings of the family, such as --options variant sequence."""

    def __post_init__(self) -> None:
        check_limits(self)


def resolve_run(family: str, learners: Sequence[str] | None = None, **options: Any) -> Run:
    """Resolve what was asked for into a `Run`.

    Args:
        family: name of a family, see `metaenv.supervised.families.FAMILIES`.
        learners: names of learners or baselines; None for every learner that does such problems.
        **options: the fields of `FewShotOptions`.

    Raises:
        ValueError: no such family, learner, kind, split or setting; or a learner that does not do such problems.
    """
    asked = FewShotOptions(**options)
    typed = with_files(asked.options, lambda given: _family(family, json.dumps(given)))
    settings, family_options = parsed(asked.settings), parsed(typed)
    made = _family(family, json.dumps(family_options))
    kind = made.check(asked.split, asked.kind)
    for name in asked.iterations_of:
        learner_class(name)  # complains of a name that is none
    k = made.shots_of(kind)[0] if asked.n_shot is None else asked.n_shot
    q = made.shots_of(kind)[1] if asked.n_query is None else asked.n_query
    n_way = made.ways if asked.n_way is None else asked.n_way
    problem = made.episodes("train", k, q, kind=kind, n_way=n_way).problem
    names = _methods(problem, learners, [*BASELINES, *made.references] if asked.baselines else [])
    methods = {
        name: _resolved(family, problem, name, asked, settings, named=name in (learners or names)) for name in names
    }
    for name in methods:  # refuses settings that do not exist before anything is trained
        make_learner(name, problem, **methods[name].settings)
    run = Run(
        family, family_options, kind, n_way, k, q, asked.seed, asked.seeds, tuple(sorted(asked.shots)),
        asked.split, QUICK_EPISODES if asked.quick else asked.episodes,
        QUICK_FORESTS if asked.quick else FOREST_EPISODES,
        min(asked.validation_episodes, QUICK_VALIDATION) if asked.quick else asked.validation_episodes,
        tuple(sorted(set(asked.choose))), asked.torch_threads, methods,
    )  # fmt: skip
    return _with_shots(_with_validation(run, made))


def _resolved(
    family: str, problem: Problem, name: str, asked: FewShotOptions, settings: Mapping[str, Any], named: bool
) -> TrainingSettings:
    """The settings of a method; ``named`` says whether it was asked for by name, and is no baseline beside others."""
    stored, trained = training_settings(family, problem, name), learner_class(name).trained
    updates = stored.iterations if asked.iterations is None else asked.iterations
    updates = asked.iterations_of.get(name, updates)
    mine = config_names(learner_class(name).config_class)
    # A baseline beside a learner takes of its settings what it knows too, such as the sizes of the network.
    more = {k: v for k, v in settings.items() if (named and is_learner(name)) or k in mine}
    return TrainingSettings(
        (max(1, updates // QUICK_SHARE) if asked.quick and updates else updates) if trained else 0,
        {**stored.settings, **more},
        stored.n_query,
        stored.task_cache if trained else None,
        stored.checks,
    )


def _methods(problem: Problem, learners: Sequence[str] | None, beside: Sequence[str]) -> list[str]:
    asked = list(learners) if learners else [n for n in LEARNERS if _can(n, problem)]
    for name in asked:
        if problem.kind not in learner_class(name).kinds:
            make_learner(name, problem)  # says what it does, and what to choose
    return list(dict.fromkeys([*asked, *(n for n in beside if _can(n, problem))]))


def _can(name: str, problem: Problem) -> bool:
    if problem.kind not in learner_class(name).kinds:
        return False
    needs = "sklearn" if name in FORESTS else "gpytorch" if name == "deep-kernel" else "torch"
    return find_spec(needs) is not None


def _with_validation(run: Run, made: Family) -> Run:
    """Without validation episodes, if the family has none."""
    if not run.validation_episodes or not run.choose:
        return replace(run, validation_episodes=0, choose=())
    try:
        if "validation" in made.splits:
            run.stream("validation").draw(1)
            return run
    except ValueError:  # its classes are too small for an episode
        pass
    return replace(run, validation_episodes=0, choose=())


def _with_shots(run: Run) -> Run:
    """With shot counts that the classes of the split are large enough for."""
    given, k = run.shots, run.n_shot
    if given and min(given) < 1:
        raise RunError(f"expected shot counts of at least 1, got {given}")
    few = 1 if run.kind == "classification" else max(1, k // 2)
    fitting: list[int] = []
    for count in given or sorted({few, k, 2 * k}):
        try:
            run.stream(run.split, count).draw(1)
            fitting.append(count)
        except ValueError:
            if given or count == k:
                raise
    return replace(run, shots=tuple(fitting))


@lru_cache(maxsize=4)
def _family(name: str, options: str) -> Family:
    """Kept, as one may have been read from files."""
    return make_family(name, **{k: _tuples(v) for k, v in json.loads(options).items()})


@lru_cache(maxsize=8)
def _frozen(run_json: str, k: int) -> FrozenEpisodes:
    run = Run.from_dict(json.loads(run_json))
    return frozen_episodes(run.stream(run.split, k, seed=EVALUATION_SEED), run.episodes)


@lru_cache(maxsize=2)
def _validation(run_json: str) -> FrozenEpisodes:
    run = Run.from_dict(json.loads(run_json))
    return frozen_episodes(run.stream("validation", seed=VALIDATION_SEED), run.validation_episodes)


@lru_cache(maxsize=1)
def _task_cache(family: str, options: str, kind: Kind, n_tasks: int, n_examples: int, seed: int) -> Dataset:
    """Examples of training tasks, a group each."""
    sampler = _family(family, options).source("train", kind, seed)
    assert isinstance(sampler, TaskSampler), "task caches are for families of tasks"
    seen = sampler.distribution.labelled(sampler.draw(n_tasks), n_examples, np.random.default_rng([seed, n_tasks]))
    x = seen.x.reshape(n_tasks * n_examples, *seen.x.shape[2:])
    return Dataset(x, seen.y.reshape(-1).astype(np.float64), np.repeat(np.arange(n_tasks), n_examples))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
