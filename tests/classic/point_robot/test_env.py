"""SparsePointRobot keeps PEARL's goals and rewards, its references hold, and its policies earn what they should."""

import gymnasium as gym
import numpy as np
import pytest

import metaenv  # noqa: F401 (registers)
from metaenv.classic.point_robot import baselines as point_robot_policies
from metaenv.classic.point_robot.env import (
    PointRobotDistribution,
    PointRobotTask,
    SparsePointRobotVectorEnv,
    goals_of,
    oracle_returns,
    random_returns,
)
from metaenv.errors import TaskError
from metaenv.evaluation import evaluate
from metaenv.policies import play_trials
from metaenv.tasks import TaskBatch
from metaenv.testing import check_distribution
from metaenv.trial import Trial, make_trials


def of_goal(x, y, actions, **settings):
    """Rewards, dense rewards and observations of one episode."""
    env = gym.make("metaenv:metaenv/SparsePointRobot-v0", **settings)
    env.reset(seed=0, options={"task": PointRobotTask(x, y)})
    steps = [env.step(np.array(a, np.float32)) for a in actions]
    return np.array([s[1] for s in steps]), np.array([s[4]["dense_reward"] for s in steps]), steps


def test_the_goals_and_their_order_are_those_of_pearl():
    # The three lines of the authors' environment, on NumPy's global legacy generator.
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(1337)  # noqa: NPY002
    angles = np.linspace(0, np.pi, 100)
    goals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.random.shuffle(goals)  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    np.testing.assert_array_equal(goals_of("train").matrix(), goals[:80])
    np.testing.assert_array_equal(goals_of("test").matrix(), goals[80:])


def test_reward_by_hand():
    """Goal (.95, 0): straight along x the distance after step t is |.95 - t / 10|; below .2, it pays from step 8 on."""
    reward, dense, steps = of_goal(0.95, 0.0, [(1, 0)] * 10 + [(0, 0)] * 9 + [(0, 1)])
    np.testing.assert_allclose(dense[:10], -np.abs(0.95 - np.arange(1, 11) / 10), atol=1e-12)
    expected = [0] * 7 + [0.85, 0.95] + [0.95] * 10 + [1 - np.hypot(0.05, 0.1)]
    np.testing.assert_allclose(reward, expected, atol=1e-9)
    assert [s[3] for s in steps] == [False] * 19 + [True] and not any(s[2] for s in steps)
    np.testing.assert_allclose(steps[-1][0], [1.0, 0.1], atol=1e-6)
    np.testing.assert_allclose([s[4]["score"] for s in steps], np.cumsum(reward))


def test_the_walk_reaches_the_corner_of_the_observation_space_and_no_further():
    _, _, steps = of_goal(0.0, 1.0, [(1, -1)] * 20)
    np.testing.assert_allclose(steps[-1][0], [2.0, -2.0], atol=1e-6)
    assert gym.spaces.Box(-2, 2, (2,), np.float32).contains(steps[-1][0])


def test_dense_rewards_of_trials_belong_to_their_own_step():
    """A trial starts the next episode within a step; the dense reward is still that of the move."""
    trials = make_trials("SparsePointRobot", 1, episodes=2)
    trials.reset(seed=0, options={"task": PointRobotTask(1.0, 0.0)})
    seen = [float(trials.step(np.array([[1.0, 0.0]]))[4]["dense_reward"][0]) for _ in range(25)]
    np.testing.assert_allclose(seen, -np.abs(1 - np.tile(np.arange(1, 21), 2)[:25] / 10), atol=1e-12)


