"""Plans of a night for one's own targets."""
