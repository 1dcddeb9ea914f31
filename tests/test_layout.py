"""A layout says where things stand in an observation, once for all who read it."""

import numpy as np
import pytest

from metaenv.layout import Block, ObservationLayout

WEATHER = ObservationLayout(
    [
        Block("temperature", "outside", -50, 60, unit="degrees C"),
        Block("sky", "one-hot: clear, cloudy, rain", width=3),
        Block("wind", "east and north", -30, 30, 2, "m/s"),
    ]
)


def test_blocks_follow_each_other():
    assert WEATHER.width == 6 and WEATHER.names == ("temperature", "sky", "wind")
    assert WEATHER.slice("sky") == slice(1, 4) and WEATHER.column("wind") == 4
    np.testing.assert_array_equal(WEATHER.columns("wind", "temperature"), [4, 5, 0])
    box = WEATHER.box()
    np.testing.assert_array_equal(box.low, np.float32([-50, 0, 0, 0, -30, -30]))
    np.testing.assert_array_equal(box.high, np.float32([60, 1, 1, 1, 30, 30]))
    assert WEATHER.joined(ObservationLayout([Block("hour", "of the day", 0, 24)])).column("hour") == 6


def test_the_table_tells_columns_meanings_and_ranges():
    lines = WEATHER.table().splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["columns", "name", "meaning", "range"]
    assert set(lines[1]) == {"|", "-", " "}
    assert [c.strip() for c in lines[2].split("|")[1:-1]] == ["0", "temperature", "outside", "[-50, 60] degrees C"]
    assert [c.strip() for c in lines[4].split("|")[1:-1]] == ["4-5", "wind", "east and north", "[-30, 30] m/s"]


def test_mistakes_are_answered():
    with pytest.raises(KeyError, match=r"no block 'winds'.*Did you mean 'wind'"):
        WEATHER.slice("winds")
    with pytest.raises(ValueError, match="'sky' twice"):
        ObservationLayout([Block("sky", "above"), Block("sky", "again")])
