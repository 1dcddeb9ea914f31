"""The solid-state family: hidden materials, in a hidden furnace, seen by a hidden instrument."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.frozen import FrozenStore
from metaenv.materials.kinetics import PHASES
from metaenv.materials.laboratory import DEFAULT, QUANTITIES, Laboratory
from metaenv.materials.oracle import even_cover, oracle, true_utility, utility_table
from metaenv.materials.other_physics import LIMITS_UM
from metaenv.materials.rates import GAS_J_MOL_K, GROWTH_ABOVE_K, START_GRAIN
from metaenv.materials.recipes import ACTION_DIM, Recipe, Variant, one_step
from metaenv.parameters import Parameter, ParameterTable, ParameterTask, Ranges
from metaenv.tasks import (
    FrozenTasks,
    Labelled,
    Reference,
    Task,
    TaskBatch,
    TaskDistribution,
)
from metaenv.typing import Floats, Index

OOD_SPLITS = ("ood-hot", "ood-cold", "ood-instrument", "ood-mechanism")
FROZEN_SIZES = {"validation": 200, "test": 1_000, **dict.fromkeys(OOD_SPLITS, 256)}


KELVIN, ENERGY, HEAT, ENTROPY = (300.0, 2500.0), (1.0, 1000.0), (-400.0, 400.0), (-500.0, 500.0)
"""Limits of temperatures, activation energies, enthalpies and entropies: what the equations can bear."""


PHASE_BIASES = [
    Parameter(
        f"Logarithm of the instrument's response to {phase}.", -np.inf, np.inf, "", "normal", 0.15, limits=(-10.0, 10.0)
    )
    for phase in PHASES
]


def check_limiting_grain(task: Any) -> None:
    """Raise TaskError unless a task's ``limiting_grain_um`` is empty or one size that the equations can bear."""
    given, (low, high) = task.limiting_grain_um, LIMITS_UM
    if given and not (len(given) == 1 and low <= given[0] <= high):
        raise TaskError(
            f"{type(task).__name__}.limiting_grain_um must be empty or one number in [{low:g}, {high:g}] um, "
            f"got {reprlib.repr(given)}"
        )