def test_the_oracle_gets_what_was_computed_for_pearls_goals():
    """13.36 an episode, 11.9 to 14.8 by goal; the dense return of the same walk is -3.85."""
    goals = goals_of("train").joined(goals_of("test"))
    oracle = oracle_returns(goals)
    assert abs(oracle.mean() - 13.36) < 0.005
    assert abs(oracle.min() - 11.9) < 0.05 and abs(oracle.max() - 14.8) < 0.05
    env = SparsePointRobotVectorEnv(100, autoreset_mode="Disabled")
    place, _ = env.reset(seed=0, options={"tasks": goals})
    sparse, dense = np.zeros(100), np.zeros(100)
    for _ in range(20):
        place, reward, _, _, info = env.step(np.clip((goals.matrix() - place) * 10, -1, 1))
        sparse, dense = sparse + reward, dense + info["dense_reward"]
    np.testing.assert_allclose(sparse, oracle, atol=1e-4)
    assert abs(dense.mean() + 3.85) < 0.005


def test_the_random_reference_is_what_random_actions_earn():
    """The quadrature against 400,000 episodes: for goals of the family, and for some that random walks do reach."""
    rng = np.random.default_rng(0)
    places = np.cumsum(rng.uniform(-0.1, 0.1, (400_000, 20, 2)), axis=1)
    for x, y in [(1.0, 0.0), (np.sqrt(0.5), np.sqrt(0.5)), (0.5, 0.4), (0.2, -0.1)]:
        away = np.hypot(places[..., 0] - x, places[..., 1] - y)
        earned = np.where(away <= 0.2, 1 - away, 0).sum(axis=1)
        value = random_returns(TaskBatch.from_tasks([PointRobotTask(x, y)]))[0]
        error = 4 * earned.std() / np.sqrt(len(earned))
        beside_the_start = x < 0.4
        assert abs(value - earned.mean()) < error + 0.01 * value * beside_the_start


def test_splits_hold_what_they_say():
    angle = {s: np.arctan2(*goals_of(s).matrix().T[::-1]) for s in ("train", "validation", "test", "ood-lower")}
    assert [len(angle[s]) for s in angle] == [80, 20, 20, 100]
    assert all((angle[s] >= 0).all() for s in ("train", "validation", "test")) and (angle["ood-lower"] < 0).all()
    halves = angle["validation"] / (np.pi / 99) % 1
    np.testing.assert_allclose(halves, 0.5, atol=1e-6)
    members = PointRobotDistribution().members("train")
    assert members is not None and len(members) == 80
    assert set(PointRobotDistribution().sample(2000, "train", np.random.default_rng(0)).ids) == set(members.ids)
    assert PointRobotDistribution("uniform").members("train") is None
    check_distribution(PointRobotDistribution())
    check_distribution(PointRobotDistribution("uniform"))


def test_uniform_goals_fill_the_half_circle():
    goals = PointRobotDistribution("uniform").sample(2000, "train", np.random.default_rng(0))
    angles = np.arctan2(goals.goal_y, goals.goal_x)
    assert len(np.unique(angles)) == 2000
    counts, _ = np.histogram(angles, np.linspace(0, np.pi, 11))
    assert counts.min() > 150 and counts.sum() == 2000
    with pytest.raises(ValueError, match="Did you mean 'uniform'"):
        PointRobotDistribution("unifrom")  # type: ignore[arg-type]


def test_a_goal_that_the_context_could_not_hold_is_refused():
    with pytest.raises(TaskError, match="within"):
        PointRobotTask(1.5, 0.0)


def test_labelled_places_tell_the_goal():
    goals = goals_of("test")
    examples = PointRobotDistribution().labelled(goals, 50, np.random.default_rng(0))
    assert examples.x.shape == (20, 50, 2) and examples.y.shape == (20, 50)
    np.testing.assert_allclose(examples.y, -np.linalg.norm(examples.x - goals.matrix()[:, None], axis=-1))


