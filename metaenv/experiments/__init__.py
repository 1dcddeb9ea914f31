"""The published tables: which runs, which policies, which lists. One short file each."""