@dataclass(frozen=True)
class SolidStateTask(ParameterTask):
    """One material to make, with the furnace and the instrument it is made and seen with.

    The *onset* of a process is the temperature at which it reaches unit extent in one hour. T is the target, I the
    intermediate A_x B, D what T decomposes to, P the precursor of B; the precursors are carbonate, nitrate and oxide.
    """

    family: ClassVar[str] = "SolidState"
    optional: ClassVar[str] = "limiting_grain_um"

    onset_target_K: Annotated[
        float,
        Parameter(
            "Onset of A + B -> T with 1 um powder.", 900, 1400, "K", limits=KELVIN,
            source="where text-mined recipes are heated",
        ),
    ]  # fmt: skip
    energy_target_kJ_mol: Annotated[
        float,
        Parameter(
            "Activation energy of A + B -> T.", 180, 420, "kJ/mol", limits=ENERGY, source="usual for oxides; chosen"
        ),
    ]
    avrami_target: Annotated[
        float,
        Parameter(
            "Avrami exponent of T: diffusion to constant nucleation.", 0.5, 3.5, limits=(0.3, 5.0),
            source="BaPbO3 shows 0.5, 1 and 2.5 (Chang 2000)",
        ),
    ]  # fmt: skip
    onset_intermediate_K: Annotated[
        float,
        Parameter(
            "Onset of xA + B -> I, a kinetic trap at low temperature.", -180, 60, "K", above="onset_target_K",
            limits=KELVIN,
        ),
    ]  # fmt: skip
    energy_intermediate_kJ_mol: Annotated[
        float,
        Parameter(
            "Activation energy of xA + B -> I.", 0.55, 0.9, "kJ/mol", times="energy_target_kJ_mol", limits=ENERGY
        ),
    ]
    avrami_intermediate: Annotated[float, Parameter("Avrami exponent of I.", 0.5, 3.5, limits=(0.3, 5.0))]
    intermediate_a: Annotated[float, Parameter("x, A in a formula unit of I.", 0.4, 0.8, limits=(0.05, 0.95))]
    onset_transform_K: Annotated[
        float, Parameter("Onset of I + (1-x)A -> T.", 20, 300, "K", above="onset_target_K", limits=KELVIN)
    ]
    energy_transform_kJ_mol: Annotated[
        float, Parameter("Activation energy of I + (1-x)A -> T.", 250, 500, "kJ/mol", limits=ENERGY)
    ]
    onset_decomposition_K: Annotated[
        float, Parameter("Onset of T -> D.", 120, 420, "K", above="onset_target_K", limits=KELVIN)
    ]
    energy_decomposition_kJ_mol: Annotated[
        float, Parameter("Activation energy of T -> D.", 350, 700, "kJ/mol", limits=ENERGY)
    ]
    decomposition_K: Annotated[
        float, Parameter("T is stable below.", 0, 100, "K", below="onset_decomposition_K", limits=KELVIN)
    ]
    decomposition_enthalpy_kJ_mol: Annotated[float, Parameter("Enthalpy of T -> D.", 100, 300, "kJ/mol", limits=HEAT)]
    precursor_onset_K: Annotated[
        tuple[float, ...],
        Parameter("Onset of P -> B, carbonate.", -150, 150, "K", below="onset_target_K", limits=KELVIN),
        Parameter("Onset of P -> B, nitrate.", 50, 150, "K", below="precursor_onset_K[0]", limits=KELVIN),
        Parameter("Onset of P -> B, oxide.", 100, 200, "K", below="precursor_onset_K[0]", limits=KELVIN),
    ]
    precursor_energy_kJ_mol: Annotated[
        tuple[float, ...],
        Parameter(
            "Activation energy of P -> B, carbonate.", 85, 265, "kJ/mol", limits=ENERGY,
            source="CaCO3: 85 (J. Chem. Eng. Jpn 2005) to 261 (L'vov 2002)",
        ),
        Parameter("Activation energy of P -> B, nitrate.", 85, 265, "kJ/mol", limits=ENERGY),
        Parameter("Activation energy of P -> B, oxide.", 85, 265, "kJ/mol", limits=ENERGY),
    ]  # fmt: skip
    precursor_contact: Annotated[
        tuple[float, ...],
        Parameter("Factor on the rates of T and I, carbonate.", 1, 1, scale="constant", limits=(1e-3, 1e3)),
        Parameter("Factor on the rates of T and I, nitrate, which melts.", 1, 3, scale="log", limits=(1e-3, 1e3)),
        Parameter("Factor on the rates of T and I, oxide.", 0.3, 1, scale="log", limits=(1e-3, 1e3)),
    ]
    carbonate_K: Annotated[
        float,
        Parameter(
            "Where CO2 over the carbonate reaches 1 bar.", 50, 250, "K", above="precursor_onset_K[0]", limits=KELVIN,
            source="CaCO3: 1170 K (FREED)",
        ),
    ]  # fmt: skip
    carbonate_enthalpy_kJ_mol: Annotated[
        float,
        Parameter(
            "Enthalpy of calcination.", 160, 270, "kJ/mol", limits=HEAT,
            source="CaCO3 178, BaCO3 269, from heats of formation at 298 K",
        ),
    ]  # fmt: skip
    onset_loss_K: Annotated[
        float,
        Parameter(
            "Where A loses 10 % an hour by volatilisation from 1 um powder.", 100, 600, "K", above="onset_target_K",
            limits=KELVIN,
        ),
    ]  # fmt: skip
    energy_loss_kJ_mol: Annotated[
        float,
        Parameter(
            "Activation energy of volatilisation.", 160, 340, "kJ/mol", limits=ENERGY,
            source="sublimation of Li, Na, Pb or Bi oxides; chosen",
        ),
    ]  # fmt: skip
    growth_exponent: Annotated[
        float,
        Parameter(
            "m of grain growth.", 2, 5, limits=(1.0, 8.0),
            source="2: Burke and Turnbull; 5: ZnO with 6 wt% Bi2O3, with 200 kJ/mol (Özkan, Avcı, Oktay and Erkalfa)",
        ),
    ]  # fmt: skip
    energy_growth_kJ_mol: Annotated[
        float, Parameter("Activation energy of grain growth.", 200, 500, "kJ/mol", limits=ENERGY)
    ]
    growth_um: Annotated[
        float,
        Parameter(
            "Grain size grown from nothing in an hour, 150 K above the onset of T.", 0.3, 5, "um", "log",
            limits=(1e-3, 100.0),
        ),
    ]  # fmt: skip
    contact_exponent: Annotated[
        float,
        Parameter(
            "q of rate ~ r^-q in the particle size r.", 1, 2, limits=(0.0, 3.0),
            source="1: interface control; 2: diffusion (Jander 1927)",
        ),
    ]  # fmt: skip
    formation_enthalpy_kJ_mol: Annotated[float, Parameter("Enthalpy of A + B -> T.", -150, -30, "kJ/mol", limits=HEAT)]
    formation_entropy_J_mol_K: Annotated[
        float, Parameter("Entropy of A + B -> T.", -15, 15, "J/(mol K)", limits=ENTROPY)
    ]
    transform_enthalpy_kJ_mol: Annotated[
        float, Parameter("Enthalpy of I + (1-x)A -> T.", -60, -5, "kJ/mol", limits=HEAT)
    ]
    transform_entropy_J_mol_K: Annotated[
        float, Parameter("Entropy of I + (1-x)A -> T.", 0, 15, "J/(mol K)", limits=ENTROPY)
    ]
    nucleation_J_m2: Annotated[
        float,
        Parameter(
            "Interface energy of T's nuclei; 0: nucleation is easy. 0.15 to 0.30 in the split ood-mechanism.",
            0, 0, "J/m2", limits=(0.0, 2.0),
        ),
    ]  # fmt: skip
    phase_bias: Annotated[tuple[float, ...], *PHASE_BIASES]
    furnace_offset_K: Annotated[
        float,
        Parameter("Sample temperature less set point.", -40, 40, "K", "normal", 15.0, limits=(-100.0, 100.0)),
    ]
    goal_um: Annotated[
        float, Parameter("The wanted grain size, which the policy is told.", 0.5, 8, "um", "log", limits=(1e-2, 100.0))
    ]
    limiting_grain_um: tuple[float, ...] = ()
    """Nothing, or one number: the size in um at which grains are pinned, by which the task obeys the second kinetic
    model of `metaenv.materials.other_physics`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limiting_grain(self)


STORE = FrozenStore(Path(__file__).parent / "data", SolidStateTask)
"""What `metaenv.materials.build_data` wrote; ``action_VARIANT`` are the oracle's recipes, as actions."""
PARAMETERS = ParameterTable(SolidStateTask)
LARGEST_OFFSET_K = PARAMETERS.parameters["furnace_offset_K"].high
SPLIT_RANGES: dict[str, Ranges] = {
    "ood-hot": {"onset_target_K": (1400.0, 1550.0)},
    "ood-cold": {"onset_target_K": (800.0, 900.0)},
    "ood-mechanism": {"nucleation_J_m2": (0.15, 0.30)},
}
"""Where a split draws from other ranges than training."""
SEEN_RANGES: Ranges = {"onset_target_K": (800.0, 1550.0), "nucleation_J_m2": (0.0, 0.30)}
"""What the task vector scales to [-1, 1] beyond training's own ranges: those of all splits together."""


