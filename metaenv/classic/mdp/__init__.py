"""TabularMDP."""