def test_the_sweep_comes_within_the_radius_of_every_goal():
    plan = point_robot_policies.sweep_plan(point_robot_policies.SWEEP_RADIUS)
    for split in ("train", "validation", "test", "ood-lower"):
        away = np.linalg.norm(plan.reshape(-1, 1, 2) - goals_of(split).matrix(), axis=-1)
        assert away.min(axis=0).max() < 0.2, split
    whole = np.concatenate([np.zeros((len(plan), 1, 2)), plan], axis=1)
    assert np.abs(np.diff(whole, axis=1)).max() <= 0.1 + 1e-9  # no step is longer than the robot's
    # Two walks are enough for the half circle.
    away = np.linalg.norm(plan[:2].reshape(-1, 1, 2) - goals_of("train").matrix(), axis=-1)
    assert away.min(axis=0).max() < 0.2


def test_policies_on_unseen_goals():
    """Who adapts ends at the oracle's return, 13.38 for these goals; who does not earns the same every episode."""
    evaluation = evaluate(point_robot_policies.baselines(), "SparsePointRobot", "test")
    oracle = oracle_returns(goals_of("test")).mean()
    total = {row.name: row.trial_return.estimate for row in evaluation.rows}
    # The sweep needs two episodes, so at least 18 of 20 are the oracle's.
    assert 18 * oracle - 0.5 < total["arc sweep, then stay"] <= 20 * oracle
    assert total["best fixed walk"] < total["posterior sampling"] < total["arc sweep, then stay"]


def test_adapting_policies_finish_at_the_oracles_return_for_every_goal():
    for split in ("train", "ood-lower"):
        goals = goals_of(split)
        trials = make_trials("SparsePointRobot", len(goals))
        record = play_trials(point_robot_policies.ArcSweep(), trials, goals)
        np.testing.assert_allclose(record.scores[:, -1], oracle_returns(goals), atol=0.03)
        assert (record.scores <= oracle_returns(goals)[:, None] + 1e-9).all(), "nobody can beat the oracle"


def test_the_best_fixed_walk_beats_standing_anywhere():
    goals = goals_of("train")
    trials = make_trials("SparsePointRobot", 80, episodes=2)
    record = play_trials(point_robot_policies.FixedWalk(point_robot_policies.best_fixed_walk()), trials, goals)
    np.testing.assert_allclose(record.scores[:, 0], record.scores[:, 1])
    places = np.stack([np.cos(np.linspace(0, np.pi, 50)), np.sin(np.linspace(0, np.pi, 50))], axis=1)
    standing = []
    for place in places:
        targets = np.broadcast_to(place, (20, 2))
        standing.append(play_trials(point_robot_policies.FixedWalk(targets), trials, goals).scores.mean())
    assert record.scores.mean() >= max(standing)


@pytest.mark.parametrize("x, y", [(1.0, 0.0), (-0.6, 0.8)])
def test_the_picture_shows_the_goal_where_it_is(x, y):
    env = gym.make("metaenv:metaenv/SparsePointRobot-v0", render_mode="rgb_array", draw_hidden=True)
    env.reset(seed=0, options={"task": PointRobotTask(x, y)})
    rows, columns = np.nonzero((env.render()[:460, :460] == (0, 158, 115)).all(axis=2))
    np.testing.assert_allclose([(columns.mean() - 52) / 100 - 2, 2 - (rows.mean() - 54) / 100], [x, y], atol=0.02)


def test_the_text_remembers_where_the_robot_was_paid():
    env = Trial(gym.make("metaenv:metaenv/SparsePointRobot-v0", render_mode="ansi"), episodes=3)
    env.reset(seed=0, options={"task": PointRobotTask(0.95, 0.0)})
    for step in range(20):
        assert ("no reward on this task yet" in env.render()) is (step < 8)
        env.step(np.array([1.0, 0.0], np.float32))
    text = env.render()
    assert "best rewards on this task: 0.95 at (+" in text and "0.85 at (+0.80, +0.00)" in text
    assert "ends of earlier episodes: (+2.00, +0.00), return 3.60" in text
    env.reset()
    assert "earlier episodes" not in env.render() and "no reward on this task yet" in env.render()
