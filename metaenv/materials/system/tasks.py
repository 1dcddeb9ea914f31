"""The family of chemical systems: three compounds made in one hidden furnace, and how named options suit them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.system.options import (
    COMPOUNDS,
    CONTACT,
    DECOMPOSITION_K,
    LOSS_K,
    NEUTRAL,
    OPTIONS,
    PROPERTIES,
    TRANSFORM_K,
    affinities,
    affinities_of_choice,
)
from metaenv.materials.tasks import ENERGY, KELVIN, PHASE_BIASES, SolidStateTask, check_limiting_grain
from metaenv.materials.tasks import PARAMETERS as OF_ONE_MATERIAL
from metaenv.parameters import Parameter, ParameterTable, ParameterTask
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Index

KELVINS = (-2000.0, 2000.0)
"""Limits of differences between temperatures: what the equations can bear."""
SIZES_UM = (1e-3, 100.0)
ONE = OF_ONE_MATERIAL.parameters
"""The parameters of one material, for what the compounds of a system have in common."""


OF_COMPOUND = {
    "onset_target_K": Parameter("Onset of A + B -> T with 1 um powder and neutral options", 900, 1400, "K",
                                limits=KELVIN),
    "trap_above_K": Parameter("Onset of xA + B -> I above that of T", -180, 60, "K", limits=KELVINS),
    "transform_above_K": Parameter("Onset of I + (1-x)A -> T above that of T", 20, 300, "K", limits=KELVINS),
    "decomposition_above_K": Parameter("Onset of T -> D above that of T", 120, 420, "K", limits=KELVINS),
    "loss_above_K": Parameter("Where A loses 10 % an hour, above the onset of T", 100, 600, "K", limits=KELVINS),
    "growth_um": Parameter("Grain size grown in an hour, 150 K above the onset of T", 0.3, 5, "um", "log",
                           limits=SIZES_UM),
}  # fmt: skip
"""What each compound has of its own, with its whole range in training."""


def _shared(name: str, common_name: str) -> tuple[Parameter, list[Parameter]]:
    """What the compounds have in common, half of the range, and what each of them adds, the other half."""
    whole = OF_COMPOUND[name]
    low, high, unit, scale = whole.low, whole.high, whole.unit, whole.scale
    half = 0.5 * (high - low) if scale == "linear" else float(np.sqrt(high / low))
    middle, least = (low + half, 0.0) if scale == "linear" else (low * half, 1.0)
    limits = whole.limits
    common = Parameter(f"{whole.meaning}: what the compounds have in common.", low, middle, unit, scale, limits=limits)
    above, times = (common_name, "") if scale == "linear" else ("", common_name)
    own = (f"{whole.meaning}, of compound {e + 1}." for e in range(COMPOUNDS))
    return common, [Parameter(each, least, half, unit, scale, 0, above, "", times, limits) for each in own]


ONSET, ONSETS = _shared("onset_target_K", "onset_common_K")
TRAP, TRAPS = _shared("trap_above_K", "trap_common_K")
TRANSFORM, TRANSFORMS = _shared("transform_above_K", "transform_common_K")
DECOMPOSITION, DECOMPOSITIONS = _shared("decomposition_above_K", "decomposition_common_K")
LOSS, LOSSES = _shared("loss_above_K", "loss_common_K")
GROWTH, GROWTHS = _shared("growth_um", "growth_common_um")
GOALS = [
    Parameter(f"The wanted grain size of compound {e + 1}, which the policy is told.", 0.5, 8, "um", "log",
              limits=(1e-2, 100.0)) for e in range(COMPOUNDS)
]  # fmt: skip
TRAITS, TRAITS_OF_COMPOUNDS = (
    [Parameter(f"Property {k + 1}: what the compounds have in common.", -1.2, 0.6 if k == 0 else 1.2, limits=(-10, 10))
     for k in range(PROPERTIES)],
    [Parameter(f"Property {k + 1} of compound {e + 1}.", -1.2, 1.2, above=f"traits[{k}]", limits=(-20, 20))
     for e in range(COMPOUNDS) for k in range(PROPERTIES)],
)  # fmt: skip
OWN = [
    Parameter(f"What the properties do not explain of the affinity of {name} ({group}).", -np.inf, np.inf, "",
              "normal", 0.35, limits=(-10, 10)) for group, names in OPTIONS.items() for name in names
]  # fmt: skip


@dataclass(frozen=True)
class SystemTask(ParameterTask):
    """A system of three compounds, with the furnace and the instrument they are made and seen with.

    Half of the spread of a compound's parameters is common to the system. T, I, D and P are the target, the
    intermediate, what T decomposes to and the precursor of B, as in `metaenv.materials.tasks.SolidStateTask`, whose
    energies, exponents and heats the compounds have in common.
    """

    family: ClassVar[str] = "ChemicalSystem"
    optional: ClassVar[str] = "limiting_grain_um"

    onset_common_K: Annotated[float, ONSET]
    onset_target_K: Annotated[tuple[float, ...], *ONSETS]
    trap_common_K: Annotated[float, TRAP]
    trap_above_K: Annotated[tuple[float, ...], *TRAPS]
    transform_common_K: Annotated[float, TRANSFORM]
    transform_above_K: Annotated[tuple[float, ...], *TRANSFORMS]
    decomposition_common_K: Annotated[float, DECOMPOSITION]
    decomposition_above_K: Annotated[tuple[float, ...], *DECOMPOSITIONS]
    loss_common_K: Annotated[float, LOSS]
    loss_above_K: Annotated[tuple[float, ...], *LOSSES]
    growth_common_um: Annotated[float, GROWTH]
    growth_um: Annotated[tuple[float, ...], *GROWTHS]
    goal_um: Annotated[tuple[float, ...], *GOALS]
    traits: Annotated[tuple[float, ...], *TRAITS]
    traits_of_compounds: Annotated[tuple[float, ...], *TRAITS_OF_COMPOUNDS]
    own_affinity: Annotated[tuple[float, ...], *OWN]
    stable_below_K: Annotated[float, Parameter("T is stable below its onset of decomposition by this.", 0, 100, "K",
                                               limits=KELVINS)]  # fmt: skip
    precursor_below_K: Annotated[float, Parameter("Onset of P -> B below that of T.", -50, 150, "K", limits=KELVINS)]
    precursor_energy: Annotated[float, Parameter("Activation energy of P -> B.", 85, 265, "kJ/mol", limits=ENERGY)]
    carbonate_above_K: Annotated[float, Parameter("Where CO2 over P reaches 1 bar, above its onset.", 50, 250, "K",
                                                  limits=KELVINS)]  # fmt: skip
    energy_target_kJ_mol: Annotated[float, ONE["energy_target_kJ_mol"]]
    avrami_target: Annotated[float, ONE["avrami_target"]]
    energy_intermediate_kJ_mol: Annotated[float, ONE["energy_intermediate_kJ_mol"]]
    avrami_intermediate: Annotated[float, ONE["avrami_intermediate"]]
    intermediate_a: Annotated[float, ONE["intermediate_a"]]
    energy_transform_kJ_mol: Annotated[float, ONE["energy_transform_kJ_mol"]]
    energy_decomposition_kJ_mol: Annotated[float, ONE["energy_decomposition_kJ_mol"]]
    decomposition_enthalpy_kJ_mol: Annotated[float, ONE["decomposition_enthalpy_kJ_mol"]]
    carbonate_enthalpy_kJ_mol: Annotated[float, ONE["carbonate_enthalpy_kJ_mol"]]
    energy_loss_kJ_mol: Annotated[float, ONE["energy_loss_kJ_mol"]]
    growth_exponent: Annotated[float, ONE["growth_exponent"]]
    energy_growth_kJ_mol: Annotated[float, ONE["energy_growth_kJ_mol"]]
    contact_exponent: Annotated[float, ONE["contact_exponent"]]
    formation_enthalpy_kJ_mol: Annotated[float, ONE["formation_enthalpy_kJ_mol"]]
    formation_entropy_J_mol_K: Annotated[float, ONE["formation_entropy_J_mol_K"]]
    transform_enthalpy_kJ_mol: Annotated[float, ONE["transform_enthalpy_kJ_mol"]]
    transform_entropy_J_mol_K: Annotated[float, ONE["transform_entropy_J_mol_K"]]
    nucleation_J_m2: Annotated[float, ONE["nucleation_J_m2"]]
    phase_bias: Annotated[tuple[float, ...], *PHASE_BIASES]
    furnace_offset_K: Annotated[float, ONE["furnace_offset_K"]]
    limiting_grain_um: tuple[float, ...] = ()
    """Nothing, or one number: the size in um at which grains are pinned, by which the task obeys the second kinetic
    model of `metaenv.materials.other_physics`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limiting_grain(self)


