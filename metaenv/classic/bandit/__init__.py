"""BernoulliBandit."""
