"""GridNavi's rules by hand, its exact values against the literature's and a brute-force search, its policies."""

from functools import cache

import gymnasium as gym
import numpy as np
import pytest

import metaenv  # noqa: F401 (registers)
from metaenv.classic.gridnavi.baselines import baselines
from metaenv.classic.gridnavi.env import GridNaviDistribution, GridNaviTask, every_goal
from metaenv.classic.gridnavi.exact import (
    GridProblem,
    bayes_optimal_plan,
    best_blind_search,
    known_goal_returns,
    random_returns,
)
from metaenv.errors import TaskError
from metaenv.evaluation import evaluate
from metaenv.policies import RandomPolicy, play_trials
from metaenv.testing import check_distribution
from metaenv.trial import make_trials

STAY, UP, RIGHT, DOWN, LEFT = range(5)
VARIBAD = GridProblem(5, 15, 4)


def episode(goal, actions):
    env = gym.make("metaenv:metaenv/GridNavi-v0")
    env.reset(seed=0, options={"task": GridNaviTask(*goal)})
    return [env.step(a) for a in actions]


def brute_force_value(size, steps, episodes):
    """Expected return of the best policy: expectimax over beliefs, written without any idea of plans or regret."""
    goals = frozenset((x, y) for x in range(size) for y in range(size) if x > 1 or y > 1)
    moves = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))

    @cache
    def value(belief, place, left, episodes_left):
        """Summed over the goals of the belief, each of weight 1."""
        if left == 0:
            return value(belief, (0, 0), steps, episodes_left - 1) if episodes_left > 1 else 0.0
        best = -np.inf
        for dx, dy in moves:
            there = (min(max(place[0] + dx, 0), size - 1), min(max(place[1] + dy, 0), size - 1))
            missed = belief - {there}
            total = -0.1 * len(missed)
            if there in belief:
                total += 1.0 + value(frozenset([there]), there, left - 1, episodes_left)
            if missed:
                total += value(missed, there, left - 1, episodes_left)
            best = max(best, total)
        return best

    return value(goals, (0, 0), steps, episodes) / len(goals)


def test_rules_by_hand():
    """Goal (2, 1): up, right, right reaches it on the third step; walls and the goal itself hold the walker."""
    steps = episode((2, 1), [LEFT, DOWN, UP, RIGHT, RIGHT, STAY, UP, DOWN] + [STAY] * 7)
    rewards = [s[1] for s in steps]
    np.testing.assert_allclose(rewards, [-0.1] * 4 + [1, 1, -0.1, 1] + [1] * 7)
    places = [((s[0] + 1) * 2).tolist() for s in steps]
    assert places[:7] == [[0, 0], [0, 0], [0, 1], [1, 1], [2, 1], [2, 1], [2, 2]]
    assert [s[3] for s in steps] == [False] * 14 + [True] and not any(s[2] for s in steps)
    np.testing.assert_allclose([s[4]["score"] for s in steps], np.cumsum(rewards))
    assert all(s[4]["action_mask"].all() for s in steps)


def test_far_walls():
    steps = episode((4, 4), [UP] * 6 + [RIGHT] * 6 + [UP, RIGHT, STAY])
    np.testing.assert_allclose(steps[5][0], [-1, 1])
    np.testing.assert_allclose([s[1] for s in steps], [-0.1] * 9 + [1.0] * 6)


def test_the_known_goal_gets_11_0714():
    returns = known_goal_returns(VARIBAD)
    assert len(returns) == 21
    assert round(returns.mean(), 4) == 11.0714
    # The nearest goals are two steps away: -.1, then 14 times 1. The furthest is eight away.
    assert np.isclose(returns.max(), 13.9) and np.isclose(returns.min(), 8 * 1.0 - 0.7)


def test_random_play_is_what_random_actions_earn():
    goals = every_goal().repeated(2000)
    record = play_trials(RandomPolicy(), make_trials("GridNavi", len(goals), episodes=1), goals)
    earned = record.scores.reshape(21, 2000)
    error = earned.std(axis=1) / np.sqrt(2000)
    assert (np.abs(random_returns(VARIBAD) - earned.mean(axis=1)) < 4 * error).all()


def test_the_best_blind_search_gets_4_and_covers_14_goals():
    plan = best_blind_search(VARIBAD)
    assert round(plan.value(), 4) == 4.0
    assert (plan.arrivals() <= 15).sum() == 14


def test_the_bayes_optimal_trial_loses_nothing_after_its_first_episode():
    """No policy can beat 4 in a first episode and the known goal's 11.0714 later: reaching both is optimal."""
    plan = bayes_optimal_plan(VARIBAD)
    np.testing.assert_allclose(plan.episode_returns(), [4.0] + [known_goal_returns(VARIBAD).mean()] * 3)
    assert round(plan.value(), 4) == 37.2143
    # Late steps in all: (4 * 11.0714 - 37.2143) * 21 goals / 1.1.
    assert plan.regret == 135