PARAMETERS = ParameterTable(SystemTask)
IN_COMMON = tuple(f.name for f in fields(SolidStateTask) if f.name in PARAMETERS.fields and f.name not in
                  ("onset_target_K", "growth_um", "goal_um"))  # fmt: skip


def affinity(tasks: TaskBatch) -> Floats:
    """(n, compounds, options) how well each option suits each compound."""
    return affinities(tasks.traits_of_compounds, tasks.own_affinity)


def materials(tasks: TaskBatch, compound: Index, choice: NDArray[np.intp]) -> TaskBatch:
    """The one material that each of ``n`` compounds is, made from the options that were chosen.

    Args:
        tasks: n systems.
        compound: (n,) of each.
        choice: (n, groups) an option of each group.

    Temperatures that somebody's system puts below 300 K are 300 K, which the equations can bear; none of ours does.
    """
    rows = np.arange(len(tasks))

    def of(name: str) -> Floats:
        return getattr(tasks, name)[rows, compound]

    suits = affinities_of_choice(tasks.traits_of_compounds, tasks.own_affinity, compound, choice)
    source_a, source_b, flux, gas = (suits - NEUTRAL).T
    onset = of("onset_target_K")
    precursor, decomposition = onset - tasks.precursor_below_K, onset + of("decomposition_above_K")
    decomposition = decomposition + DECOMPOSITION_K * gas
    temperatures = {
        "onset_intermediate_K": onset + of("trap_above_K"),
        "onset_transform_K": onset + of("transform_above_K") + TRANSFORM_K * flux,
        "onset_decomposition_K": decomposition,
        "decomposition_K": decomposition - tasks.stable_below_K,
        "precursor_onset_K": precursor,
        "carbonate_K": precursor + tasks.carbonate_above_K,
        "onset_loss_K": onset + of("loss_above_K") + LOSS_K * source_a,
    }
    bearable = {name: np.maximum(kelvin, KELVIN[0]) for name, kelvin in temperatures.items()}
    columns = {
        **{name: getattr(tasks, name) for name in IN_COMMON},
        **{name: of(name) for name in ("onset_target_K", "growth_um", "goal_um")},
        **bearable,
        "precursor_onset_K": _thrice(bearable["precursor_onset_K"]),
        "precursor_energy_kJ_mol": _thrice(tasks.precursor_energy),
        "precursor_contact": _thrice(np.exp(CONTACT * source_b)),
    }
    if tasks.limiting_grain_um.size:
        columns["limiting_grain_um"] = tasks.limiting_grain_um
    return TaskBatch(SolidStateTask, {f.name: columns[f.name] for f in fields(SolidStateTask) if f.name in columns})


def _thrice(values: Floats) -> Floats:
    """(n, 3), for the three precursors of B that one material has; recipes use the first."""
    return np.repeat(values[:, None], 3, axis=1)
