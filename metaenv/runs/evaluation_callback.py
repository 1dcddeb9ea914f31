"""Evaluation in the course of training: the score on held-out tasks is logged, and the best policy is kept."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from metaenv.agents.base import Agent
from metaenv.evaluation import recommended, trial_returns
from metaenv.policies import AgentPolicy, play_trials
from metaenv.tasks import FrozenTasks
from metaenv.trial import VectorTrial


class EvaluationCallback(BaseCallback):
    """Lets an agent play frozen tasks at the beginning of iterations and at the end of training.

    Training is the same with and without it: the agent acts here with draws from a stream of its own. It takes its most
    likely actions, as in `metaenv evaluate`. A policy that is chosen by these scores must be judged on other tasks.

    Logged are means over the tasks: ``eval/first_episode`` and ``eval/last_episode``, the true score after the first
    and after the last episode, as `metaenv.evaluation` counts it; ``eval/score``, by which the best policy is chosen:
    that after the last episode where the trial seeks the best episode, the mean over all episodes where it adds up;
    ``eval/trial_return``; and ``eval/timesteps``, the steps of training until then.

    Args:
        trials: what to play on, a `VectorTrial` that is not the one trained on.
        tasks: frozen tasks, of the split "validation" for example.
        every: steps of training, over all environments, between two evaluations.
        best: file for the policy with the highest score so far; None keeps none.
        seed: of the trials' noise and of the agent's draws, the same in each evaluation.
        best_score: the highest score so far, where a training goes on.
        last: the steps of training at the last evaluation, likewise.
    """

    def __init__(
        self,
        trials: VectorTrial,
        tasks: FrozenTasks,
        every: int,
        best: Path | None = None,
        seed: int = 0,
        best_score: float = -np.inf,
        last: int = 0,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected at least 1 step between evaluations, got {every}.")
        self.trials, self.tasks, self.every, self.best, self.seed = trials, tasks, every, best, seed
        self.best_score, self.last = best_score, last

    @property
    def agent(self) -> Agent:
        """The agent that is trained."""
        return cast(Agent, self.model)

    def _on_rollout_start(self) -> None:
        if self.agent.num_timesteps >= self.last + self.every:
            self._evaluate()

    def _on_training_end(self) -> None:
        if self.agent.num_timesteps > self.last:
            self._evaluate()
            self.logger.record("time/total_timesteps", self.agent.num_timesteps, exclude="tensorboard")
            self.logger.dump(self.agent.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _evaluate(self) -> None:
        objective = self.trials.trial_state.objective
        record = play_trials(AgentPolicy(self.agent), self.trials, self.tasks.tasks, self.seed)
        scores = recommended(record, range(1, self.trials.episodes + 1), objective).mean(axis=0)
        score = float(scores[-1] if objective == "best" else scores.mean())
        self.last = self.agent.num_timesteps
        found = {
            "score": score,
            "first_episode": scores[0],
            "last_episode": scores[-1],
            "trial_return": trial_returns(record, objective).mean(),
            "timesteps": self.last,
        }
        for name, value in found.items():
            self.logger.record(f"eval/{name}", float(value))
        if score > self.best_score:
            self.best_score = score
            if self.best is not None:
                self.agent.save(self.best)
