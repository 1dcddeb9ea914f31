"""The few-shot learners."""
