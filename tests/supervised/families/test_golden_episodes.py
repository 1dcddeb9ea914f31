"""What a seed has drawn from a family once, it draws for ever: sums over episodes, beside those that are kept here.

After a change that is meant, write them anew: python tests/supervised/families/test_golden_episodes.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metaenv.supervised.families import FAMILIES, make_family

FILE = Path(__file__).with_name("golden_episodes.json")
CASES = [(name, kind) for name in sorted(FAMILIES) for kind in make_family(name).kinds]


def sums(name: str, kind: str) -> list[float]:
    """Of four episodes: each set of samples and labels, weighted so that their order counts."""
    batch = make_family(name).episodes("train", n_shot=3, n_query=4, kind=kind, seed=11).draw(4)
    parts = (batch.support_x, batch.query_x, batch.support_y, batch.query_y)
    numbers = [np.asarray(part, np.float64).ravel() for part in parts]
    return [float(values @ np.cos(np.arange(len(values)))) for values in numbers] + [float(np.abs(numbers[0]).sum())]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_seed_draws_what_it_has_always_drawn(name: str, kind: str):
    expected = json.loads(FILE.read_text(encoding="utf-8"))[f"{name} {kind}"]
    found = sums(name, kind)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7 * expected[-1])


def test_every_family_is_kept():
    assert set(json.loads(FILE.read_text(encoding="utf-8"))) == {f"{name} {kind}" for name, kind in CASES}


if __name__ == "__main__":
    FILE.write_text(json.dumps({f"{n} {k}": sums(n, k) for n, k in CASES}, indent=1) + "\n", encoding="utf-8")
