"""The baselines earn at the evaluation's table what they earn by themselves."""

import numpy as np

from metaenv.classic.bandit.exact import bayes_optimal_value
from metaenv.classic.bandit.policies import baselines
from metaenv.evaluation import evaluate


def test_total_rewards_on_the_frozen_bandits():
    """Values for 10 pulls of 5 arms, Monte Carlo of 4,000 bandits (+-.1) and the exact optimum."""
    seated = {name: p for name, p in baselines().items() if name in ("Thompson", "UCB1", "Gittins index")}
    evaluation = evaluate(seated, "BernoulliBandit", "test", 4000)
    total = {row.name: row.trial_return.estimate for row in evaluation.rows}
    assert abs(total["Thompson"] - 5.9) < 0.15
    assert abs(total["UCB1"] - 6.6) < 0.15
    assert abs(total["Gittins index"] - bayes_optimal_value(10, 5)) < 0.12
    assert total["Thompson"] < total["UCB1"]


def test_other_lengths_take_the_setting_tuned_nearest():
    evaluation = evaluate({"UCB1": baselines()["UCB1"]}, "BernoulliBandit", "test", 500, episodes=20)
    total = evaluation.row("UCB1").trial_return.estimate
    assert 10.0 < total < 20 * np.mean([0.83])  # between random play and always knowing the best of five arms