@pytest.mark.parametrize(
    "size, steps, episodes",
    [(3, 2, 2), (3, 3, 1), (3, 4, 2), (3, 5, 3), (3, 6, 1), (4, 5, 1), (4, 5, 2), (4, 6, 2), (4, 8, 1), (5, 6, 1)],
)
def test_the_search_agrees_with_brute_force(size, steps, episodes):
    plan = bayes_optimal_plan(GridProblem(size, steps, episodes))
    assert np.isclose(plan.value(), brute_force_value(size, steps, episodes))
    spent = known_goal_returns(plan.problem).mean() * episodes - 1.1 * plan.regret / len(plan.problem.goals)
    assert np.isclose(plan.value(), spent)


def test_impossible_problems_are_refused():
    for sizes in [(2, 15, 4), (5, 0, 4), (5, 15, 0), (8, 15, 4)]:
        with pytest.raises(ValueError, match="expected size from 3 to 7"):
            GridProblem(*sizes)


def test_the_family_is_closed_and_every_split_plays_all_of_it():
    distribution = GridNaviDistribution()
    check_distribution(distribution)
    for split in distribution.splits:
        assert {(t.goal_x, t.goal_y) for t in distribution.frozen(split).tasks.tasks()} == set(VARIBAD.goals)
        sampled = distribution.sample(2000, split, np.random.default_rng(0))
        _, counts = np.unique(sampled.ids, return_counts=True)
        assert len(counts) == 21 and counts.min() > 60
        members = distribution.members(split)
        assert members is not None and set(members.ids) == set(sampled.ids)


def test_a_closed_family_with_a_member_missing_is_caught():
    class Lacking(GridNaviDistribution):
        def frozen(self, split):
            whole = super().frozen(split)
            if split != "test":
                return whole
            fewer = whole.tasks.take(np.arange(20))
            return type(whole)(split, fewer, self.reference(fewer), fewer.sha256)

    with pytest.raises(AssertionError):
        check_distribution(Lacking())


def test_goals_beside_the_start_are_refused():
    for goal in [(0, 0), (1, 1), (5, 0), (-1, 3)]:
        with pytest.raises(TaskError, match="outside the start"):
            GridNaviTask(*goal)


def test_policies_earn_their_exact_values():
    """All 21 goals are played, so the two deterministic policies have no sampling error."""
    evaluation = evaluate(baselines(), "GridNavi", "test")
    total = {row.name: row.trial_return.estimate for row in evaluation.rows}
    assert np.isclose(total["Bayes-optimal"], 4 + 3 * 11.0714, atol=1e-3)
    assert np.isclose(total["best blind search"], 16.0)


def test_posterior_sampling_lies_between_forgetting_and_the_optimum():
    goals = every_goal().repeated(50)
    record = play_trials(baselines()["posterior sampling"], make_trials("GridNavi", len(goals)), goals)
    means = record.scores.mean(axis=0)
    assert means[0] < 4.0 and (np.diff(means) > 0).all() and means[-1] <= 11.0714 + 1e-4
    assert 16 < means.sum() < 37.2143


def test_labelled_cells_are_paid_as_steps_are():
    examples = GridNaviDistribution().labelled(every_goal(), 400, np.random.default_rng(0))
    goals = np.array(VARIBAD.goals) / 2 - 1
    on_goal = (examples.x == goals[:, None]).all(axis=-1)
    np.testing.assert_array_equal(examples.y, np.where(on_goal, 1.0, -0.1))
    assert on_goal.any(axis=1).all()


def test_renderings_show_goal_walker_and_path():
    env = gym.make("metaenv:metaenv/GridNavi-v0", render_mode="ansi")
    env.reset(seed=0, options={"task": GridNaviTask(4, 3)})
    for action in (UP, RIGHT):
        env.step(action)
    lines = env.render().split("\n")
    assert lines[:7] == [
        "step 2 of 15, return of the episode -0.2", "row 4  . . . . .", "row 3  . . . . .", "row 2  . . . . .",
        "row 1  o @ . . .", "row 0  o . . . .", "column 0 1 2 3 4",
    ]  # fmt: skip
    assert "the goal: not found yet" in env.render()
    for action in (RIGHT, RIGHT, RIGHT, UP, UP, UP):
        env.step(action)
    assert "row 3  . . . . G" in env.render() and "the goal: column 4, row 3" in env.render()


def test_the_picture_shows_the_goal_when_it_is_found_or_asked_for():
    for hidden in (False, True):
        env = gym.make("metaenv:metaenv/GridNavi-v0", render_mode="rgb_array", draw_hidden=hidden)
        env.reset(seed=0, options={"task": GridNaviTask(4, 2)})
        goals = []
        for action in (RIGHT, RIGHT, RIGHT, RIGHT, UP, UP):
            goals.append(goal_in(env.render()))
            env.step(action)
        assert goals == [(4, 2) if hidden else None] * 6 and goal_in(env.render()) == (4, 2)


def goal_in(frame):
    """The cell of a picture that is green."""
    rows, columns = np.nonzero((frame[:420, :410] == (0, 158, 115)).all(axis=2))
    return ((columns.mean() - 46) // 72, 4 - (rows.mean() - 48) // 72) if len(rows) else None
