"""Scripts that make the files in `data/`."""
