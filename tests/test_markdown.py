"""Tables in Markdown."""

import pytest

from metaenv.markdown import interval_cell, table
from metaenv.stats import Interval


def test_a_table_with_its_alignment():
    lines = table(["policy", "score", "interval"], [["random", "0.1", "[0, 1]"]], text=(0, 2))
    assert lines == ["| policy | score | interval |", "| --- | ---: | --- |", "| random | 0.1 | [0, 1] |"]


def test_a_row_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match=r"Expected 2 cells in each row of the table, got 1: \['random'\]"):
        table(["policy", "score"], [["random"]])


def test_numbers_with_their_intervals():
    assert interval_cell(Interval(0.51234, 0.5, -0.25)) == "0.512 [0.500, -0.250]"
    assert interval_cell(Interval(1.25, -0.5, 2.0), digits=1, sign=True) == "+1.2 [-0.5, +2.0]"
