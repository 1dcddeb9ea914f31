"""The adaptation certificate: whether an environment needs memory, by agents that have it and agents that lack it."""