def draw(unit: Floats, split: str, laboratory: Laboratory = DEFAULT) -> TaskBatch:
    """Tasks for points (n, unit_dim) of the unit cube, solvable or not; ``split`` names the ranges.

    ``train``, ``validation`` and ``test`` share theirs.
    """
    columns = PARAMETERS.draw(unit, {**SPLIT_RANGES.get(split, {}), **_goal(laboratory)})
    if split == "ood-instrument":
        columns["phase_bias"] = 2.0 * columns["phase_bias"]
        columns["furnace_offset_K"] = np.copysign(LARGEST_OFFSET_K, columns["furnace_offset_K"])
    return TaskBatch(SolidStateTask, columns)


# WHICH DRAWS ARE MEMBERS OF THE FAMILY

SOLVABLE = 0.5  # utility that some recipe must reach (chosen)
SCREEN_MARGIN = 0.03  # above `SOLVABLE`, for the error of few substeps
SCREEN_SUBSTEPS = 16
SCREENED = np.array(
    [[80.0, 1.0, 0.0], [120.0, 1.0, 0.0], [160.0, 2.0, 0.0], [200.0, 1.0, 0.0], [280.0, 1.0, 0.08], [0.0, 0.4, 0.0]]
)
"""K above the onset of the target, particle size in um, excess A: which together find most solvable tasks (chosen)."""
MOST_TELLING_FIRST = (1, 3, 5, 4, 0, 2)  # rows of `SCREENED`; the order changes nothing but the time
FEW = 128  # tasks for which calls cost more than the simulation (measured)


