"""Families of few-shot problems from the sciences, each made offline by a generator of its own, or read from files.

from metaenv.supervised.families import make_family

cells = make_family("blood-cells")
train, test = cells.episodes("train", n_shot=5), cells.episodes("test", n_shot=5, seed=1)
"""

from __future__ import annotations

from metaenv.supervised.families.registry import FAMILIES, FILE_FAMILIES, family_class, make_family

__all__ = ["FAMILIES", "FILE_FAMILIES", "family_class", "make_family"]
