"""Controls of memory: what they show, and what they hide, exactly."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from toy_dose import TwoDrugsVectorEnv

from metaenv import make_trials
from metaenv.classic.bandit.tasks import BanditDistribution, BanditTask
from metaenv.controls import EpisodesAsTrials, FixedLists, LastEpisodes, OtherFeedback, Watched
from metaenv.policies import AgentPolicy, play_trials
from metaenv.trial import VectorTrial

PROGRESS = -1


class Sum:
    """An agent that adds up all that it was shown, and acts on the sum; it writes down what it was shown."""

    def __init__(self, n_actions):
        self.n_actions, self.shown, self.states = n_actions, [], []

    def predict(self, observation, state, episode_start, deterministic, action_masks=None):
        state = np.zeros((len(observation), 2)) if state is None else np.where(episode_start[:, None], 0, state)
        # Weights that no two histories share: which steps there were, and in what order, decides the sum.
        weights = 1 + np.arange(observation.shape[1]) ** 0.5
        state = np.stack([state[:, 0] * 1.7 + observation @ weights, state[:, 1] + 1], axis=1)
        if action_masks is not None:
            self.shown.append(observation.copy())
            self.states.append(state.copy())
        return (np.floor(state[:, 0] * 10) % self.n_actions).astype(int), state


def grid(n, **options):
    """Grids of which the episodes have 15 steps, and a trial four."""
    return make_trials("GridNavi", n, **options)


def play(env, actions, seed=1):
    """Observations after each of the actions (steps, n), the first one included."""
    env.use_autoreset_mode(AutoresetMode.SAME_STEP)
    return np.stack([env.reset(seed=seed)[0], *(env.step(a)[0] for a in actions)])


def lists(seed, steps, n, actions=5):
    return np.random.default_rng(seed).integers(0, actions, (steps, n))


def test_an_episode_begins_the_same_whatever_happened_before():
    shown = [play(grid(8, shows="episode"), lists(seed, 59, 8)) for seed in (1, 2)]
    assert (shown[0][1:15] != shown[1][1:15]).any(), "the two have gone different ways"
    for start in (15, 30, 45):
        np.testing.assert_array_equal(shown[0][start], shown[1][start])
        size = grid(1).trial_state.episode_size
        assert not shown[0][start][:, size:PROGRESS].any() and (shown[0][start][:, PROGRESS] == start / 60).all()
    whole = play(grid(8), lists(1, 59, 8))
    inside = [k for k in range(60) if k % 15 or k == 0]
    np.testing.assert_array_equal(shown[0][inside], whole[inside])
    assert (whole[[15, 30, 45], :, -2] == 1).all(), "without the option the boundary is shown"


def test_reports_of_an_episode_that_ended_are_hidden_too():
    make = {"episodes": 4}
    env = make_trials("MaterialsSynthesis", 4, **make)
    actions = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, *env.single_action_space.shape)).astype(np.float32)
    forgetful = [play(make_trials("MaterialsSynthesis", 4, shows="episode", **make), some) for some in actions]
    np.testing.assert_array_equal(*forgetful)
    report = env.trial_state.layout.slice("last report")
    assert play(env, actions[0])[1:, :, report].any() and not forgetful[0][:, :, report].any()


def test_the_blind_see_the_start_and_the_progress_only():
    for env, actions in (
        (grid(6, shows="start"), lists(1, 59, 6)),
        (make_trials("MaterialsSynthesis", 6, shows="start", variant="recipe"), np.zeros((9, 6, 5), np.float32)),
    ):
        shown = play(env, actions)
        assert (shown[:, :, :PROGRESS] == shown[0][:, :PROGRESS]).all()
        size = env.trial_state.episode_size
        assert not shown[:, :, size:PROGRESS].any()
        assert shown[-1, 0, PROGRESS] == pytest.approx((env.episodes - 1) / env.episodes)
    goals = play(make_trials("MaterialsSynthesis", 6, variant="recipe"), np.zeros((9, 6, 5), np.float32))
    np.testing.assert_array_equal(goals[0], shown[0])  # what is known before the first step is shown


def test_an_unknown_way_to_show_a_trial_is_refused():
    with pytest.raises(ValueError, match=r"a trial cannot show 'episodes'. Did you mean 'episode'"):
        make_trials("GridNavi", 2, shows="episodes")


def test_an_agent_that_forgets_begins_each_episode_with_nothing():
    agent = Sum(5)
    play_trials(AgentPolicy(agent, trial_options={"shows": "episode"}), grid(3, shows="episode"), tasks(3))
    counted = np.stack(agent.states)[:, 0, 1]
    assert counted.tolist() == [k % 15 + 1 for k in range(60)]


def tasks(n):
    return grid(1).distribution.frozen("test").tasks.take(np.arange(n))


@pytest.mark.parametrize("name", ["GridNavi", "FurnaceControl"])
def test_episodes_as_trials_are_the_episodes_of_the_trials(name):
    """The same seeds and actions give the same tasks, observations and rewards; only the ends are others."""
    env = make_trials(name, 5, episodes=3, shows="episode")
    whole, apart = env, EpisodesAsTrials(make_trials(name, 5, episodes=3, shows="episode"))
    for each in (whole, apart):
        each.use_autoreset_mode(AutoresetMode.SAME_STEP)
    first = [each.reset(seed=3)[0] for each in (whole, apart)]
    np.testing.assert_array_equal(*first)
    rng, ends, trials_ended = np.random.default_rng(0), 0, 0
    for _ in range(250):
        action = np.where(whole.action_masks(), rng.random((5, whole.single_action_space.n)), -1).argmax(axis=1)
        one, two = whole.step(action), apart.step(action)
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
        np.testing.assert_array_equal(one[4]["task_id"], two[4]["task_id"])
        ended = np.where(one[2], True, one[4]["episode_end"])
        np.testing.assert_array_equal(two[2], ended)
        np.testing.assert_array_equal(whole.action_masks(), apart.action_masks())
        ends, trials_ended = ends + ended.sum(), trials_ended + one[2].sum()
    assert ends > 2.5 * trials_ended > 5
    assert (apart.trial_length, whole.trial_length) in {(15, 45), (None, None)}


def test_a_new_reset_begins_new_trials():
    apart = EpisodesAsTrials(grid(4, shows="episode"))
    apart.use_autoreset_mode(AutoresetMode.SAME_STEP)
    apart.reset(seed=1)
    for action in lists(0, 20, 4):
        apart.step(action)
    np.testing.assert_array_equal(apart.reset(seed=9)[0], grid(4).reset(seed=9)[0])
    np.testing.assert_array_equal(apart.tasks.ids, apart.env.tasks.ids)


def test_the_last_episodes_are_replayed_from_zeros():
    env, agent = grid(3), Sum(5)
    record = play_trials(LastEpisodes(agent, 1), env, tasks(3))
    seen, states = np.stack(agent.shown), np.stack(agent.states)
    # How many steps are in the state: two whole episodes at most, the one before and the present one.
    assert states[:, 0, 1].tolist() == [k + 1 if k < 30 else 15 + k % 15 + 1 for k in range(60)]
    for step in (31, 44, 45, 59):
        start = step // 15 * 15 - 15
        expected = np.zeros((3, 2))
        for k in range(start, step + 1):
            shown = seen[k].copy()
            if k == start:
                shown[:, env.trial_state.episode_size : PROGRESS] = 0
            _, expected = Sum(5).predict(shown, expected, np.full(3, k == start), True)
        np.testing.assert_allclose(states[step], expected)
    everything = play_trials(AgentPolicy(Sum(5)), grid(3), tasks(3))
    np.testing.assert_array_equal(record.actions[:, :30], everything.actions[:, :30])
    assert (record.actions != everything.actions).any()
    enough = play_trials(LastEpisodes(Sum(5), 3), grid(3), tasks(3))
    np.testing.assert_array_equal(enough.actions, everything.actions)


def test_the_last_episodes_of_trials_that_go_out_of_step():
    """Episodes of a furnace run end when they like: each row is as if it were played alone."""
    frozen = make_trials("FurnaceControl", 1).distribution.frozen("test").tasks.take(np.arange(3))
    together = play_trials(LastEpisodes(Sum(5), 1), make_trials("FurnaceControl", 3, episodes=4), frozen)
    alone = play_trials(LastEpisodes(Sum(5), 1), make_trials("FurnaceControl", 1, episodes=4), frozen)
    np.testing.assert_array_equal(together.actions, alone.actions)
    lengths = (together.observations != 0).any(axis=2).sum(axis=1)
    assert len(set(lengths)) > 1, "otherwise they keep in step"


def test_feedback_is_that_of_another_task():
    """What is shown is the recorded trial of another task, but for what was known before the first step."""
    env, n = make_trials("MaterialsSynthesis", 4, episodes=5, variant="recipe"), 6
    frozen = env.distribution.frozen("test").tasks.take(np.arange(n))

    class Shown(Sum):
        def predict(self, observation, state, episode_start, deterministic, action_masks=None):
            self.shown.append(observation.copy())
            actions, state = super().predict(observation, state, episode_start, deterministic)
            return np.stack([np.cos(actions)] * 5, axis=1).astype(np.float32), state

    watched = Watched(Shown(7))
    record = play_trials(watched, env, frozen)
    assert watched.first.shape[0] == 8, "two chunks of four"
    other = OtherFeedback(watched, record)
    goal, progress = env.trial_state.layout.slice("goal size"), env.trial_state.layout.column("progress")
    assert other.known[goal].all() and not other.known[progress]
    assert not other.known[env.trial_state.layout.slice("last report")].all()
    watched.agent.shown.clear()
    play_trials(other, env, frozen)
    chunks = np.stack(watched.agent.shown).reshape(2, 5, 4, -1).transpose(0, 2, 1, 3).reshape(8, 5, -1)[:n]
    np.testing.assert_array_equal(chunks[:, 0], watched.first[:n])
    assert sorted(other.others) == list(range(n)) and (other.others != np.arange(n)).all()
    following = record.observations[other.others, :4]
    np.testing.assert_array_equal(chunks[:, 1:, ~other.known], following[:, :, ~other.known])
    own = np.repeat(watched.first[:n, None], 4, axis=1)
    np.testing.assert_array_equal(chunks[:, 1:, other.known], own[:, :, other.known])


def test_lists_are_played_one_after_the_other_whatever_comes_of_them():
    actions = np.array([[0, 1, 2], [2, 2, 1]])
    some = BanditDistribution(3).frozen("test").tasks.take(np.arange(5))
    every = some.take(np.tile(np.arange(5), 2))
    record = play_trials(FixedLists(actions, 5), make_trials("BernoulliBandit", 4, episodes=5, n_arms=3), every)
    assert record.actions[:5].tolist() == [[0, 1, 2, 2, 2]] * 5
    assert record.actions[5:].tolist() == [[2, 2, 1, 1, 1]] * 5


def test_where_the_list_is_forbidden_the_next_allowed_action_is_played():
    env = make_trials("TargetSelection", 3, episodes=1, split="train")
    observation, _ = env.reset(seed=3)
    policy = FixedLists(np.array([[22] * 6]), 3)
    policy.start(env, np.random.default_rng(0))
    played = []
    for _ in range(6):
        masks, action = env.action_masks(), policy.act(observation)
        for row, taken in zip(masks.tolist(), action.tolist(), strict=True):
            assert taken == next(a % 25 for a in range(22, 22 + 25) if row[a % 25])
        played.append(action)
        observation, *_ = env.step(action)
    assert (np.array(played) != 22).any(), "a target is exposed once a night, so that the list is forbidden at times"


def test_the_best_list_of_a_few_is_found_by_trying_all():
    from metaenv.baselines.fixed_list import best_fixed_list

    env = make_trials("BernoulliBandit", 16, episodes=4, n_arms=3)
    some = [BanditTask((0.1, 0.2, 0.9)), BanditTask((0.5, 0.1, 0.8))]
    batch = BanditDistribution(3).frozen("test").tasks
    tasks = type(batch).from_tasks(some)
    found = best_fixed_list(env, tasks, [np.zeros((1, 4), int)], 0)
    assert found.actions.tolist() == [2, 2, 2, 2] and found.found == "the best of all 81 lists"


def test_a_list_too_many_to_try_is_searched_for():
    """Two doses of two drugs, in milligrams: the best of three guesses, 1 less the squared distance in shares."""
    from metaenv.baselines.fixed_list import best_fixed_list

    env = VectorTrial(TwoDrugsVectorEnv(256), episodes=3)
    tasks = env.distribution.sample(32, "train", np.random.default_rng(0))
    played = np.array([[[60.0, -2.6]] * 3], np.float32)  # the middle of what training draws
    start, better = (best_fixed_list(env, tasks, [played], steps) for steps in (0, 60_000))
    fresh = env.distribution.sample(512, "train", np.random.default_rng(1))

    def missed(actions):
        found = play_trials(FixedLists(actions[None], 512), VectorTrial(TwoDrugsVectorEnv(256), episodes=3), fresh)
        return 1 - found.best_so_far()[:, -1].mean()

    # One guess, the middle, misses by 2 * 0.8 ** 2 / 12; three that are well placed miss by about half of that.
    assert missed(played[0]) == pytest.approx(2 * 0.8**2 / 12, abs=0.005)
    assert missed(better.actions) < missed(start.actions) < missed(played[0])
    assert missed(better.actions) < 0.06
    assert better.found.startswith("the best of 721 lists tried")
