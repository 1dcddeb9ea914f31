"""Trials by hand: what arrives at a boundary, and what a trial pays."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from metaenv import ObserveTask, Trial, VectorObserveTask, VectorTrial, make_trials
from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.classic.bandit.tasks import BanditTask
from metaenv.registry import ENVIRONMENTS

ID = "metaenv:metaenv/BernoulliBandit-v0"
SURE = BanditTask((1.0, 0.0, 0.5, 0.5, 0.5))  # arm 0 always pays, arm 1 never


def test_observation_by_hand():
    trial = Trial(gym.make(ID), episodes=4)
    first, _ = trial.reset(options={"task": SURE})
    # observation, five arms, reward, boundary flag, progress
    assert first.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0]
    after, reward, done, _, info = trial.step(0)
    assert after.tolist() == [0, 1, 0, 0, 0, 0, 1, 1, 0.25]
    assert (reward, done, info["episode_return"], info["score"]) == (1.0, False, 1.0, 1.0)
    after, reward, done, _, _ = trial.step(1)
    assert after.tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0.5]
    assert (reward, done) == (0.0, False)
    trial.step(0)
    _, _, done, truncated, _ = trial.step(0)
    assert done and not truncated


def test_the_best_objective_pays_improvements():
    trial = VectorTrial(gym.make_vec(ID, num_envs=1), episodes=4, objective="best")
    trial.reset(options={"task": SURE})
    paid = [trial.step(np.array([arm]))[1][0] for arm in (1, 0, 0, 1)]
    assert paid == [0.0, 1.0, 0.0, 0.0]


def test_every_trial_pays_its_own_best_and_shows_what_each_episode_earned():
    trial, rng = (
        make_trials("MaterialsSynthesis", 3, episodes=2, variant="recipe", autoreset_mode="SameStep"),
        np.random.default_rng(0),
    )
    trial.reset(seed=0)
    for _ in range(3):  # trials, one after the other without a reset
        paid, returns = np.zeros(3), []
        for last in (False, True):
            observation, reward, over, _, info = trial.step(rng.uniform(-1, 1, (3, 5)))
            assert (over == last).all()
            report, seen = (info["final_info"], info["final_obs"]) if last else (info, observation)
            paid += reward
            returns.append(report["episode_return"])
            np.testing.assert_allclose(seen[:, -3], report["episode_return"], rtol=1e-6)
        np.testing.assert_allclose(paid, np.max(returns, axis=0), rtol=1e-9)


def test_first_episode_counts_whole_even_if_negative():
    from metaenv.trial_state import TrialState

    box = gym.spaces.Box(-1, 1, (1,))
    memory = TrialState(1, box, box, 3, "best", False)
    memory.begin(slice(None))
    paid = []
    for reward in (-0.5, -0.2, -0.9):
        result, over = memory.record(
            slice(None), np.zeros((1, 1)), np.array([reward]), np.array([True]), np.zeros((1, 1), np.float32)
        )
        memory.end_episodes(slice(None))
        paid.append(result[0])
    np.testing.assert_allclose(paid, [-0.5, 0.3, 0.0])
    assert over[0]


def test_scalar_and_vector_trials_agree():
    scalar = Trial(gym.make(ID), episodes=5)
    vector = VectorTrial(gym.make_vec(ID, num_envs=3, autoreset_mode="SameStep"), episodes=5)
    one, _ = scalar.reset(seed=12)
    many, _ = vector.reset(seed=10)
    rng = np.random.default_rng(0)
    for _ in range(25):
        np.testing.assert_array_equal(many[2], one)
        actions = rng.integers(5, size=3)
        many, rewards, ended, _, _ = vector.step(actions)
        one, reward, done, _, _ = scalar.step(int(actions[2]))
        assert (rewards[2], ended[2]) == (reward, done)
        if done:
            one, _ = scalar.reset()


def test_trial_keeps_its_task_and_then_changes_it():
    trial = make_trials("BernoulliBandit", 2, episodes=3, autoreset_mode="SameStep")
    _, info = trial.reset(seed=0)
    first = info["task_id"].copy()
    for step in range(3):
        *_, info = trial.step(np.array([0, 0]))
        assert (info["task_id"] == first).all() == (step < 2)
    assert (info["final_info"]["task_id"] == first).all()
    assert info["final_info"]["episode_end"].all() and not info["episode_end"].any()


def test_autoreset_of_the_trial_is_its_own():
    trial = VectorTrial(gym.make_vec(ID, num_envs=1), episodes=2, autoreset_mode=AutoresetMode.NEXT_STEP)
    trial.reset(seed=0)
    arm = np.array([0])
    trial.step(arm)
    last, _, terminated, _, _ = trial.step(arm)
    assert terminated[0] and last[0, -1] == 1.0
    fresh, reward, terminated, _, _ = trial.step(arm)
    assert not terminated[0] and reward[0] == 0 and not fresh.any()


def test_reveal_task_shows_the_context():
    env = ObserveTask(gym.make(ID))
    observation, _ = env.reset(options={"task": SURE})
    assert observation.tolist() == [0, 1, -1, 0, 0, 0]
    vector = VectorObserveTask(gym.make_vec(ID, num_envs=2))
    assert vector.reset(options={"task": SURE})[0].tolist() == [[0, 1, -1, 0, 0, 0]] * 2
    assert make_trials("BernoulliBandit", 2, observe_task=True).single_observation_space.shape == (14,)


def test_a_revealed_task_follows_a_partial_reset():
    env = VectorObserveTask(gym.make_vec(ID, num_envs=3, autoreset_mode=AutoresetMode.DISABLED))
    env.reset(seed=0)
    observation, _ = env.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(observation[:, 1:], env.distribution.task_vector(env.tasks))


def test_context_blind_trials_show_progress_only():
    trial = make_trials("BernoulliBandit", 1, episodes=4, hide_history=True)
    trial.reset(options={"task": SURE})
    observation, reward, *_ = trial.step(np.array([0]))
    assert reward[0] == 1
    assert observation[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "episodes to be a whole number of at least 1, got 0"),
        ({"objective": "bset"}, "Did you mean 'best'"),
    ],
)
def test_bad_trials_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorTrial(gym.make_vec(ID, num_envs=1), **arguments)


def test_a_foreign_vector_env_is_refused():
    with pytest.raises((TypeError, AttributeError)):
        VectorTrial(gym.make_vec("CartPole-v1", num_envs=2))


# ---------------------------------------------------------------- what a learner that replays steps is given


def test_transition_of_a_walk_by_hand():
    from metaenv.classic.point_robot.env import PointRobotTask

    trial = make_trials("SparsePointRobot", 2, episodes=2, autoreset_mode="SameStep")
    trial.keep_transition = True
    tasks = [PointRobotTask(0.0, 0.95), PointRobotTask(1.0, 0.0)]
    trial.reset(options={"tasks": tasks})
    up = np.array([[0.0, 1.0]] * 2, np.float32)
    for step in range(1, 41):
        seen, *_ = trial.step(up)
        after = trial.last_transition
        height = 0.1 * ((step - 1) % 20 + 1)
        away = np.array([abs(0.95 - height), np.hypot(1, height)])
        np.testing.assert_allclose(after.observation, [[0, height]] * 2, atol=1e-5)
        np.testing.assert_allclose(after.reward, np.where(away <= 0.2, 1 - away, 0), atol=1e-6)
        np.testing.assert_allclose(after.report["dense_reward"], -away, atol=1e-6)
        assert after.mask is None and not after.terminated.any()
        assert after.truncated.tolist() == [step % 20 == 0] * 2
        if step % 20 == 0:
            assert seen[:, :2].tolist() == [[0, 0]] * 2, "the next episode has begun, but the step is that before"
        else:
            np.testing.assert_array_equal(seen[:, :2], after.observation)


def test_transition_on_a_grid_by_hand():
    from metaenv.classic.gridnavi.env import GridNaviTask

    trial = make_trials("GridNavi", 1, episodes=2)
    trial.keep_transition = True
    trial.reset(options={"task": GridNaviTask(2, 0)})
    rewards = []
    for step, action in enumerate([2, 2, *[0] * 13]):  # right, right, and stay
        trial.step(np.array([action]))
        after = trial.last_transition
        column = min(step + 1, 2)
        np.testing.assert_allclose(after.observation, [[column / 2 - 1, -1]])
        assert after.mask.tolist() == [[1] * 5]
        assert after.truncated[0] == (step == 14) and not after.terminated[0]
        rewards.append(after.reward[0])
    np.testing.assert_allclose(rewards, [-0.1, *[1.0] * 14])
    np.testing.assert_allclose(trial.last_transition.report["score"], [-0.1 + 14])


def test_transition_of_an_experiment():
    trial = make_trials("MaterialsSynthesis", 3, episodes=2, variant="recipe", autoreset_mode="SameStep")
    trial.keep_transition = True
    trial.reset(seed=0)
    seen, paid, *_ = trial.step(np.zeros((3, 5), np.float32))
    after = trial.last_transition
    assert after.terminated.all() and not after.truncated.any() and after.mask is None
    assert (after.observation[:, 1] == 1).all() and (seen[:, 1] == 0).all(), "measured, and the next one not yet"
    np.testing.assert_array_equal(seen[:, 10:20], after.observation)
    np.testing.assert_allclose(after.reward, paid, rtol=1e-6)  # a first experiment is the best so far
    trial.step(np.full((3, 5), -1.0, np.float32))
    worse = trial.last_transition.reward
    np.testing.assert_allclose(worse, trial.trial_state.last_reward)
    assert (trial.last_transition.observation[:, 1] == 1).all(), "of the last step too, though the next trial has begun"


def test_transitions_are_kept_only_where_asked_for_and_change_nothing():
    plain, kept = (make_trials("SparsePointRobot", 2, episodes=2) for _ in range(2))
    kept.keep_transition = True
    plain.reset(seed=3), kept.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(45):
        actions = rng.uniform(-1, 1, (2, 2)).astype(np.float32)
        for a, b in zip(plain.step(actions)[:4], kept.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert plain.last_transition is None and kept.last_transition is not None


def test_no_transition_where_only_some_trials_were_played():
    trial = VectorTrial(gym.make_vec(ID, num_envs=2), episodes=1, autoreset_mode=AutoresetMode.NEXT_STEP)
    trial.keep_transition = True
    trial.reset(seed=0)
    trial.step(np.array([0, 0]))
    assert trial.last_transition is not None
    trial.step(np.array([0, 0]))  # both begin anew, and none is played
    trial.reset(seed=0, options={"reset_mask": np.array([True, True])})
    assert trial.step(np.array([0, 0]))[2].all()


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_what_a_step_hands_out_is_not_changed_by_later_steps(name):
    trial = make_trials(name, 3, episodes=3, autoreset_mode="SameStep")
    trial.keep_transition = True
    observation, info = trial.reset(seed=0)
    trial.action_space.seed(0)
    handed = {("reset", "observation"): observation, **{("reset", k): v for k, v in info.items()}}
    for step in range(30):
        observation, reward, terminated, truncated, info = trial.step(trial.action_space.sample())
        arrays = {"observation": observation, "reward": reward, "terminated": terminated, "truncated": truncated}
        after = trial.last_transition
        arrays |= {f"after {k}": v for k, v in vars(after).items() if isinstance(v, np.ndarray)}
        arrays |= {f"report {k}": v for k, v in after.report.items()}
        arrays |= {f"info {k}": v for k, v in info.items() if isinstance(v, np.ndarray)}
        arrays |= {f"final {k}": v for k, v in info.get("final_info", {}).items()}
        handed |= {(step, k): v for k, v in arrays.items()}
        if step == 0:
            copies = {k: v.copy() for k, v in handed.items()}
        copies |= {(step, k): v.copy() for k, v in arrays.items()}
    for key, array in handed.items():
        np.testing.assert_array_equal(array, copies[key], err_msg=str(key))


def test_a_trial_that_is_broken_off_leaves_nothing_behind():
    trial = make_trials("GridNavi", 2, episodes=2, autoreset_mode="Disabled")
    trial.reset(seed=0)
    for _ in range(7):  # in the middle of an episode
        trial.step(np.zeros(2, int))
    observation, info = trial.reset(options={"reset_mask": np.array([True, False])})
    assert (observation[0, -3:] == 0).all() and observation[1, -3] != 0
    assert not info["episode_end"].any()
    for _ in range(15):
        *_, info = trial.step(np.zeros(2, int))
        if info["episode_end"][1]:
            assert info["episode_return"].tolist() == pytest.approx([0, -1.5])
    assert info["episode_end"].tolist() == [True, False]
    assert info["episode_return"].tolist() == pytest.approx([-1.5, 0])


def test_the_privileged_reward_in_info_is_that_of_each_step():
    from metaenv.classic.point_robot.env import PointRobotTask

    trial = make_trials("SparsePointRobot", 1, episodes=3)
    trial.reset(options={"task": PointRobotTask(0.0, 1.0)})
    for step in range(1, 60):
        *_, info = trial.step(np.array([[0.0, 1.0]], np.float32))
        height = 0.1 * ((step - 1) % 20 + 1)
        np.testing.assert_allclose(info["dense_reward"], [-abs(1 - height)], atol=1e-6)


# A bandit pays 0 or 1; a move on GridNavi costs 0.1, and its goal pays 1; a molecule made again costs the penalty.
BOUNDS = [
    ("BernoulliBandit", {}, 0, 1),
    ("GridNavi", {}, -0.1, 1),
    ("MoleculeDesign", {"duplicate_penalty": 0.3}, -0.3, 1),
    ("LeadOptimization", {}, -1, 1),
    ("MoleculeDesign", {"noise_std": 0.1}, -np.inf, np.inf),
    ("TargetSelection", {}, -np.inf, np.inf),
]


@pytest.mark.parametrize(("name", "settings", "low", "high"), BOUNDS)
def test_the_previous_reward_has_the_bounds_of_the_reward(name, settings, low, high):
    trials = make_trials(name, 2, 3, **settings)
    column = trials.layout.column("previous reward")
    space = trials.single_observation_space
    assert (space.low[column], space.high[column]) == pytest.approx((low, high))


class Paying(BernoulliBanditVectorEnv):
    """Whose every pull is said to pay from 1 to 2."""

    reward_range = (1.0, 2.0)


def test_the_previous_reward_may_be_0_even_if_no_reward_is():
    trials = VectorTrial(Paying(2, autoreset_mode=AutoresetMode.DISABLED), 3)
    column = trials.layout.column("previous reward")
    assert trials.single_observation_space.low[column] == 0 and trials.single_observation_space.high[column] == 2
