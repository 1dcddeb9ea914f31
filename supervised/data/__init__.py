"""Episodes and data sets: where few-shot learners get their samples."""