def informed_recipes(tasks: TaskBatch, laboratory: Laboratory = DEFAULT) -> Recipe:
    """``len(SCREENED)`` recipes a task by one who knows it: hot enough for the target, held until the grains fit."""
    above, particle, excess = np.tile(SCREENED, (len(tasks), 1)).T.copy()
    known = tasks.repeated(len(SCREENED))
    temperature = np.clip(known.onset_target_K + above, *laboratory.bounds.temperature_K)
    anchor = known.onset_target_K + GROWTH_ABOVE_K
    m, q = known.growth_exponent, known.energy_growth_kJ_mol * (1e3 / GAS_J_MOL_K)
    missing = np.exp(m * np.log(known.goal_um)) - np.exp(m * np.log(START_GRAIN * particle))
    per_hour = np.exp(m * np.log(known.growth_um) - q * (1.0 / temperature - 1.0 / anchor))
    wanted = (temperature, np.clip(missing / per_hour, 0.8, 40.0), 7.0, excess, particle)
    bounds = (getattr(laboratory.bounds, name) for name in QUANTITIES)
    return one_step(*(np.clip(x, *ends) for x, ends in zip(wanted, bounds, strict=False)))


def solvable(tasks: TaskBatch, laboratory: Laboratory = DEFAULT) -> NDArray[np.bool_]:
    """(n,) whether an informed recipe makes the material well enough: a certificate that the task can be solved."""
    recipe = informed_recipes(tasks, laboratory)
    if len(tasks) < FEW:
        return np.asarray(
            _reaches(tasks.repeated(len(SCREENED)), recipe, laboratory).reshape(len(tasks), -1).any(axis=1)
        )
    # One recipe after the other, for the tasks that none has certified yet: half the work.
    found = np.zeros(len(tasks), bool)
    for k in MOST_TELLING_FIRST:
        left = np.flatnonzero(~found)
        found[left] = _reaches(tasks.take(left), recipe.take(left * len(SCREENED) + k), laboratory)
    return found


def _reaches(tasks: TaskBatch, recipe: Recipe, laboratory: Laboratory) -> NDArray[np.bool_]:
    return true_utility(tasks, recipe, SCREEN_SUBSTEPS, laboratory) >= SOLVABLE + SCREEN_MARGIN


OWN_SEED = 20_250_601  # of the draws and lists of a laboratory of one's own; chosen
PROBED, FEWEST = 1024, 0.01  # draws, and how many of them must be solvable (chosen)


