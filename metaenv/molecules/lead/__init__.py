"""LeadOptimization: the environment, its tasks and its baselines."""
