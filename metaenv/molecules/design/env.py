"""MoleculeDesign: build molecules from fragments for a hidden objective, and learn it from their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack, cast

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.env import MetaEnv
from metaenv.errors import TaskError, nearest
from metaenv.layout import Block, ObservationLayout
from metaenv.molecules.chem.action_features import action_features
from metaenv.molecules.chem.assembly import Assembly
from metaenv.molecules.chem.chemistry import OWN, Chemistry, load_chemistry
from metaenv.molecules.chem.descriptors import DESCRIPTORS, SA
from metaenv.molecules.chem.fragments import CLOSE, Vocabulary
from metaenv.molecules.chem.properties import ADDITIVE, CACHE_SIZE, COLUMNS, PROPERTIES, Score, Scores, additive
from metaenv.molecules.chem.scoring import HIDDEN, PLACES, SOFTNESS, factors
from metaenv.molecules.chem.smiles import notations
from metaenv.molecules.design.own_score import OwnScore, ScoredTasks, ScoreFunction, warn_of_large
from metaenv.molecules.design.profiles import DUPLICATE_PENALTY
from metaenv.molecules.design.tasks import EPISODES, ObjectiveDistribution, Variant, objectives_of
from metaenv.molecules.reference_descriptors import scale
from metaenv.tasks import FrozenTasks, TaskBatch
from metaenv.typing import Bools, Floats, Index, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

if TYPE_CHECKING:
    from metaenv.molecules.assay.measurements import Measurements
    from metaenv.molecules.render import Bar, Made
    from metaenv.policies import Policy, TrialRecord
    from metaenv.trial import VectorTrial

Feedback = Literal["scalar", "panel"]
FEEDBACKS = ("scalar", "panel")
PANEL_SIZE = PLACES - 1
"""Places of the panel where objectives ask for `PROPERTIES`: one for each, and one for what else is hidden."""
FITS = "desirability for each range that objectives are made of"
OPEN_ATTACHMENT = "class of the one to be dealt with, one-hot; the first is none"
DIGITS = 6  # of properties, by which molecules are compared before their SMILES are
LIMIT = 10.0  # of observations; reached by none of 100,000 random molecules


class MoleculeDesignVectorEnv(BatchedEnv):
    """``num_envs`` molecules being built, each for a hidden objective; see `MoleculeDesignEnv`."""

    trial_objective: ClassVar[str] = "sum"
    reports_at_end: ClassVar[bool] = True
    best_fixed: ClassVar[str | None] = "best fixed molecule"
    made_in_episode: ClassVar[str] = "smiles"

    def __init__(
        self,
        num_envs: int = 1,
        variant: Variant = "profile",
        feedback: Feedback = "scalar",
        noise_std: float = 0.0,
        duplicate_penalty: float | None = None,
        constraints: bool = True,
        cache_size: int = CACHE_SIZE,
        assay_data: str | Measurements | None = None,
        score: ScoreFunction | None = None,
        max_oracle_calls: int | None = None,
        score_reference: tuple[float, float] | None = None,
        chemistry: str | Chemistry | None = None,
        **options: Unpack[EnvOptions],
    ) -> None:
        profile = variant == "profile"
        if duplicate_penalty is None:
            duplicate_penalty = DUPLICATE_PENALTY if profile and score is None else 0.0
        if feedback not in FEEDBACKS:
            raise ValueError(f"no feedback {feedback!r}.{nearest(feedback, FEEDBACKS)}")
        for name, value in (("noise_std", noise_std), ("duplicate_penalty", duplicate_penalty)):
            if not 0 <= value <= 1:
                raise ValueError(f"expected {name} from 0 to 1, got {value}")
        if score is None and (max_oracle_calls is not None or score_reference is not None):
            raise ValueError("max_oracle_calls and score_reference belong to a function of your own: give score, too")
        if score is not None and feedback == "panel":
            raise ValueError("a score of your own has no factors to show; expected feedback='scalar' with score")
        if not constraints and score is None and not variant.startswith("windows"):
            raise ValueError(f"variant {variant!r} looks at whole molecules, so it needs constraints=True")
        self.constraints = constraints
        self.own_score = None if score is None else OwnScore(score, num_envs, max_oracle_calls)
        """What scores the molecules instead of the hidden objective, and counts."""
        self._looks_deeper = False  # whether a task so far asks for more than properties
        self.chemistry = load_chemistry("chembl" if chemistry is None and profile else chemistry)
        vocabulary = self.chemistry.vocabulary
        layout, actions = Layout(self.chemistry, profile), gym.spaces.Discrete(vocabulary.n_actions)
        self.assay_data, distribution = assay_data, objectives_of(variant, assay_data, self.chemistry)
        super().__init__(num_envs, distribution, layout, actions, **options)
        self.layout: Layout = layout  # type: ignore[assignment]
        self.variant: Variant = variant
        self.trial_episodes = EPISODES[variant]  # type: ignore[misc]
        self.feedback: Feedback = feedback
        self.noise_std, self.duplicate_penalty = float(noise_std), float(duplicate_penalty)
        if self.own_score is not None:
            self.distribution = ScoredTasks(self.distribution, score_reference)
        elif not noise_std:
            self.reward_range = (-self.duplicate_penalty, 1.0)
        self.assembly = Assembly(num_envs, vocabulary)
        own: dict[str, Any] = {"vocabulary": vocabulary, "groups": self.chemistry.groups}
        self.scores = Scores(cache_size, with_groups=False, with_fingerprint=False, **own)
        """RDKit's scores of the molecules made so far, remembered by build sequence."""
        self._warned = False
        self._lead_scores = Scores(cache_size, with_groups=False, **own)
        self._counts = np.zeros((num_envs, vocabulary.n_fragments), np.float32)
        self._properties = np.zeros((num_envs, len(layout.named)))
        self._score = np.zeros(num_envs)
        self._reading = np.zeros(num_envs)
        self._panel = np.zeros((num_envs, layout.panel_size))
        self._smiles = np.full(num_envs, "", object)
        self._past: list[dict[bytes, list[Any]]] = [{} for _ in range(num_envs)]
        """The distinct molecules made for the present task, by their properties; kept where duplicates cost."""
        self._made: list[list[Made]] = [[] for _ in range(num_envs)]
        """The molecules made for the present task: for pictures."""

    @property
    def action_features(self) -> NDArray[np.float32]:
        """(A, d) what is known of each action before it is played (`metaenv.molecules.chem.action_features`)."""
        return action_features(self.chemistry)

    def baselines(self) -> Mapping[str, Policy]:
        from metaenv.molecules.design.baselines import baselines
        from metaenv.molecules.design.bayes import BayesAdapter
        from metaenv.molecules.design.profile_bayes import ProfileBayes

        found: dict[str, Policy] = dict(baselines(self.variant, self.assay_data, self.chemistry))
        if self.variant == "profile":
            if self.own_score is None:
                found["Bayes over the training family"] = ProfileBayes(self.chemistry)
        elif self.variant != "assay" and self.own_score is None:  # the adapter knows ranges, not targets
            found["Bayes adapter"] = BayesAdapter(self.variant, self.chemistry)
        return found

    def pictures(
        self, policy: Policy, trials: VectorTrial, tasks: FrozenTasks, folder: Path, name: str
    ) -> Sequence[Path]:
        from metaenv.molecules.design.pictures import draw_trial

        return [draw_trial(policy, trials, tasks, folder, name)]

    def measures(self, record: TrialRecord) -> Mapping[str, Floats]:
        """The score of the best molecule of each trial, how many distinct molecules there are, and their diversity."""
        from metaenv.molecules.design.measures import measures

        return measures(record)

    # EPISODES

    def check_tasks(self, tasks: TaskBatch) -> TaskBatch:
        tasks = super().check_tasks(tasks)
        self._look_at(tasks)
        if self.own_score is None and self.constraints:
            self._objectives.check(tasks)
        return tasks

    def _look_at(self, tasks: TaskBatch) -> tuple[bool, bool, bool]:
        """What their scores depend on; TaskError where that needs RDKit, which ``constraints=False`` leaves out."""
        found = self._objectives.looks_at(tasks)
        if found[2] and not self.constraints and self.own_score is None:
            raise TaskError(
                "a task asks for groups, similarity, activity or a SMARTS, and so looks at whole molecules: expected "
                "constraints=True"
            )
        return found

    @property
    def _objectives(self) -> ObjectiveDistribution:
        return cast(ObjectiveDistribution, self.distribution)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        groups, fingerprint, deeper = self._look_at(tasks)
        self._looks_deeper |= deeper
        self.scores.look_for(groups, fingerprint)
        super().set_tasks(rows, tasks)
        if self.own_score is not None:
            self.own_score.begin_trials(rows)
        if self.render_mode or self.duplicate_penalty:
            for row in np.arange(self.num_envs)[rows].tolist():
                self._made[row], self._past[row] = [], {}

    def begin(self, rows: Rows) -> None:
        if self.own_score is not None and self.own_score.spent(rows).any():
            raise ResetNeeded(
                f"the {self.own_score.budget} oracle calls of max_oracle_calls are spent for this task: reset without "
                "keep_task, or play trials, which end with the budget"
            )
        self.assembly.reset(rows)
        for array in (self._counts, self._properties, self._score, self._reading, self._panel):
            array[rows] = 0
        self._smiles[rows] = ""

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        self.assembly.place(rows, action)
        index = np.arange(self.num_envs)[rows]
        fragment = self.assembly.fragment[index, self.assembly.length[index] - 1]  # what was put down last
        put = fragment >= 0
        self._counts[index[put], fragment[put]] += 1
        self._properties[rows, : self.layout.additive] = additive(self.assembly, rows)[:, self.layout.from_additive]
        done = self.assembly.done[rows]
        reward = np.zeros(len(done))
        if done.any():
            finished = index[done]
            self._finish(finished)
            reward[done] = self._reading[finished]
        return reward, done, np.zeros_like(done)

    def _finish(self, index: Index) -> None:
        """Score the molecules of ``index``, which are complete."""
        tasks, found = self.tasks.take(index), None
        if self.constraints or self.own_score is not None:
            self.scores.with_smiles = bool(self.text_info or self.render_mode or self.own_score)
            found = self.scores.of(self.assembly, index)
            if self.layout.profile:
                self._properties[index, SA] = [score.sa for score in found]
            if self.scores.with_smiles:
                self._smiles[index] = [score.smiles for score in found]
        else:  # RDKit is not asked
            self._smiles[index] = notations(self.assembly, index)
        if self.own_score is not None:
            product = self.own_score(index, self._smiles[index].tolist(), tasks)[:, None]
            if not self._warned:
                self._warned = warn_of_large(product[:, 0], LIMIT)
        else:
            product = factors(self._properties[index], tasks, found, self._objectives.softness)
            if found is not None and self._looks_deeper:
                product[:, HIDDEN] = self._objectives.hidden_factor(tasks, found, self._lead_scores)
        self._score[index] = product.prod(axis=1)
        if self.feedback == "panel":  # in an order that is fixed for a task and reveals nothing about it
            seeds = self.tasks.id_numbers[index].view(np.uint64)
            size = self.layout.panel_size
            orders = [np.random.default_rng(int(seed)).permutation(size) for seed in seeds]
            self._panel[index] = np.take_along_axis(product[:, :size], np.array(orders), axis=1)
        self._reading[index] = self._score[index]
        if self.noise_std:
            self._reading[index] += self.noise_std * self.noise.draw(index, 1)[:, 0]
        if self.duplicate_penalty:
            self._reading[index] -= self.duplicate_penalty * self._made_before(index, found)
        if self.render_mode:
            from metaenv.molecules.render import Made, values_text

            for i in index:
                note = f"{values_text(self._properties[i], self.layout.named)}; "
                self._made[i].append(Made(str(self._smiles[i]), float(self._score[i]), note))

    def _made_before(self, index: Index, found: Sequence[Score] | None) -> Bools:
        """(n,) which of the molecules of ``index`` were made before in their trial, by canonical SMILES.

        A SMILES is made only for molecules of the same properties, because it takes RDKit as long as all the rest.
        """
        again = np.zeros(len(index), bool)
        keys = self._properties[index].round(DIGITS)
        for k, i in enumerate(index.tolist()):
            key, past = keys[k].tobytes(), self._past[i]
            smiles: Any = self._smiles[i] if found is None else found[k]
            again[k] = any(_smiles_of(smiles) == _smiles_of(known) for known in past.get(key, ()))
            if not again[k]:
                past.setdefault(key, []).append(smiles)
        return again

    # WHAT IS SEEN

    def observe(self, rows: Rows) -> Observations:
        built, layout = self.assembly, self.layout
        index = np.arange(self.num_envs)[rows]
        seen = np.zeros((len(index), layout.width), np.float32)
        top, here = built.top(rows), np.arange(len(index))
        seen[here, layout.port_class[top] * (built.n_open[rows] > 0)] = 1
        begun = built.length[rows] > 0
        seen[:, layout.properties] = layout.scaled(self._properties[rows]) * begun[:, None]
        if layout.profile:  # synthetic accessibility is known of finished molecules
            seen[:, layout.properties.stop - 1] *= built.done[rows]
        else:
            seen[:, layout.fits] = layout.fit(self._properties[rows]) * begun[:, None]
        sizes = np.stack([built.length[rows], built.n_open[rows], built.heavy_atoms[rows]], axis=1)
        seen[:, layout.sizes] = sizes / layout.most
        seen[:, layout.counts] = self._counts[rows]
        seen[:, layout.finished] = built.done[rows]
        seen[:, layout.reading] = self._reading[rows]
        seen[:, layout.magnitude] = magnitude(self._reading[rows])
        seen[:, layout.panel] = self._panel[rows]
        return np.clip(seen, -LIMIT, LIMIT, out=seen)

    def mask(self, rows: Rows) -> NDArray[np.int8]:
        return self.assembly.mask(rows)

    def report(self, rows: Rows) -> Info:
        found: Info = {"score": self._score[rows].copy(), "smiles": self._smiles[rows].copy()}
        if self.own_score is not None:
            found["oracle_calls"] = self.own_score.calls[rows].copy()
            if self.own_score.budget is not None:
                found["trial_over"] = self.own_score.spent(rows)
        return found

    def text(self, row: int) -> str:
        from metaenv.molecules.render import text

        v = self.chemistry.vocabulary
        legal = [int(action) for action in np.flatnonzero(self.mask(np.array([row]))[0])]
        named = (_named(v, a) for a in legal if a != CLOSE)
        close = ["0 close it with hydrogen (or methyl)"] if CLOSE in legal else []
        what = "actions, each a fragment and the number of its attachment that joins it"
        molecule, bars, made = self._drawn(row)
        left = f"; {self.assembly.n_open[row]} attachments open ([1*] is dealt with next)" if molecule else ""
        where = self._where(row) + left
        return text(molecule, bars, made, where, listed(what, [*close, *named]), self.layout.named)

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.molecules.render import frame

        return frame(*self._drawn(row), title=f"{self.variant}: {self._where(row)}")

    def _where(self, row: int) -> str:
        made = len(self._made[row]) + (not self.assembly.done[row])
        length, atoms, v = self.assembly.length[row], self.assembly.heavy_atoms[row], self.assembly.vocabulary
        return (
            f"molecule {made} for this objective, action {length} of at most {v.max_actions}, {atoms} heavy atoms of "
            f"at most {v.max_heavy_atoms}"
        )

    def _drawn(self, row: int) -> tuple[str, list[Bar], list[Made]]:
        """The molecule with its open attachments, the ranges, and the molecules made for the task before."""
        from metaenv.molecules.render import bars, open_smiles

        molecule, tasks = open_smiles(self.assembly, row), self.tasks
        values = self._properties[row] if molecule else None
        ranges = tasks.low[row], tasks.high[row], tasks.wanted[row]
        shown = bars(values, *ranges, hidden=not self.draw_hidden, names=self.layout.named)
        return molecule, shown, self._made[row]


