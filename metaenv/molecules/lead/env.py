"""LeadOptimization: exchange the R-groups of a lead to improve it for a hidden objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.env import MetaEnv
from metaenv.layout import Block, ObservationLayout
from metaenv.molecules.chem.chemistry import OWN, Chemistry, load_chemistry
from metaenv.molecules.chem.properties import PROPERTIES
from metaenv.molecules.chem.scoring import desirabilities
from metaenv.molecules.lead.library import SITES, Libraries, libraries
from metaenv.molecules.lead.series import RGroups, lead_series
from metaenv.molecules.lead.series_tasks import SeriesDistribution, check_series_tasks
from metaenv.molecules.lead.tasks import LeadDistribution
from metaenv.tasks import TaskBatch
from metaenv.typing import Bools, Floats, Index, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

if TYPE_CHECKING:
    from metaenv.molecules.render import Bar, Made
    from metaenv.policies import Policy

LIMIT = 10.0  # of scaled properties; no molecule of a library goes beyond 3


class LeadOptimizationVectorEnv(BatchedEnv):
    """``num_envs`` leads being optimised, each for a hidden objective; see `LeadOptimizationEnv`."""

    trial_episodes: ClassVar[int] = 5
    reward_range = (-1.0, 1.0)
    best_fixed: ClassVar[str | None] = "best fixed molecule"

    def __init__(
        self,
        num_envs: int = 1,
        steps: int | None = None,
        scaffold: str | None = None,
        r_groups: RGroups | None = None,
        chemistry: str | Chemistry | None = None,
        **options: Unpack[EnvOptions],
    ) -> None:
        if (scaffold is None) != (r_groups is None):
            raise ValueError("a series of your own needs both: give scaffold and r_groups")
        self.series = None if scaffold is None or r_groups is None else lead_series(scaffold, r_groups)
        self.chemistry = load_chemistry(chemistry)
        if self.series is not None and self.chemistry != OWN:
            raise ValueError(
                "a series of your own has no fragments: give scaffold and r_groups or chemistry, expected not both"
            )
        self.library = known = self.series or libraries(self.chemistry)
        """The molecules there are; for a series of one's own, its ``notes`` say what was assumed."""
        steps = known.sites + 1 if steps is None else steps
        if steps < known.sites:
            raise ValueError(f"expected steps of at least {known.sites}, which reach any molecule, got {steps}")
        layout, actions = Layout(known), gym.spaces.Discrete(known.sites * known.n_groups)
        distribution = (
            LeadDistribution(chemistry=self.chemistry) if self.series is None else SeriesDistribution(self.series)
        )
        super().__init__(num_envs, distribution, layout, actions, **options)
        self.layout = layout
        self._clips = self.series is not None or self.chemistry != OWN  # the package's stay within LIMIT
        self.episode_length = self.steps = int(steps)
        self.choice = np.zeros((num_envs, known.sites), np.intp)
        """(n, 3) the present R-groups."""
        self._scaffold = np.zeros(num_envs, np.intp)
        self._legal = np.zeros((num_envs, known.sites * known.n_groups), np.int8)
        self._properties = np.zeros((num_envs, len(PROPERTIES)))
        self._score = np.zeros(num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        self._made: list[list[Made]] = [[] for _ in range(num_envs)]
        """All molecules of the present task, first ones too: for pictures only."""

    def baselines(self) -> Mapping[str, Policy]:
        from metaenv.molecules.lead.baselines import baselines

        return baselines()

    # EPISODES

    def check_tasks(self, tasks: TaskBatch) -> TaskBatch:
        if self.series is not None:
            check_series_tasks(self.series, tasks)
            return tasks
        return super().check_tasks(tasks)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.series is None:
            self._scaffold[rows] = tasks.scaffold.astype(np.intp)
        if self.render_mode:
            for row in np.arange(self.num_envs)[rows]:
                self._made[row] = []

    def begin(self, rows: Rows) -> None:
        known, scaffold = self.library, self._scaffold[rows]
        drawn = (self.dynamics.draw(rows, 1)[:, 0] * known.count[scaffold]).astype(np.intp)
        self.choice[rows] = known.choice[known.start[scaffold] + drawn]
        self._steps[rows] = 0
        self._measure(rows)

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        index = np.arange(self.num_envs)[rows]
        site, group = np.divmod(action, self.library.n_groups)
        legal = self._legal[index, action] > 0
        self.choice[index[legal], site[legal]] = group[legal]
        before = self._score[rows].copy()
        self._steps[rows] += 1
        self._measure(rows)
        over = self._steps[rows] >= self.steps
        return self._score[rows] - before, over, np.zeros_like(over)

    def _measure(self, rows: Rows) -> None:
        """Look up the properties of the present molecules and score them."""
        known, tasks = self.library, self.tasks
        scaffold, choice = self._scaffold[rows], self.choice[rows]
        values = np.take(known.values, known.numbers(scaffold, choice), axis=0)
        self._properties[rows] = values
        self._legal[rows] = known.mask(scaffold, choice).reshape(len(scaffold), -1)
        ranges = (tasks.low[rows], tasks.high[rows], tasks.wanted[rows])
        self._score[rows] = desirabilities(values, *ranges).prod(axis=1)
        if self.render_mode:
            from metaenv.molecules.render import Made, values_text

            written = known.canonical if self.render_mode == "ansi" else known.drawn
            for row, smiles in zip(np.arange(self.num_envs)[rows], written(scaffold, choice), strict=True):
                note = f"{values_text(self._properties[row])}; R-groups {'/'.join(map(str, self.choice[row]))}; "
                self._made[row].append(Made(smiles, float(self._score[row]), note))

    # WHAT IS SEEN

    def observe(self, rows: Rows) -> Observations:
        layout, choice = self.layout, self.choice[rows]
        here = np.arange(len(choice))
        seen = np.zeros((len(choice), layout.width), np.float32)
        seen[here, self._scaffold[rows]] = 1
        seen[here[:, None], layout.first_group + choice] = 1
        properties = self.chemistry.scaled(self._properties[rows])
        seen[:, layout.properties] = np.clip(properties, -LIMIT, LIMIT) if self._clips else properties
        seen[:, layout.score] = self._score[rows]
        seen[:, layout.left] = 1 - self._steps[rows] / self.steps
        return seen

    def mask(self, rows: Rows) -> NDArray[np.int8]:
        return self._legal[rows].copy()

    def report(self, rows: Rows) -> Info:
        report: Info = {"score": self._score[rows].copy()}
        if self.text_info:
            report["smiles"] = np.array(self.smiles(rows), object)
        return report

    def smiles(self, rows: Rows = slice(None)) -> list[str]:
        """(rows,) canonical SMILES of the present molecules, by RDKit."""
        return self.library.canonical(self._scaffold[rows], self.choice[rows])

    def text(self, row: int) -> str:
        from metaenv.molecules.render import text

        n = self.library.n_groups
        actions = [
            listed(
                f"actions at site {site + 1}, {n * site} and the R-group (now {self.choice[row, site]})",
                (f"{n * site + g} {self.library.group_names(site)[g]}" for g in np.flatnonzero(legal)),
            )
            for site, legal in enumerate(self._legal[row].reshape(-1, n))
        ]
        head = f"{self._where(row)}, scaffold {self.library.smiles[self._scaffold[row]]}"
        return text(*self._drawn(row), head, "\n".join(actions))

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.molecules.render import frame

        return frame(*self._drawn(row), title=self._where(row))

    def _where(self, row: int) -> str:
        return f"change {self._steps[row]} of {self.steps}, score of the present molecule {self._score[row]:.2f}"

    def _drawn(self, row: int) -> tuple[str, list[Bar], list[Made]]:
        """The present molecule, its ranges (or all properties, where they are hidden), and all molecules so far."""
        from metaenv.molecules.render import bars

        made, tasks, values = self._made[row], self.tasks, self._properties[row]
        shown = bars(values, tasks.low[row], tasks.high[row], tasks.wanted[row], hidden=not self.draw_hidden)
        return made[-1].smiles, shown, made


class Layout(ObservationLayout):
    """The observation of the molecules of libraries."""

    def __init__(self, known: Libraries) -> None:
        self.sites, self.n_groups = known.sites, known.n_groups
        where = "the three sites" if known.sites == SITES else f"{known.sites} sites"
        blocks = [
            Block("scaffold", "one-hot", width=len(known.smiles)),
            Block("R-groups", f"at each of {where}, one-hot", width=known.sites * known.n_groups),
            Block("properties", "of the present molecule, centred and scaled", -LIMIT, LIMIT, len(PROPERTIES)),
            Block("score", "of the present molecule"),
            Block("left", "share of the steps that are left"),
        ]
        super().__init__(blocks)
        self.scaffold, self.groups = self.slice("scaffold"), self.slice("R-groups")
        self.first_group = self.groups.start + known.n_groups * np.arange(known.sites)
        self.properties = self.slice("properties")
        self.score, self.left = self.column("score"), self.column("left")

    def read(self, observation: Observations) -> tuple[Index, Index, Floats, Floats]:
        """Scaffold (n,), R-groups (n, 3), score (n,) and share of steps left (n,) of observations (n, at least d)."""
        groups = observation[:, self.groups].reshape(len(observation), self.sites, self.n_groups)
        score, left = observation[:, self.score].astype(float), observation[:, self.left].astype(float)
        return observation[:, self.scaffold].argmax(axis=1), groups.argmax(axis=2), score, left


class LeadOptimizationEnv(MetaEnv):
    """Improve a lead for a hidden objective by exchanging R-groups: an episode is four changes, a trial five episodes.

    A molecule is a ring scaffold with an R-group at each of three sites. It belongs to a library of 3,332 to 29,791
    molecules whose properties are all known, so the optimum and the random mean are exact, and a step is a few table
    look-ups. The molecules and the form of the objective are those of
    `metaenv.molecules.design.env.MoleculeDesignEnv`.

    Observation: ``Box(116,)``: the scaffold (11, one-hot); the R-group at each site (3 x 32, one-hot); seven exact
    properties of the present molecule, centred and scaled (molecular weight, Crippen logP, polar surface, H-bond
    donors, rotatable bonds, aromatic rings, sp3 share); its score; the share of steps left.

    Action: ``Discrete(96)``. Action ``32 * site + r`` puts R-group ``r`` on a site: see
    `metaenv.molecules.lead.library.group_names` (0 is hydrogen, or methyl where a nitrogen needs it).
    ``info["action_mask"]`` allows what the vocabulary and the limit of 31 heavy atoms allow. A masked action changes
    nothing. Nor does the R-group that is already there, which is how to keep a molecule.

    Reward: the change of the score, so that the return of an episode is the score of its last molecule minus that of
    its first. The score, in [0, 1], is a product of desirabilities: 1 inside a hidden range of a property, with
    Gaussian flanks outside (`metaenv.molecules.chem.scoring`). ``info["score"]`` is the score of the present molecule.
    The last molecule of an episode counts, not the best one: a change that was a mistake has to be taken back, so
    exploration has a price, and memory is of use.

    Episode start and end: an episode starts with a uniformly random molecule of the library and terminates after 4
    steps. Three suffice to reach any molecule from any other. A trial is five episodes, and its return is their sum.

    Task: `metaenv.molecules.lead.tasks.LeadTask`: the scaffold, which is observed, and ranges of three of the seven
    properties, each a tenth (of counts a value) of that scaffold's library; with a certificate, a molecule of score 1.
    The splits are train (41,914 tasks), validation, test and ood-scaffold (three scaffolds unseen in training). No two
    of them share an objective, except test and ood-scaffold; see `LeadDistribution`.

    References, both exact: the random score is the mean score of the library (0.09), the oracle's score its highest
    score (1). Mean scores of the last molecules of episodes 1 to 5 on the 500 test tasks, by the policies of
    `metaenv.molecules.lead.baselines`:

    ===========================  ====  ====  ====  ====  ====
    random actions               0.09  0.09  0.11  0.08  0.10
    best fixed molecule          0.15  0.15  0.15  0.15  0.15
    hill climbing                0.21  0.20  0.21  0.21  0.20
    hill climbing, remembering   0.21  0.34  0.44  0.51  0.55
    Bayesian chemist             0.43  0.62  0.73  0.79  0.82
    ===========================  ====  ====  ====  ====  ====

    With ``steps=8`` hill climbing reaches 0.33, and the Bayesian chemist 0.57, in the first episode: a task can then be
    solved for the most part within an episode and without memory, which is why there are four steps.

    Arguments:

    * ``steps``: changes in an episode (one more than there are sites, so 4; chosen: three reach any molecule of the
      library, so four are enough to reach a known optimum, and too few to find it by search within one episode).
    * ``scaffold``, ``r_groups``: a series of one's own (`metaenv.molecules.lead.series.lead_series`), such as
      ``scaffold="c1ccc([*:1])cc1[*:2]", r_groups=["H", "*C", "*OC"]``. The observation then has one scaffold, and as
      many sites and R-groups as the series. RDKit makes and describes its molecules, the limit of heavy atoms does not
      hold, and tasks are `metaenv.molecules.lead.series_tasks.SeriesTask`. What was assumed of the SMILES is in
      ``env.unwrapped.batch.library.notes``.
    * ``chemistry``: a folder that ``metaenv molecules mine`` has made of molecules of one's own; scaffolds and R-groups
      are then its commonest ones. A series of one's own takes none.
    * ``draw_hidden``: whether pictures show the hidden ranges.
    * ``split``: where tasks come from.

    Unlike the score of MoleculeDesign, this one leaves out synthetic accessibility and structural alerts, which need
    RDKit. Ranges of computed properties stand for what a project demands of its molecules; they are no measured
    potency.

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = LeadOptimizationVectorEnv
