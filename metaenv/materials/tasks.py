"""The solid-state family: hidden materials, in a hidden furnace, seen by a hidden instrument."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.materials.kinetics import GAS_J_MOL_K, GROWTH_ABOVE_K, START_GRAIN
from metaenv.materials.oracle import even_cover, oracle, true_utility, utility_table
from metaenv.materials.recipes import ACTION_DIM, PRECURSORS, TEMPERATURE_K, Recipe, Variant, one_step
from metaenv.materials.stored import load_frozen
from metaenv.tasks import (
    FrozenTasks,
    Labelled,
    Reference,
    Task,
    TaskBatch,
    TaskDistribution,
)
from metaenv.typing import Floats

OOD_SPLITS = ("ood-hot", "ood-cold", "ood-instrument", "ood-mechanism")
FROZEN_SIZES = {"validation": 200, "test": 1_000, **dict.fromkeys(OOD_SPLITS, 256)}


@dataclass(frozen=True)
class SolidStateTask(Task):
    """One material to make, with the furnace and the instrument it is made and seen with.

    ``onset``: the temperature at which a process reaches unit extent in one hour. Ranges are those of training.
    """

    family: ClassVar[str] = "SolidState"

    onset_target_K: float
    """Onset of A + B -> T with 1 um powder. 900-1400 K: where text-mined recipes are heated."""
    energy_target_kJ_mol: float
    """Activation energy of A + B -> T. 180-420, usual for oxides (chosen)."""
    avrami_target: float
    """Avrami exponent n of T. 0.5-3.5: diffusion to constant nucleation; BaPbO3 shows 0.5, 1, 2.5 (Chang 2000)."""
    onset_intermediate_K: float
    """Onset of xA + B -> I. 180 K below to 60 K above that of T: a kinetic trap at low temperature (chosen)."""
    energy_intermediate_kJ_mol: float
    """0.55-0.9 of that of T (chosen)."""
    avrami_intermediate: float
    """0.5-3.5, as that of T."""
    intermediate_a: float
    """x, A in a formula unit of I. 0.4-0.8 (chosen)."""
    onset_transform_K: float
    """Onset of I + (1-x)A -> T. 20-300 K above that of T (chosen)."""
    energy_transform_kJ_mol: float
    """250-500 (chosen)."""
    onset_decomposition_K: float
    """Onset of T -> D. 120-420 K above that of T (chosen)."""
    energy_decomposition_kJ_mol: float
    """350-700 (chosen)."""
    decomposition_K: float
    """Below this T is stable. 0-100 K below the onset of decomposition (chosen)."""
    decomposition_enthalpy_kJ_mol: float
    """100-300 (chosen)."""
    precursor_onset_K: tuple[float, ...]
    """(3,) onset of P -> B. Carbonate: 150 K below to 150 K above that of T; nitrate: 50-150 K below the carbonate;
    oxide: 100-200 K below the carbonate (chosen)."""
    precursor_energy_kJ_mol: tuple[float, ...]
    """(3,) 85-265 each: CaCO3 has 85 (J. Chem. Eng. Jpn 2005) to 261 (L'vov 2002)."""
    precursor_contact: tuple[float, ...]
    """(3,) factor on the rates of T and I: carbonate 1, nitrate 1-3 (it melts), oxide 0.3-1; chosen."""
    carbonate_K: float
    """Where CO2 over the carbonate reaches 1 bar. 50-250 K above its onset in air; CaCO3 1170 K (FREED)."""
    carbonate_enthalpy_kJ_mol: float
    """Enthalpy of decarbonation. 160-270: CaCO3 178, BaCO3 269, from heats of formation at 298 K."""
    onset_loss_K: float
    """Where A loses 10 % an hour from 1 um powder. 100-600 K above the onset of T (chosen)."""
    energy_loss_kJ_mol: float
    """160-340, sublimation of Li, Na, Pb or Bi oxides (chosen)."""
    growth_exponent: float
    """m. 2 (Burke-Turnbull) to 5 (ZnO with 6 wt% Bi2O3, with 200 kJ/mol: Özkan, Avcı, Oktay and Erkalfa)."""
    energy_growth_kJ_mol: float
    """200-500 (chosen)."""
    growth_um: float
    """Grain size grown from nothing in an hour, 150 K above the onset of T. 0.3-5 um, logarithmic (chosen)."""
    contact_exponent: float
    """q of rate ~ r^-q in the particle size r. 1 (interface control) to 2 (diffusion; Jander 1927)."""
    formation_enthalpy_kJ_mol: float
    """of T from A and B. -150 to -30 (chosen)."""
    formation_entropy_J_mol_K: float
    """of T from A and B. -15 to 15 (chosen)."""
    transform_enthalpy_kJ_mol: float
    """of I + (1-x)A -> T. -60 to -5 (chosen)."""
    transform_entropy_J_mol_K: float
    """of I + (1-x)A -> T. 0 to 15 (chosen)."""
    nucleation_J_m2: float
    """Interface energy of T's nuclei. 0: nucleation is easy; 0.15-0.30 in the split ``ood-mechanism`` (chosen)."""
    phase_bias: tuple[float, ...]
    """(5,) logarithm of the instrument's response to each phase. Normal, 0.15 (chosen)."""
    furnace_offset_K: float
    """Sample temperature less set point. Normal, 15 K, cut at 40 K (chosen)."""
    goal_um: float
    """The wanted grain size, told to the policy. 0.5-8 um, logarithmic (chosen)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, length in (
            ("precursor_onset_K", 3),
            ("precursor_energy_kJ_mol", 3),
            ("precursor_contact", 3),
            ("phase_bias", 5),
        ):
            given = getattr(self, name)
            if not isinstance(given, tuple) or len(given) != length:
                raise TaskError(f"SolidStateTask.{name} must have {length} numbers, got {given!r}")
        for name, (low, high) in _LIMITS.items():
            if not np.all((low <= np.asarray(getattr(self, name))) & (np.asarray(getattr(self, name)) <= high)):
                raise TaskError(f"SolidStateTask.{name} must lie in [{low}, {high}], got {getattr(self, name)!r}")


_KELVIN, _ENERGY = (300.0, 2500.0), (1.0, 1000.0)
_LIMITS: dict[str, tuple[float, float]] = {
    "onset_target_K": _KELVIN,
    "onset_intermediate_K": _KELVIN,
    "onset_transform_K": _KELVIN,
    "onset_decomposition_K": _KELVIN,
    "decomposition_K": _KELVIN,
    "onset_loss_K": _KELVIN,
    "carbonate_K": _KELVIN,
    "precursor_onset_K": _KELVIN,
    "energy_target_kJ_mol": _ENERGY,
    "energy_intermediate_kJ_mol": _ENERGY,
    "energy_transform_kJ_mol": _ENERGY,
    "energy_decomposition_kJ_mol": _ENERGY,
    "energy_loss_kJ_mol": _ENERGY,
    "energy_growth_kJ_mol": _ENERGY,
    "precursor_energy_kJ_mol": _ENERGY,
    "precursor_contact": (1e-3, 1e3),
    "avrami_target": (0.3, 5.0),
    "avrami_intermediate": (0.3, 5.0),
    "intermediate_a": (0.05, 0.95),
    "growth_exponent": (1.0, 8.0),
    "growth_um": (1e-3, 100.0),
    "contact_exponent": (0.0, 3.0),
    "furnace_offset_K": (-100.0, 100.0),
    "goal_um": (1e-2, 100.0),
    "nucleation_J_m2": (0.0, 2.0),
}
"""What the equations can bear; training draws from much narrower ranges."""

LINEAR: dict[str, tuple[float, float]] = {
    "onset_target_K": (900.0, 1400.0),
    "energy_target_kJ_mol": (180.0, 420.0),
    "avrami_target": (0.5, 3.5),
    "intermediate - target, K": (-180.0, 60.0),
    "intermediate / target energy": (0.55, 0.9),
    "avrami_intermediate": (0.5, 3.5),
    "intermediate_a": (0.4, 0.8),
    "transform - target, K": (20.0, 300.0),
    "energy_transform_kJ_mol": (250.0, 500.0),
    "decomposition - target, K": (120.0, 420.0),
    "energy_decomposition_kJ_mol": (350.0, 700.0),
    "onset - decomposition_K": (0.0, 100.0),
    "decomposition_enthalpy_kJ_mol": (100.0, 300.0),
    "target - carbonate, K": (-150.0, 150.0),
    "carbonate - nitrate, K": (50.0, 150.0),
    "carbonate - oxide, K": (100.0, 200.0),
    "carbonate energy": (85.0, 265.0),
    "nitrate energy": (85.0, 265.0),
    "oxide energy": (85.0, 265.0),
    "carbonate_K - onset": (50.0, 250.0),
    "carbonate_enthalpy_kJ_mol": (160.0, 270.0),
    "loss - target, K": (100.0, 600.0),
    "energy_loss_kJ_mol": (160.0, 340.0),
    "growth_exponent": (2.0, 5.0),
    "energy_growth_kJ_mol": (200.0, 500.0),
    "contact_exponent": (1.0, 2.0),
    "formation_enthalpy_kJ_mol": (-150.0, -30.0),
    "formation_entropy_J_mol_K": (-15.0, 15.0),
    "transform_enthalpy_kJ_mol": (-60.0, -5.0),
    "transform_entropy_J_mol_K": (0.0, 15.0),
    "nucleation_J_m2": (0.15, 0.30),  # in ood-mechanism only
}
LOGARITHMIC: dict[str, tuple[float, float]] = {
    "nitrate contact": (1.0, 3.0),
    "oxide contact": (0.3, 1.0),
    "growth_um": (0.3, 5.0),
    "goal_um": (0.5, 8.0),
}
HOT_K, COLD_K = (1400.0, 1550.0), (800.0, 900.0)  # onset_target_K in ood-hot and ood-cold
BIAS, OFFSET_K, LARGEST_OFFSET_K = 0.15, 15.0, 40.0  # standard deviations and cut (chosen)
NORMALS = 6  # five biases and the offset: three Box-Muller pairs
UNIT_DIM = len(LINEAR) + len(LOGARITHMIC) + NORMALS


def draw(unit: Floats, split: str) -> TaskBatch:
    """Tasks for points (n, `UNIT_DIM`) of the unit cube, solvable or not; ``split`` names the ranges.

    ``train``, ``validation`` and ``test`` share theirs.
    """
    u = _physical(unit, split)
    normal = _normals(unit[:, -NORMALS:])
    bias, offset = BIAS * normal[:, :5], np.clip(OFFSET_K * normal[:, 5], -LARGEST_OFFSET_K, LARGEST_OFFSET_K)
    if split == "ood-instrument":
        bias, offset = 2.0 * bias, np.copysign(LARGEST_OFFSET_K, offset)
    onset, zero = u["onset_target_K"], np.zeros(len(unit))
    decomposition = onset + u["decomposition - target, K"]
    carbonate = onset - u["target - carbonate, K"]
    other = carbonate - u["carbonate - nitrate, K"], carbonate - u["carbonate - oxide, K"]
    derived = {
        "onset_intermediate_K": onset + u["intermediate - target, K"],
        "energy_intermediate_kJ_mol": u["energy_target_kJ_mol"] * u["intermediate / target energy"],
        "onset_transform_K": onset + u["transform - target, K"],
        "onset_decomposition_K": decomposition,
        "decomposition_K": decomposition - u["onset - decomposition_K"],
        "precursor_onset_K": np.stack([carbonate, *other], axis=1),
        "precursor_energy_kJ_mol": np.stack([u[f"{p} energy"] for p in PRECURSORS], axis=1),
        "precursor_contact": np.stack([zero + 1.0, u["nitrate contact"], u["oxide contact"]], axis=1),
        "carbonate_K": carbonate + u["carbonate_K - onset"],
        "onset_loss_K": onset + u["loss - target, K"],
        "nucleation_J_m2": u["nucleation_J_m2"] if split == "ood-mechanism" else zero,
        "phase_bias": bias,
        "furnace_offset_K": offset,
    }
    given = {**u, **derived}
    return TaskBatch(SolidStateTask, {f.name: given[f.name] for f in fields(SolidStateTask)})


def _physical(unit: Floats, split: str) -> dict[str, Floats]:
    ranges = {"ood-hot": HOT_K, "ood-cold": COLD_K}
    linear = {**LINEAR, "onset_target_K": ranges.get(split, LINEAR["onset_target_K"])}
    columns = np.ascontiguousarray(unit.T)
    values = {k: low + (high - low) * x for (k, (low, high)), x in zip(linear.items(), columns, strict=False)}
    for (name, (low, high)), x in zip(LOGARITHMIC.items(), columns[len(LINEAR) :], strict=False):
        values[name] = low * np.exp(np.log(high / low) * x)
    return values


def _normals(unit: Floats) -> Floats:
    """Standard normals for points of the unit cube, an even number of columns (Box and Muller 1958)."""
    columns = np.ascontiguousarray(unit.T)
    radius = np.sqrt(-2.0 * np.log1p(-columns[0::2]))
    angle = 2.0 * np.pi * columns[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).T.copy()


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


def informed_recipes(tasks: TaskBatch) -> Recipe:
    """``len(SCREENED)`` recipes a task by one who knows it: hot enough for the target, held until the grains fit."""
    above, particle, excess = np.tile(SCREENED, (len(tasks), 1)).T.copy()
    known = tasks.repeated(len(SCREENED))
    temperature = np.clip(known.onset_target_K + above, *TEMPERATURE_K)
    anchor = known.onset_target_K + GROWTH_ABOVE_K
    m, q = known.growth_exponent, known.energy_growth_kJ_mol * (1e3 / GAS_J_MOL_K)
    missing = np.exp(m * np.log(known.goal_um)) - np.exp(m * np.log(START_GRAIN * particle))
    per_hour = np.exp(m * np.log(known.growth_um) - q * (1.0 / temperature - 1.0 / anchor))
    return one_step(temperature, np.clip(missing / per_hour, 0.8, 40.0), 7.0, excess, particle)


def solvable(tasks: TaskBatch) -> NDArray[np.bool_]:
    """(n,) whether an informed recipe makes the material well enough: a certificate that the task can be solved."""
    recipe = informed_recipes(tasks)
    if len(tasks) < FEW:
        return np.asarray(_reaches(tasks.repeated(len(SCREENED)), recipe).reshape(len(tasks), -1).any(axis=1))
    # One recipe after the other, for the tasks that none has certified yet: half the work.
    found = np.zeros(len(tasks), bool)
    for k in MOST_TELLING_FIRST:
        left = np.flatnonzero(~found)
        found[left] = _reaches(tasks.take(left), recipe.take(left * len(SCREENED) + k))
    return found


def _reaches(tasks: TaskBatch, recipe: Recipe) -> NDArray[np.bool_]:
    return true_utility(tasks, recipe, SCREEN_SUBSTEPS) >= SOLVABLE + SCREEN_MARGIN


# THE DISTRIBUTION

N_RANDOM = 256  # recipes whose mean utility is a task's random score (chosen)
RANDOM_SEED, ORACLE_SEED = 20_240_501, 20_240_502  # chosen; any fixed pair does
_SEEN_ONSET_K = (COLD_K[0], HOT_K[1])


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
    """

    variant: Variant = "default"
    """Which recipes a policy may choose."""
    task_type: ClassVar[type[Task]] = SolidStateTask
    unit_dim: int = UNIT_DIM
    splits: tuple[str, ...] = ("train", *FROZEN_SIZES)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks for points of the unit cube."""
        return draw(unit, split)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """(n,) which tasks are `solvable`; all of a frozen list."""
        return solvable(tasks)

    def frozen_list(self, split: str) -> FrozenTasks:
        """The frozen list of a split and its references in this variant."""
        return load_frozen(SolidStateTask, split, self.variant)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Mean true utility of 256 fixed random recipes, and the best that `oracle` finds (12 ms a task)."""
        return Reference(random=random_score(tasks, self.variant), oracle=oracle(tasks, ORACLE_SEED, self.variant)[0])

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Random recipes. ``x``: the action (5 or 11) and the goal size scaled to [-1, 1]; ``y``: true utility."""
        actions = rng.uniform(-1.0, 1.0, (len(tasks), n, ACTION_DIM[self.variant]))
        goal = np.broadcast_to(scaled_goal(tasks.goal_um)[:, None, None], (len(tasks), n, 1))
        y = utility_table(tasks, actions, self.variant)
        return Labelled(np.concatenate([actions, goal], axis=2), y, tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 41) what training draws, each scaled to [-1, 1]; beyond training's ranges it is cut at 1."""
        ranges = {**LINEAR, "onset_target_K": _SEEN_ONSET_K, "nucleation_J_m2": (0.0, LINEAR["nucleation_J_m2"][1])}
        drawn = _drawn(tasks)
        rows = [_centred(drawn[name], *bounds) for name, bounds in ranges.items()]
        rows += [_centred(np.log(drawn[name]), *np.log(bounds)) for name, bounds in LOGARITHMIC.items()]
        rows += [tasks.furnace_offset_K / LARGEST_OFFSET_K, *(tasks.phase_bias.T / (4.0 * BIAS))]
        return np.clip(np.stack(rows, axis=1), -1.0, 1.0).astype(np.float32)


def random_score(tasks: TaskBatch, variant: Variant) -> Floats:
    """(n,) mean true utility of the same 256 random recipes for every task."""
    recipes = even_cover(N_RANDOM, ACTION_DIM[variant], np.random.default_rng(RANDOM_SEED))
    return utility_table(tasks, recipes, variant).mean(axis=1)


def scaled_goal(goal_um: Floats) -> Floats:
    """The goal size, from 0.5-8 um logarithmically to [-1, 1]: how policies see it."""
    return _centred(np.log(goal_um), *np.log(LOGARITHMIC["goal_um"]))


def _centred(value: Floats, low: float, high: float) -> Floats:
    return 2.0 * (value - low) / (high - low) - 1.0


def _drawn(t: TaskBatch) -> dict[str, Floats]:
    """The quantities of `LINEAR` and `LOGARITHMIC`, from the tasks they made: the inverse of `draw`."""
    carbonate, nitrate, oxide = t.precursor_onset_K.T
    derived = {
        "intermediate - target, K": t.onset_intermediate_K - t.onset_target_K,
        "intermediate / target energy": t.energy_intermediate_kJ_mol / t.energy_target_kJ_mol,
        "transform - target, K": t.onset_transform_K - t.onset_target_K,
        "decomposition - target, K": t.onset_decomposition_K - t.onset_target_K,
        "onset - decomposition_K": t.onset_decomposition_K - t.decomposition_K,
        "target - carbonate, K": t.onset_target_K - carbonate,
        "carbonate - nitrate, K": carbonate - nitrate,
        "carbonate - oxide, K": carbonate - oxide,
        "carbonate_K - onset": t.carbonate_K - carbonate,
        "loss - target, K": t.onset_loss_K - t.onset_target_K,
        "nitrate contact": t.precursor_contact[:, 1],
        "oxide contact": t.precursor_contact[:, 2],
        **{f"{p} energy": t.precursor_energy_kJ_mol[:, i] for i, p in enumerate(PRECURSORS)},
    }
    return {**t.columns, **derived}
