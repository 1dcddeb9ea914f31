"""What pictures and texts of bandits and MDPs remember of a task."""

import re

import gymnasium as gym
import numpy as np

import metaenv  # noqa: F401 (registers)
from metaenv.canvas import Chart, Pixels, ticks
from metaenv.trial import Trial, make_trials


def test_pulls_of_a_bandit_are_counted_for_each_task():
    env = make_trials("BernoulliBandit", 3, episodes=40, render_mode="ansi", autoreset_mode="SameStep")
    env.reset(seed=0)
    arms, rng = np.zeros((3, 5, 2)), np.random.default_rng(0)
    for _ in range(39):
        action = rng.integers(5, size=3)
        _, reward, *_ = env.step(action)
        arms[range(3), action] += np.stack([np.ones(3), reward], axis=1)
    for row, text in enumerate(env.render()):
        assert f"39 pulls, reward {arms[row, :, 1].sum():.0f} in all" in text
        assert f"return {arms[row, :, 1].sum():.2f} so far (the sum" in text
        for arm, (pulls, paid) in enumerate(arms[row]):
            assert f"{arm} pulled {pulls:.0f} times, mean reward {paid / pulls:.2f}" in text
    env.step(np.zeros(3, int))
    assert all("5 arms, 0 pulls" in text and "return 0.00" in text for text in env.render()), "a new task begins"


def test_rewards_and_transitions_of_an_mdp_are_counted_for_each_task():
    env = Trial(gym.make("metaenv:metaenv/TabularMDP-v0", n_states=3, n_actions=2, render_mode="ansi"), episodes=5)
    observation, _ = env.reset(seed=1)
    paid, tried, rng = np.zeros((3, 2)), np.zeros((3, 2), int), np.random.default_rng(0)
    for _ in range(45):
        state, action = int(observation[:3].argmax()), int(rng.integers(2))
        observation, reward, *_ = env.step(action)
        paid[state, action] += reward
        tried[state, action] += 1
    text, now = " ".join(env.render().split()), int(observation[:3].argmax())
    for state in range(3):
        for action in range(2):
            label, n = f"{action}" if state == now else f"{state}, {action}:", tried[state, action]
            told = text.split(f"{label} tried {n} times, mean reward {paid[state, action] / n:.2f}, led to state ")[1]
            led = re.findall(r"(\d+)(?: \((\d+) times\))?", told.split(";")[0].split(" actions")[0])
            assert sum(int(times or 1) for _, times in led) == n
    env.reset()
    assert "mean reward" not in env.render()


def test_ticks_are_round_and_few():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0] and ticks(300, 1800) == [500, 1000, 1500]
    assert ticks(-0.003, 0.19) == [0, 0.05, 0.1, 0.15]


def test_charts_put_numbers_where_they_belong():
    canvas = Pixels(120, 120)
    chart = Chart(canvas, (10, 10, 100, 100), (0, 10), (-1, 1))
    chart.bar(5, 2, 0, 0.5, "#0000FF")
    rows, columns = np.nonzero((canvas.array() == (0, 0, 255)).all(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (50, 69, 35, 59)


def test_pictures_share_no_memory():
    first = Pixels(20, 20)
    first.box(0, 0, 20, 20, "#FF0000")
    red, second = first.array(), Pixels(20, 20)
    second.box(5, 5, 5, 5, "#000000")
    black = second.array()
    assert (red == (255, 0, 0)).all() and (black[0, 0] == 255).all() and (black[6, 6] == 0).all()
    background, other = Pixels(20, 20), Pixels(20, 20)
    background.box(0, 0, 10, 20, "#00FF00")
    above = Pixels(20, 20, background)
    above.box(0, 0, 5, 20, "#000000")
    assert (above.array()[0, [2, 7, 12]] == [(0, 0, 0), (0, 255, 0), (255, 255, 255)]).all()
    assert (background.array()[0, 2] == (0, 255, 0)).all() and (other.array() == 255).all()
