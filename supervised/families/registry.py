"""Every family by its name. Looking a name up imports that family's module only.

To add one: a file, a line here; `tests/supervised/families/test_families.py` then tests it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metaenv.errors import nearest

if TYPE_CHECKING:
    from metaenv.supervised.families.family import Family

FAMILIES: dict[str, str] = {
    "blood-cells": "metaenv.supervised.families.blood_cells:BloodCells",
    "gene-expression": "metaenv.supervised.families.gene_expression:GeneExpression",
    "light-curves": "metaenv.supervised.families.light_curves:LightCurves",
    "materials-synthesis": "metaenv.supervised.families.synthesis:MaterialsSynthesis",
    "molecule-objectives": "metaenv.supervised.families.molecules:MoleculeObjectives",
}
"""By name, "module:Class"."""


def family_class(name: str) -> type[Family]:
    """The class of this name in `FAMILIES`.

    Raises:
        ValueError: there is none; the message says which there are.
    """
    if name not in FAMILIES:
        raise ValueError(f"no family {name!r}.{nearest(name, FAMILIES)}")
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(import_module(module), attribute)


def make_family(name: str, **options: Any) -> Family:
    """A family by name, with its options: ``make_family("light-curves", view="sequence")``."""
    return family_class(name)(**options)
