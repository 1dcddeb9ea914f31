"""Baselines that every few-shot learner is compared with."""