@lru_cache(maxsize=64)
def check_possible(laboratory: Laboratory, split: str) -> None:
    """Raise TaskError if fewer than 1 % of a split's draws are solvable in a laboratory.

    The message names what alone is the reason, or else what would mend it by its default, or else all that was changed.
    """
    share = _solvable_share(laboratory, split, PROBED)
    if share >= FEWEST:
        return
    changed = [change for change in laboratory.changes() if change[1].instruments == DEFAULT.instruments]
    alone = [told for told, only, _ in changed if _solvable_share(only, split) < FEWEST]
    mending = [] if alone else [told for told, _, without in changed if _solvable_share(without, split) >= FEWEST]
    if alone:
        why = f"{'Each of these alone is' * (len(alone) > 1) or 'It is'} the reason: {'; '.join(alone)}"
    elif mending:
        why = f"One of these has to be nearer to its default: {'; '.join(mending)}"
    else:
        why = f"These together are the reason: {'; '.join(told for told, *_ in changed)}"
    made = f"{share:.1%}" if share else "none"
    raise TaskError(
        f"in this laboratory informed recipes make {made} of the materials of {split!r} to a utility of {SOLVABLE}. "
        f"{why}. Change it, or give tasks=[…] of your own"
    )


def _solvable_share(laboratory: Laboratory, split: str, n: int = 128) -> float:
    unit = np.random.default_rng(OWN_SEED).random((n, PARAMETERS.unit_dim))
    return float(solvable(draw(unit, split, laboratory), laboratory).mean())


# THE DISTRIBUTION


N_RANDOM = 256  # recipes whose mean utility is a task's random score (chosen)
BLOCK = 25  # tasks of a laboratory of one's own whose references are searched together (chosen)
RANDOM_SEED, ORACLE_SEED = 20_240_501, 20_240_502  # chosen; any fixed pair does


