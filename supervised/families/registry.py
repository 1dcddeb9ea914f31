"""Every family by its name. Looking a name up imports that family's module only.

To add one: a file, a line here; `tests/supervised/families/test_families.py` then tests it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaenv.imports import named

if TYPE_CHECKING:
    from metaenv.supervised.families.family import Family

FAMILIES: dict[str, str] = {
    "blood-cells": "metaenv.supervised.families.blood_cells:BloodCells",
    "gene-expression": "metaenv.supervised.families.gene_expression:GeneExpression",
    "light-curves": "metaenv.supervised.families.light_curves:LightCurves",
    "material-properties": "metaenv.supervised.families.composition:MaterialProperties",
    "materials-synthesis": "metaenv.supervised.families.synthesis:MaterialsSynthesis",
    "molecule-objectives": "metaenv.supervised.families.molecules:MoleculeObjectives",
    "telescope-values": "metaenv.supervised.families.telescope_values:TelescopeValues",
}
"""By name, "module:Class"."""
FILE_FAMILIES = {
    "assays": "metaenv.supervised.families.assays:Assays",
    "table": "metaenv.supervised.families.grouped_table:GroupedTable",
}
"""Those that need a file of yours, named by an option."""


def family_class(name: str) -> type[Family]:
    """The class of this name in `FAMILIES` or `FILE_FAMILIES`.

    Raises:
        ValueError: there is none; the message says which there are.
    """
    return named("family", name, {**FAMILIES, **FILE_FAMILIES})


def make_family(name: str, **options: Any) -> Family:
    """A family by name, with its options: ``make_family("light-curves", variant="sequence")``."""
    return family_class(name)(**options)
