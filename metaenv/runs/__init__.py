"""A training run and its folder: settings, checkpoints, resumption, local processes or Ray."""