def _smiles_of(made: Score | str) -> str:
    return made if isinstance(made, str) else made.smiles


def _named(v: Vocabulary, action: int) -> str:
    """An action with its fragment and, where there are several, the attachment that is joined."""
    fragment, attachment = v.action_fragment[action], v.action_attachment[action]
    return f"{action} {v.smiles[fragment]}" + (f" by {attachment + 1}" if v.attachments[fragment] > 1 else "")


def magnitude(reading: Floats) -> Floats:
    """The order of magnitude of rewards, from 0 (for 0.0001 or less) to 1 (for 1): most scores are close to 0."""
    return np.clip(1.0 + np.log10(np.maximum(reading, 1e-9)) / 4.0, 0.0, 1.0)


class Layout(ObservationLayout):
    """The observation of a molecule that is being built."""

    def __init__(self, chemistry: Chemistry = OWN, profile: bool = False) -> None:
        v, bins = chemistry.vocabulary, chemistry.bins
        self.profile, self.chemistry = profile, chemistry
        self.named = DESCRIPTORS if profile else PROPERTIES
        """The properties that are seen."""
        self.from_additive = np.arange(len(ADDITIVE)) if profile else COLUMNS
        """The places among `ADDITIVE` of those that need no RDKit, which come first."""
        self.additive = len(self.from_additive)
        self.panel_size = len(self.named) + 1
        """Places of the panel: one for each property, and one for groups, similarity or activity."""
        self.most = np.array([v.max_actions, v.max_actions, v.max_heavy_atoms])
        self._bin_of = np.repeat(np.arange(len(bins)), [len(b) for b in bins])
        self._low, self._high = np.array([ends for of_one in bins for ends in of_one], np.float64).T
        classes = v.classes
        self.port_class = np.array([1 + classes.index(c) if c else 0 for c in v.action_class], np.intp)
        """(A,) 1 + the class of the attachment that an action joins by; 0 for CLOSE."""
        blocks = [
            Block("open attachment", OPEN_ATTACHMENT, width=1 + len(classes)),
            Block("properties", "of what is built so far, centred and scaled", -LIMIT, LIMIT, len(self.named)),
            *([] if profile else [Block("fits", FITS, width=len(self._bin_of))]),
            Block("sizes", "actions played, attachments open, heavy atoms, as shares of the most", width=3),
            Block("fragments", "how often each is there", high=v.max_actions, width=v.n_fragments),
            Block("finished", "1 once the molecule is finished"),
            Block("reading", "the reward", -LIMIT, LIMIT),
            Block("magnitude", "of the reward, from 0 for at most 0.0001 to 1 for 1"),
            Block("panel", "factors of the score, in an order that differs from task to task", width=self.panel_size),
        ]
        super().__init__(blocks)
        self.properties, self.sizes = self.slice("properties"), self.slice("sizes")
        self.fits = slice(0) if profile else self.slice("fits")
        self.counts, self.panel = self.slice("fragments"), self.slice("panel")
        self.finished, self.reading, self.magnitude = map(self.column, ("finished", "reading", "magnitude"))

    def scaled(self, values: Floats) -> Floats:
        """(n, p) properties, centred on real molecules and divided by twice their standard deviation."""
        if not self.profile:
            return self.chemistry.scaled(values)
        centre, spread = scale(self.chemistry)
        return (values - centre) / spread

    def fit(self, values: Floats) -> Floats:
        """(n, 31) the desirability of molecules, properties (n, 7), for each range that objectives are made of."""
        of, asked = self._bin_of, values[:, self._bin_of]
        outside = np.maximum(np.maximum(self._low - asked, asked - self._high), 0.0)
        return np.exp(-0.5 * np.square(outside / SOFTNESS[of]))


