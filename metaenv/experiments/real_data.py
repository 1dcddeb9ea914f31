"""Few-shot learners on real data, beside baselines that had the same data: cells, genes, steels, glasses, recipes.

The files are public and not part of this project; `PROBLEMS` names them, and docs/results.md their sources. What is not
in the folder is left out. Each division of a problem is a run of `metaenv fewshot`, so that the same command goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.experiments.fewshot import draw_all
from metaenv.experiments.realism import log_intensities, realism
from metaenv.experiments.runner import Experiment
from metaenv.markdown import table
from metaenv.runs.cells import run_fewshot
from metaenv.runs.fewshot import Run, resolve_run
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.evaluation import interval_text, write_json
from metaenv.supervised.families.image_files import load_npz
from metaenv.supervised.registry import is_learner
from metaenv.supervised.report import FewShotReport, by_task

LEARNED = (
    "prototypical", "matching", "snail", "maml", "deep-kernel", "neural-process", "transformer-process", "pretrained"
)  # fmt: skip
FOLDS = 4  # of the pairs of substrates: six to train on, three to choose with, three to test on (chosen)
OF_MAML = {"maml": 25}  # meta-updates on pictures, which take it ten times as long as others (chosen)
GENES = 256  # those that vary most in the training split (chosen)
DIVIDED = {"shares": {"train": 0.5, "test": 0.5}}


@dataclass(frozen=True)
class RealProblem:
    """A problem on a file, and what is new in its tests."""

    title: str
    file: str  # below the folder of data
    family: str
    protocol: str
    options: dict[str, Any]  # of the family
    n_shot: int  # of training
    n_query: int
    shots: tuple[int, ...]  # of evaluations
    kind: Kind = "classification"
    file_option: str = "data"
    divisions: tuple[dict[str, Any], ...] = ({},)
    """Options of each division of the data."""
    n_way: int | None = None
    iterations: int = 400  # meta-updates, of which validation chooses how many (chosen)
    iterations_of: Mapping[str, int] = field(default_factory=dict)  # of single learners
    seeds: int = 1  # at most (chosen: every division is a training of its own, and pictures take minutes)
    tasks: str = ""  # what a task is called, where scores are means over the tasks of all divisions
    prepared: Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]] | None = None
    """Makes the arrays that are used of those of the file."""


def _logarithms(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {**arrays, "x": log_intensities(arrays["x"])}


CELLS = "BCCD's platelets, red and white cells; no blood smear is in two splits, the three kinds are in all."
# All columns but the other measured ones, which are known no sooner than the target.
FLOW_FEATURES = ("ligand", "res_time", "temperature", "catalyst_loading")
LIPID_FEATURES = ("drug_input", "solid_lipid_input", "liquid_lipid_input", "surfractant_input")
PROBLEMS = {
    "blood-cells": RealProblem(
        "blood cells, trained on other smears", "bccd/bccd_crops28.npz", "blood-cells", CELLS,
        {"split_by": "group"}, 5, 10, (1, 5), n_way=3, iterations=80, iterations_of=OF_MAML,
    ),
    "blood-cells-generator": RealProblem(
        "blood cells, trained on drawn cells", "bccd/bccd_crops28.npz", "blood-cells",
        "The same episodes; training and validation are on drawn white cells, of 216 other kinds.",
        {"split_by": "group", "train_on": "generator"}, 5, 10, (1, 5), n_way=3, iterations=80, iterations_of=OF_MAML,
    ),
    "khan": RealProblem(
        "tumours (Khan), two new kinds", "microarray/khan.npz", "gene-expression",
        "Two of four kinds of tumour to train on, the two others to test on, in all six divisions; nothing is left to "
        "choose the number of updates with, which is fixed.",
        {"n_genes": GENES, **DIVIDED}, 3, 5, (1, 3), n_way=2, iterations=100, tasks="divisions",
        divisions=tuple({"hold_out": pair} for pair in combinations(("BL", "EWS", "NB", "RMS"), 2)),
    ),
    "golub": RealProblem(
        "leukaemia (Golub), new patients", "microarray/golub.npz", "gene-expression",
        "There are two kinds, so none is new: patients are. A third of them is to train on, a third to choose with.",
        {"n_genes": GENES, "split_by": "sample"}, 2, 3, (1, 2), n_way=2, tasks="episodes",
        divisions=tuple({"folds": 3, "fold": i} for i in range(3)), prepared=_logarithms,
    ),
    "steels": RealProblem(
        "steels, yield strength in MPa", "materials/steels_yield.csv", "material-properties",
        "One property and no other task: training has one set of alloying elements (158 steels), validation a second "
        "(75), tests the steels of others (36). A method without adaptation may do.",
        {}, 10, 16, (5, 10, 20), kind="regression", file_option="path", seeds=3,
    ),
    "glass": RealProblem(
        "alloys that form glasses", "materials/glass.csv", "material-properties",
        "Glass or not; no chemical system is in two splits, and an episode has alloys of many systems.",
        {}, 10, 20, (5, 10, 20), file_option="path",
    ),
    "suzuki": RealProblem(
        "Suzuki couplings, yield in %", "measured/suzuki_edbo.csv", "table",
        f"A task is a pair of substrates, a sample a recipe of base, ligand and solvent; {FOLDS} folds of the twelve "
        "pairs.",
        {"target": "yield_percent", "group": "substrates"}, 10, 20, (10, 20), kind="regression", tasks="pairs", seeds=3,
        divisions=tuple({"folds": FOLDS, "fold": i} for i in range(FOLDS)),
    ),
    "suzuki-flow": RealProblem(
        "Suzuki couplings in flow, yield in %", "measured/suzuki_flow.csv", "table",
        "A task is one of four couplings, a sample a ligand, a residence time, a temperature and a catalyst loading; "
        "each coupling is tested once, with two to train on.",
        {"target": "yield", "group": "case", "features": FLOW_FEATURES}, 10, 20, (10, 20), kind="regression",
        tasks="couplings", seeds=3, divisions=tuple({"folds": 4, "fold": i} for i in range(4)),
    ),
    "lipids": RealProblem(
        "lipid nanoparticles, share of the drug inside", "measured/lipid_nanoparticles.csv", "table",
        "A task is one of three solid lipids, a sample four amounts; each lipid is tested once, with one to train on.",
        {"target": "encap_efficiency", "group": "solid_lipid", "features": LIPID_FEATURES}, 10, 20, (10, 20),
        kind="regression", tasks="lipids", seeds=3, divisions=tuple({"folds": 3, "fold": i} for i in range(3)),
    ),
    "crystals": RealProblem(
        "perovskites, large crystals or not", "measured/vapour_diffusion_crystals.csv", "table",
        "A task is an organic cation, a sample the conditions of a crystallisation; the cations with nine samples of "
        "either class, five folds.",
        {"target": "crystal_score", "group": "organic", "positive": "large_crystallites", "least": 9}, 4, 5, (2, 4),
        tasks="cations", divisions=tuple({"folds": 5, "fold": i} for i in range(5)),
    ),
}  # fmt: skip
"""By the name of its folder. Settings of learners are those of `metaenv fewshot`, and updates were fixed beforehand."""


@dataclass(frozen=True)
class RealData(Experiment):
    """Few-shot learners on real data, and how near to real data the generators are, for the files of a folder."""

    name = "real-data"
    title = "Few-shot learners on real data"

    data: Path = field(kw_only=True)
    """The folder of the files, such as bccd/bccd_crops28.npz and measured/suzuki_edbo.csv."""
    problems: tuple[str, ...] = ()
    """Some of the problems only: blood-cells, blood-cells-generator, khan, golub, steels, glass, suzuki,
    suzuki-flow, lipids, crystals."""
    learners: tuple[str, ...] = LEARNED
    """Names of the learners."""
    baselines: bool = True
    """Whether every baseline stands beside them."""
    episodes: int = 300
    """Number of frozen episodes; where the data are divided several times, a hundred at most of each division."""
    quick: bool = False
    """A twentieth of the meta-updates and 50 episodes, to see that it works."""
    workers: int = 1
    """Number of local processes that train at the same time."""

    def run(self) -> None:
        for name in self.problems:
            if name not in PROBLEMS:
                raise ValueError(f"no problem {name!r}.{nearest(name, PROBLEMS)}")
        here = {n: p for n, p in PROBLEMS.items() if n in (self.problems or PROBLEMS) and (self.data / p.file).exists()}
        if not here:
            files = ", ".join(dict.fromkeys(problem.file for problem in PROBLEMS.values()))
            raise FileNotFoundError(
                f"expected some of {files} in {self.data}, found none; give another folder by --data"
            )
        reports: dict[str, FewShotReport] = {}
        for name, problem in here.items():
            reports[name] = self._report(name, problem)
            self.write(self._lines(here, reports))
        near = realism(self.data)
        write_json(self.folder / "table.json", {n: r.to_dict() for n, r in reports.items()} | {"realism": near.values})
        draw_all(reports, self.folder / "picture.png")
        self.finish([*self._lines(here, reports), "", *near.lines])

    def _report(self, name: str, problem: RealProblem) -> FewShotReport:
        """Train and evaluate on each division of a problem, and take the mean of each task."""
        runs: list[Run] = []
        reports: list[FewShotReport] = []
        options = self._options(name, problem)
        for i, division in enumerate(problem.divisions):
            run = resolve_run(
                problem.family,
                self.learners,
                kind=problem.kind,
                n_way=problem.n_way,
                n_shot=problem.n_shot,
                n_query=problem.n_query,
                shots=problem.shots,
                iterations=problem.iterations,
                iterations_of=dict(problem.iterations_of),
                seeds=min(self.seeds, problem.seeds),
                episodes=min(self.episodes, 100) if len(problem.divisions) > 1 else self.episodes,
                baselines=self.baselines,
                quick=self.quick,
                options=options | division,
            )
            runs.append(run)
            folder = self.folder / name / f"division-{i}"
            reports.append(run_fewshot(run, folder, progress_bar=True, workers=self.workers))
        if not problem.tasks:
            return reports[0]
        return by_task(
            reports, [_tasks(run, i, problem.tasks) for i, run in enumerate(runs)], problem.title, problem.tasks
        )

    def _options(self, name: str, problem: RealProblem) -> dict[str, Any]:
        path = self.data / problem.file
        if problem.prepared is not None:
            prepared = self.folder / name / path.name
            prepared.parent.mkdir(parents=True, exist_ok=True)
            np.savez(prepared, allow_pickle=False, **problem.prepared(load_npz(path)))
            path = prepared
        return {problem.file_option: str(path), **problem.options}

    def _lines(self, problems: dict[str, RealProblem], reports: dict[str, FewShotReport]) -> list[str]:
        rows = [[problems[name].title, _measure(report), ordered(report)] for name, report in reports.items()]
        lines = [f"# {self.title}", "", *table(["problem", "metric", "methods, best first"], rows, text=(0, 1, 2)), ""]
        lines += [
            "Learners are set in *italics*, in **bold** if they are better than every baseline, outside the 95 % "
            "interval of the difference. Baselines that are trained (linear-projection, meta-gp, no-adaptation, "
            "ridge-to-mean) had the same data as learners; the others had the samples of an episode.",
            "",
            *(f"- {problems[name].title}: {problems[name].protocol}" for name in reports),
        ]
        for name, report in reports.items():
            lines += ["", f"## {problems[name].title}", "", report.markdown()]
        return lines


def _tasks(run: Run, division: int, tasks: str) -> dict[int, NDArray[Any]]:
    """(episodes,) names of the tasks, by shot count: each episode's own, its group or the division."""
    ids = {k: run.frozen(k).task_ids for k in run.shots}
    if tasks == "episodes":
        return {k: np.arange(len(v)) for k, v in ids.items()}
    if run.family == "table":
        return {k: v if v.ndim == 1 else v[:, 0] for k, v in ids.items()}
    return {k: np.full(len(v), division) for k, v in ids.items()}


def _measure(report: FewShotReport) -> str:
    return f"{report.metric}, {report.n_shot} samples{' of each class' if report.problem.n_classes else ''}"


def ordered(report: FewShotReport) -> str:
    """All methods with their scores at the shots of training, best first."""
    found: list[str] = []
    for method in report.methods:
        mark = "**" if report.beats_all(method) else "*" if is_learner(method) else ""
        found.append(f"{mark}{method}{mark} {interval_text(report.interval(method))}")
    return "; ".join(found)
