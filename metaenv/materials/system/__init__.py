"""Chemical systems: a few compounds made in one furnace, with named options whose effects are hidden."""