@dataclass(frozen=True)
class SolidStateDistribution(TaskDistribution):
    """Hidden materials that somebody who knows them could make.

    Splits: ``train`` is endless; ``validation`` (200) and ``test`` (1,000) are frozen draws of the same; the rest
    are frozen lists of 256 that differ from training in one thing:

    * ``ood-hot``: the target's onset at 1400-1550 K instead of 900-1400 K;
    * ``ood-cold``: at 800-900 K;
    * ``ood-instrument``: phase responses off by twice as much, and the furnace by 40 K either way;
    * ``ood-mechanism``: nuclei of the products cost interface energy, which delays and reorders the reactions.

    Every task, training ones too, passed `solvable`. Tasks do not depend on the variant; references do.

    In a laboratory of one's own all splits are drawn anew, of materials that are solvable there, and the references of
    the tasks that are played are computed when an evaluation first asks for them: a minute or two for the 1,000 of
    ``test`` on one core, and several in the full variant.
    """

    variant: Variant = "recipe"
    """Which recipes a policy may choose."""
    laboratory: Laboratory = DEFAULT
    """Where they are made."""
    task_type: ClassVar[type[Task]] = SolidStateTask
    unit_dim: int = PARAMETERS.unit_dim
    splits: tuple[str, ...] = ("train", *FROZEN_SIZES)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks for points of the unit cube."""
        return draw(unit, split, self.laboratory)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """(n,) which tasks are `solvable`; all of a frozen list.

        Raises:
            TaskError: none of these, and hardly any of training: a laboratory in which nothing can be made.
        """
        found = solvable(tasks, self.laboratory)
        if self.laboratory != DEFAULT and not found.any():
            check_possible(self.laboratory, "train")
        return found

    def frozen_list(self, split: str) -> FrozenTasks:
        """The frozen list of a split and its references in this variant."""
        if self.laboratory != DEFAULT:
            return _own_frozen(self, split)
        return STORE.frozen(split, self.variant)

    def members(self, split: str) -> TaskBatch | None:
        """The tasks of a frozen list; in a laboratory of one's own without their references, which take long."""
        self.check_split(split)
        own = self.laboratory != DEFAULT and split != "train"
        return _own_tasks(self.laboratory, split) if own else super().members(split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Mean true utility of 256 fixed random recipes, and the best that `oracle` finds (12 ms a task)."""
        best, _ = oracle(tasks, ORACLE_SEED, self.variant, laboratory=self.laboratory)
        return Reference(random=random_score(tasks, self.variant, self.laboratory), oracle=best)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Random recipes. ``x``: the action (5 or 11) and the goal size scaled to [-1, 1]; ``y``: true utility."""
        actions = rng.uniform(-1.0, 1.0, (len(tasks), n, ACTION_DIM[self.variant]))
        goal = np.broadcast_to(scaled_goal(tasks.goal_um, self.laboratory)[:, None, None], (len(tasks), n, 1))
        y = utility_table(tasks, actions, self.variant, self.laboratory)
        return Labelled(np.concatenate([actions, goal], axis=2), y, tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 41) what training draws, each scaled to [-1, 1]; beyond training's ranges it is cut at 1."""
        scaled = PARAMETERS.scaled(tasks, {**SEEN_RANGES, **_goal(self.laboratory)})
        names = sorted(scaled, key=lambda name: name.startswith("phase_bias"))  # the biases come last
        return np.clip(np.stack([scaled[name] for name in names], axis=1), -1.0, 1.0).astype(np.float32)


@lru_cache(maxsize=16)
def _own_tasks(laboratory: Laboratory, split: str) -> TaskBatch:
    """The tasks of a split in a laboratory of one's own; they do not depend on the variant."""
    check_possible(laboratory, split)
    d, rng = SolidStateDistribution(laboratory=laboratory), np.random.default_rng([OWN_SEED, *split.encode()])
    return d._accepted(FROZEN_SIZES[split], rng, lambda unit: d.draw(unit, split))


@lru_cache(maxsize=8)
def _own_frozen(distribution: SolidStateDistribution, split: str) -> FrozenTasks:
    tasks = _own_tasks(distribution.laboratory, split)
    return FrozenTasks(split, tasks, _OwnReference(distribution, split, np.arange(len(tasks))), tasks.sha256)


class _OwnReference(Reference):
    """Of rows of a frozen list of one's own laboratory: computed when it is read, in blocks that do not depend on them.

    So a few tasks take little time, and have the same references as in the whole list.
    """

    def __init__(self, distribution: SolidStateDistribution, split: str, rows: Index) -> None:
        vars(self).update(distribution=distribution, split=split, rows=rows)

    def __getattr__(self, name: str) -> Any:
        if name not in ("random", "oracle") or "rows" not in vars(self):
            raise AttributeError(name)
        blocks, places = np.unique(self.rows // BLOCK, return_inverse=True)
        found = [_own_reference(self.distribution, self.split, int(block)) for block in blocks]
        for kind in ("random", "oracle"):
            of_block = [getattr(reference, kind) for reference in found]
            vars(self)[kind] = np.array([of_block[k][i] for k, i in zip(places, self.rows % BLOCK, strict=True)])
        return vars(self)[name]

    def take(self, rows: Index) -> Reference:
        return _OwnReference(self.distribution, self.split, self.rows[rows])


@lru_cache(maxsize=256)
def _own_reference(distribution: SolidStateDistribution, split: str, block: int) -> Reference:
    tasks = _own_tasks(distribution.laboratory, split)
    return distribution.reference(tasks.take(np.arange(len(tasks))[block * BLOCK : (block + 1) * BLOCK]))


def random_score(tasks: TaskBatch, variant: Variant, laboratory: Laboratory = DEFAULT) -> Floats:
    """(n,) mean true utility of the same 256 random recipes for every task."""
    recipes = even_cover(N_RANDOM, ACTION_DIM[variant], np.random.default_rng(RANDOM_SEED))
    return utility_table(tasks, recipes, variant, laboratory).mean(axis=1)


def scaled_goal(goal_um: Floats, laboratory: Laboratory = DEFAULT) -> Floats:
    """The goal size, from the laboratory's range (0.5-8 um) logarithmically to [-1, 1]: how learners see it."""
    return PARAMETERS.parameters["goal_um"].scaled(goal_um, laboratory.goal)


def _goal(laboratory: Laboratory) -> Ranges:
    """The range that the goals are drawn from, where it is not the tasks' own."""
    return {} if laboratory.goal == DEFAULT.goal else {"goal_um": laboratory.goal}
