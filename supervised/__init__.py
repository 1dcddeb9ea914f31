"""Few-shot supervised learners on the same tasks (in preparation)."""