class MoleculeDesignEnv(MetaEnv):
    """Build molecules for a hidden objective: an episode is one molecule, a trial ten for the same objective.

    A molecule is put together from 512 fragments of real drug-like molecules, and whatever is built is valid. Its score
    is revealed at the end of the episode; what the objective asks for must be inferred over the trial.

    Observation: ``Box(588,)``: class of the open attachment to be dealt with (47, one-hot; the first is "none"); eleven
    properties of what is built so far, centred and scaled: ten exact ones (`properties.ADDITIVE`: molecular weight,
    Crippen logP, polar surface, H-bond donors and acceptors, rotatable bonds, rings, aromatic rings, sp3 share, heavy
    atoms) and synthetic accessibility, which is 0 until the molecule is finished; actions played, attachments open and
    heavy atoms, as shares of the most there can be (3); how often each fragment is there (512); 1 once finished; the
    reward, and its order of magnitude; twelve places for the panel.

    Action: ``Discrete(837)``. Action 0 closes the open attachment; every other one joins a fragment to it by one of the
    fragment's own attachments. The first fragment must be a ring. ``info["action_mask"]`` allows the bonds that real
    molecules have, within 12 actions and 40 heavy atoms. A masked action closes the open attachment; on an empty
    molecule it puts down the commonest ring.

    Reward: 0 until the molecule is finished, and then its score, in [0, 1], less 0.5 if it was made before in the trial
    (canonical SMILES decide). The score is the product of one desirability for each property that the objective asks
    for: 1 inside a hidden range, with Gaussian flanks outside. It is 0 for molecules that are hard to make (synthetic
    accessibility above 4.5) or carry a structural alert, as 54 % of random ones do; see
    `metaenv.molecules.chem.scoring`. ``info["score"]`` is the score without noise and penalty, and with
    ``text_info=True`` ``info["smiles"]`` is the canonical SMILES of the finished molecule ("" before).

    Episode end: the episode terminates when no attachment is open, after at most 12 actions. A trial is ten molecules,
    or five in the variants ``windows-3`` and ``windows-4``; its return is the sum of their rewards.

    A task of one's own (``env.unwrapped.distribution.task_type.from_ranges``) may also weigh its ranges, and ask
    for QED, SMARTS and similarity to a lead of one's own; groups and leads count in every
    variant. The observation shows nothing of these demands but the reward; the panel shows all that are no ranges of
    properties as one factor.

    Task: `metaenv.molecules.design.profiles.ProfileTask`, with a certificate: a real molecule of score 1, as a build
    sequence. It asks for real-valued ranges of two to four properties (of one at times), sometimes for a functional
    group or its absence, sometimes for similarity to a hidden lead of another Murcko scaffold. The splits are train,
    which is endless, validation and test, which are in distribution, with molecules of other scaffolds, and ood-pair,
    ood-range, ood-group and ood-lead; `metaenv.molecules.design.profiles.ProfileDistribution` says what each holds out.
    The tasks of the other variants are `metaenv.molecules.design.tasks.MoleculeTask` and
    `metaenv.molecules.assay.tasks.AssayTask`.

    References: the random score is the mean score of a fixed pool of randomly built molecules; the oracle's score is 1.

    Arguments:

    * ``variant``: "profile" (the default). The others have a closed table of objectives, whose test objectives differ
      from a training one in one range, by the adjacent bin: "windows-3", "windows-4" and "windows-5" ask for ranges
      (windows) of that many of seven properties; "groups" asks for three, for one functional group, and for the absence
      of another; "scaffold-hop" asks for two, and for similarity to a hidden lead, which is its own certificate;
      "assay" asks for two, and for predicted activity on a hidden real target, which needs the measurements of
      MoleculeACE (see `metaenv.molecules.assay.library`). In these, observations show the desirability for each of the
      ranges that objectives are made of as well, and seven properties only.
    * ``assay_data``: path of these measurements, if MoleculeACE is not installed; or of a CSV file of your own with
      columns smiles, assay and value, or what `metaenv.molecules.assay.measurements.read_measurements` made of one.
      Tasks then name your assays, a fifth of which is kept for the split ood-target
      (`metaenv.molecules.assay.own.OwnAssayDistribution`).
    * ``chemistry``: "chembl" (the default of variant "profile"), "zinc" (that of the others; 128 fragments, 9 actions,
      31 heavy atoms; `metaenv.molecules.chem.chemistry`), or a folder that ``metaenv molecules mine`` has made of
      molecules of one's own. Fragments, objectives and evaluation lists are then its own, and so are the sizes that are
      told here. Variant ``assay`` needs "zinc".
    * ``feedback``: "scalar", or "panel": the observation then also holds the factors of the score (one for each
      property, and one for groups, similarity or activity), in an order that differs from task to task.
    * ``noise_std``: standard deviation of the noise on the reward (0).
    * ``duplicate_penalty``: subtracted from the reward of a molecule that was made before in the trial (0.5 in variant
      "profile", 0 in the others and with a ``score`` of one's own).
    * ``constraints``: False leaves out synthetic accessibility and alerts. RDKit is then not needed, and
      ``info["smiles"]`` is not canonical.
    * ``score``: a function of one's own in place of the objective: ``score(smiles)`` gives a finite number for each of
      a list of canonical SMILES, and is asked once a molecule, in one call a step; ``score(smiles, tasks)`` is asked
      once for each pair of a molecule and a task. It alone decides: ``constraints`` are then left out. Larger numbers
      are better; observations show rewards within -10 to 10. ``info["oracle_calls"]`` counts the molecules that it was
      asked for, for each sub-environment.
    * ``max_oracle_calls``: distinct molecules that a trial may have scored by ``score``; the trial then ends, and
      ``info["trial_over"]`` is true.
    * ``score_reference``: (random, oracle) scores of ``score``, without which scores cannot be normalised.
    * ``cache_size``: number of molecules whose RDKit scores are kept.
    * ``draw_hidden``: whether pictures show the hidden ranges.
    * ``split``: where tasks come from.

    Ranges of computed properties stand for what a project demands of its molecules; they are no measured potency.
    Variant ``assay`` asks for potency, as ridge regression on real measurements predicts it.

    Version history: v1, variant "profile" is the default; v0, first release, with "windows-3" as the default.
    """

    batched: ClassVar[type[BatchedEnv]] = MoleculeDesignVectorEnv
