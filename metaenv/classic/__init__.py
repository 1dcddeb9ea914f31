"""The classic tasks of the RL² paper: Bernoulli bandits, with exact solutions and the policies to beat."""
