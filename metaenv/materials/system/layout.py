"""What an experiment with a compound of a system shows."""

from metaenv.layout import Block, ObservationLayout
from metaenv.materials.env import LAYOUT as OF_ONE
from metaenv.materials.env import MEASURED_BY
from metaenv.materials.laboratory import INSTRUMENTS
from metaenv.materials.system.options import COMPOUNDS, OPTIONS

LAYOUT = ObservationLayout(
    [
        Block("compound", "which compound of the system is made now, one-hot", width=COMPOUNDS),
        OF_ONE.blocks[0],
        Block("made", "1 once the compound is made and the reading taken; all that follows is 0 before"),
        Block("measured by XRD", "1 if the shares of the phases are measured; they are 0 if not"),
        Block("measured by SEM", "1 if the grain size is measured, for which the target must be seen; it is 0 if not"),
        Block("measured by balance", "1 if the mass loss is measured; it is 0 if not"),
        *OF_ONE.blocks[2:],
        *(Block(group, f"which was chosen, one-hot: {', '.join(names)}", width=len(names))
          for group, names in OPTIONS.items()),
    ]
)  # fmt: skip
GOAL, MADE = LAYOUT.column("goal size"), LAYOUT.column("made")
MEASURED = {name: LAYOUT.column(f"measured by {name}") for name in INSTRUMENTS}
SHOWN = slice(LAYOUT.column("precursor"), LAYOUT.column("reading") + 1)
"""Phases, grain size, mass loss and reading."""
_FURTHER = SHOWN.start - OF_ONE.column("precursor")
SHOWN_BY = {name: slice(at.start + _FURTHER, at.stop + _FURTHER) for name, at in MEASURED_BY.items()}
"""What each instrument shows."""
GRAIN = LAYOUT.column("grain size")
CHOSEN = LAYOUT.slice(next(iter(OPTIONS))).start
