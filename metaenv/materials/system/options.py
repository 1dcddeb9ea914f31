"""The named options of a synthesis, and how they act: through contact, onsets and evaporation, in the same physics.

How well an option suits a compound is its *affinity*, of about unit spread: the product of the option's three
properties, the same in every system, and the compound's three, plus a part of the option's own. In measured tables it
is much the same: three factors hold 95 % of how 12 pairs of substrates differ in the mean yields of 11 ligands (3,696
Suzuki couplings; Perera et al. 2018, Science 359, 429).

An option whose affinity is `NEUTRAL` changes nothing. One that suits the compound better by 1 makes

* as the source of A: A evaporate at temperatures that are higher by 160 K;
* as the source of B: A + B -> T and x A + B -> I faster by exp(3) at any temperature;
* as the flux: the onset of I + (1-x) A -> T lower by 110 K;
* as the gas: the onset of T -> D, and the temperature below which T is stable, higher by 90 K.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from metaenv.typing import Floats, Index

COMPOUNDS = 3
"""How many compounds a system has."""
PROPERTIES = 3
NEUTRAL = 0.8  # about the affinity of the second best of a group (chosen)
LOSS_K, CONTACT, TRANSFORM_K, DECOMPOSITION_K = 160.0, 3.0, -110.0, 90.0
"""What one more unit of affinity does: K of an onset, or a logarithm of rates (chosen)."""

OPTIONS: dict[str, dict[str, tuple[float, float, float]]] = {
    "source of A": {
        "oxide": (-0.03, -1.0, 0.09),
        "hydroxide": (-0.84, -0.1, -0.53),
        "nitrate": (-0.08, 0.15, 0.99),
        "acetate": (0.28, 0.94, -0.21),
        "peroxide": (0.43, -0.27, -0.86),
    },
    "source of B": {
        "carbonate": (0.41, 0.22, 0.89),
        "oxalate": (-0.8, -0.08, 0.6),
        "citrate": (0.15, -0.98, -0.08),
        "formate": (-0.7, 0.28, -0.66),
        "basic carbonate": (0.76, 0.37, -0.53),
    },
    "flux": {
        "none": (-0.82, -0.21, 0.54),
        "chlorides": (0.88, -0.37, 0.3),
        "sulfates": (-0.28, -0.85, -0.44),
        "borate": (-0.41, 0.29, -0.87),
        "fluoride": (0.12, 0.58, 0.8),
    },
    "gas": {
        "air": (0.18, -0.61, -0.77),
        "oxygen": (0.74, 0.57, 0.34),
        "nitrogen": (-0.86, 0.0, 0.51),
    },
}
"""The properties of every option, by group: unit vectors that point in different directions (chosen)."""
SIZES = tuple(map(len, OPTIONS.values()))
N_OPTIONS = sum(SIZES)
PLACES = tuple(slice(end - size, end) for end, size in zip(accumulate(SIZES), SIZES, strict=True))
"""Where the options of each group are among all of them."""
FIRST_OF_GROUP = np.array([place.start for place in PLACES])
LOADINGS = np.array([properties for group in OPTIONS.values() for properties in group.values()])
"""(options, properties)"""


def affinities(character: Floats, own: Floats) -> Floats:
    """(n, compounds, options) how well each option suits each compound.

    Args:
        character: (n, compounds * properties) the properties of the compounds.
        own: (n, options) what the properties do not explain.
    """
    return _explained(own[:, None], character.reshape(len(character), COMPOUNDS, 1, PROPERTIES), LOADINGS)


def affinities_of_choice(character: Floats, own: Floats, compound: Index, choice: Index) -> Floats:
    """(n, groups) how well the options that were chosen suit the compounds that are made: the same, and quicker.

    Args:
        character, own: as of `affinities`.
        compound: (n,) which compound of each system.
        choice: (n, groups) which option of each group.
    """
    rows, option = np.arange(len(character)), choice + FIRST_OF_GROUP
    of_compound = character.reshape(len(character), COMPOUNDS, 1, PROPERTIES)[rows, compound]
    return _explained(np.take_along_axis(own, option, axis=1), of_compound, LOADINGS[option])


def _explained(own: Floats, of_compound: Floats, loadings: Floats) -> Floats:
    """Own parts and the products of the properties, the last axis, term by term: the same bits for any n."""
    for k in range(PROPERTIES):
        own = own + of_compound[..., k] * loadings[..., k]
    return own
