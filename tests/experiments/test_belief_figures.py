"""Pictures of beliefs: what is drawn is what the agent's own memory holds, and maps lie the right way round."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import BeliefConfig, PEARLConfig, PEARLNetwork
from metaenv.agents.rl2_config import RL2Config
from metaenv.classic.point_robot.env import GOAL_RADIUS, STEP
from metaenv.evaluation import first_tasks
from metaenv.experiments.belief_figures import belief_figure, write_pictures
from metaenv.experiments.beliefs import beliefs, expected_rewards, held_out_queries, record_trials
from metaenv.experiments.evaluate import evaluate_run
from metaenv.experiments.reward_maps import CELLS, reward_map_figure
from metaenv.policies import AgentPolicy
from metaenv.runs.training import TrainConfig, train
from metaenv.trial import make_trials

TINY = PEARLConfig(
    n_tasks=6, belief=BeliefConfig(latent_size=3, encoder_sizes=(16,)), network=PEARLNetwork((16,)), gradient_steps=2
)


def trials(env_id, n, **settings):
    env = make_trials(env_id, n, split="test", **settings)
    return env, first_tasks(env.distribution.frozen("test"), n).tasks


def untrained(env, kind=PEARL):
    return kind(env, TINY, seed=0)


class Zero(PEARL):
    """Expects no reward anywhere."""

    def predict_reward(self, observation, action, latent):
        return np.zeros(len(observation), np.float32)


class Eastern(PEARL):
    """Expects the more reward the further east."""

    def predict_reward(self, observation, action, latent):
        return np.asarray(observation)[:, 0]


class FirstLatent(PEARL):
    """Expects the first latent coordinate, everywhere."""

    def predict_reward(self, observation, action, latent):
        return np.broadcast_to(latent, (len(observation), np.shape(latent)[-1]))[:, 0]


@pytest.mark.parametrize("env_id, length", [("GridNavi", 60), ("MaterialsSynthesis", 12), ("BernoulliBandit", 10)])
def test_a_trace_holds_what_the_agent_remembers(env_id, length):
    env, tasks = trials(env_id, 4)
    agent = untrained(env)
    trace = record_trials(AgentPolicy(agent), env, tasks)
    assert trace.observations.shape == (4, length + 1, env.single_observation_space.shape[0])
    assert (trace.ends == length // env.episodes * np.arange(1, env.episodes + 1)).all()
    sums = np.add.reduceat(trace.rewards, [0, *trace.ends[0, :-1]], axis=1)
    np.testing.assert_allclose(sums, trace.returns, atol=1e-5)
    state = None
    for observation in trace.observations.swapaxes(0, 1):
        _, state = agent.predict(observation, state)
    mean, std = beliefs(agent, trace, np.full((4, 1), length))
    d = agent.dims.episode_size
    precision, weighted = 1 + state[:, d : d + 3], state[:, d + 3 : d + 6]
    np.testing.assert_allclose(std[:, 0], precision**-0.5, rtol=1e-4)
    np.testing.assert_allclose(mean[:, 0], weighted / precision, rtol=1e-3, atol=1e-5)


def test_expected_rewards_average_over_the_belief():
    env, _ = trials("GridNavi", 2)
    place, stay = np.zeros((5, 2), np.float32), np.zeros(5, np.int64)
    mean, std = np.array([0.4, 3, -3], np.float32), np.array([0.5, 1, 1], np.float32)
    agent = untrained(env)
    rng = np.random.default_rng(0)
    sure = expected_rewards(agent, place, stay, mean, 0 * std, rng)
    np.testing.assert_allclose(sure, agent.predict_reward(place, stay, mean), rtol=1e-5)
    # 4,000 draws of standard deviation 0.5 have a standard error of 0.008.
    found = expected_rewards(untrained(env, FirstLatent), place, stay, mean, std, rng, samples=4000)
    assert found == pytest.approx(0.4, abs=0.03)
    assert np.ptp(found) < 1e-6, "every place is asked with the same latent tasks"


def test_held_out_rewards_are_those_of_the_environment():
    env, tasks = trials("SparsePointRobot", 6)
    queries = held_out_queries(untrained(env), env, tasks, seed=3, size=100)
    assert queries.rewards.shape == (6, 100)
    after = queries.observations + STEP * queries.actions
    away = np.linalg.norm(after - tasks.matrix()[:, None], axis=2)
    np.testing.assert_allclose(queries.rewards, np.where(away <= GOAL_RADIUS, 1 - away, 0), atol=1e-5)
    assert (queries.rewards > 0).any(axis=1).all(), "policies who find the goal are among them"


@pytest.mark.parametrize(
    "env_id, points, label", [("GridNavi", 61, "steps played"), ("BernoulliBandit", 11, "episodes played")]
)
def test_belief_figure_shows_widths_and_errors(env_id, points, label):
    env, tasks = trials(env_id, 4)
    agent = untrained(env, Zero)
    left, right = belief_figure(agent, env, tasks).axes
    assert left.get_xlabel() == right.get_xlabel() == label
    widths = [line.get_ydata() for line in left.lines if line.get_label().startswith("$")]
    assert len(widths) == TINY.belief.latent_size
    for width in widths:
        assert len(width) == points
        assert width[0] == pytest.approx(1), "the prior's"
        assert (np.diff(width) <= 1e-6).all(), "evidence sharpens a belief"
        assert width[-1] < 0.99
    queries = held_out_queries(untrained(env, Zero), env, tasks, seed=0)
    error = next(line.get_ydata() for line in right.lines if line.get_label().startswith("predicted"))
    # The queries above come from an agent that has drawn other actions: same law, not the same numbers.
    assert error == pytest.approx(np.sqrt(np.mean(queries.rewards**2)), rel=0.3)
    assert np.ptp(error) < 1e-9, "no belief changes what this agent expects"


@pytest.mark.parametrize("env_id, panels, side", [("SparsePointRobot", 4, CELLS), ("GridNavi", 4, 5)])
def test_maps_lie_the_right_way_round(env_id, panels, side):
    env, tasks = trials(env_id, 4)
    figure = reward_map_figure(untrained(env, Eastern), env, tasks)
    maps = [axes for axes in figure.axes if axes.images and axes.get_title()]
    assert len(maps) == panels
    for axes in maps:
        (image,) = axes.images
        values = np.asarray(image.get_array())
        assert image.origin == "lower"
        assert values.shape == (side, side)
        assert (np.diff(values, axis=1) > 0).all(), "east is right"
        assert (np.ptp(values, axis=0) < 1e-6).all()
        left, right, bottom, _ = image.get_extent()
        cell = (right - left) / side
        if env_id == "GridNavi":  # centres of cells are at their observations: -1, -0.5, ... 1
            assert left + cell / 2 == pytest.approx(-1)
            assert bottom + cell / 2 == pytest.approx(-1)
    assert not maps[0].lines, "nothing is walked before the trial"
    assert maps[1].lines


def test_the_goal_and_the_path_are_the_true_ones():
    env, tasks = trials("SparsePointRobot", 1)
    agent = untrained(env)
    figure = reward_map_figure(agent, env, tasks)
    (goal,) = figure.axes[0].patches
    np.testing.assert_allclose(goal.center, tasks.matrix()[0])
    assert goal.radius == GOAL_RADIUS
    path = np.stack(figure.axes[1].lines[0].get_data(), axis=1)
    assert path.shape == (21, 2)
    np.testing.assert_array_equal(path[0], 0)
    assert (abs(np.diff(path, axis=0)) <= STEP + 1e-6).all()
    env, tasks = trials("GridNavi", 1)
    figure = reward_map_figure(untrained(env), env, tasks)
    x, y = figure.axes[0].patches[0].get_center()
    assert ((x + 1) * 2, (y + 1) * 2) == (tasks.goal_x[0], tasks.goal_y[0])
    path = np.stack(figure.axes[1].lines[0].get_data(), axis=1)
    assert path.shape == (16, 2)
    assert (abs(np.diff(path, axis=0)).sum(axis=1) <= 0.5).all(), "one cell a step"


def test_no_map_of_a_bandit_and_no_trace_of_blind_trials():
    env, tasks = trials("BernoulliBandit", 3)
    with pytest.raises(ValueError, match="SparsePointRobot or GridNavi"):
        reward_map_figure(untrained(env), env, tasks)
    blind = make_trials("GridNavi", 3, hide_history=True, split="test")
    tasks = blind.distribution.frozen("test").tasks.take(np.arange(3))
    with pytest.raises(ValueError, match="hide_history=True"):
        record_trials(AgentPolicy(untrained(blind)), blind, tasks)


def test_evaluating_a_run_of_pearl_draws_its_beliefs(tmp_path, capsys):
    pearl = TrainConfig(env="GridNavi-v0", steps=360, num_envs=6, agent=TINY)
    agent = train(pearl, tmp_path / "pearl", progress_bar=False)
    evaluate_run(tmp_path / "pearl", tasks=3)
    assert "evaluation-test.png, belief.png, reward_map.png" in capsys.readouterr().out
    for name in ("belief.png", "reward_map.png"):
        assert (tmp_path / "pearl" / name).read_bytes().startswith(b"\x89PNG")
    rl2 = TrainConfig(env="GridNavi-v0", steps=480, num_envs=8, agent=RL2Config(n_minibatches=2))
    train(rl2, tmp_path / "rl2", progress_bar=False)
    evaluate_run(tmp_path / "rl2", tasks=3)
    assert not (tmp_path / "rl2" / "belief.png").exists()
    bandit = TrainConfig(env="BernoulliBandit-v0", num_envs=6, agent=TINY, settings={"n_arms": "3"})
    made = PEARL(bandit.make_env(), TINY, seed=0)
    assert [p.name for p in write_pictures(bandit, made, tmp_path / "bandit", tasks=2)] == ["belief.png"]
    assert agent.num_timesteps >= 360
