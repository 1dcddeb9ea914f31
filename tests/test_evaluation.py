"""Evaluation by hand, and its files."""

import json

import numpy as np
import pytest

from metaenv import make_trials
from metaenv.classic.bandit.tasks import BanditDistribution, BanditTask
from metaenv.evaluation import Evaluation, evaluate, first_tasks, make_row, oracle_row
from metaenv.policies import AgentPolicy, RandomPolicy, TrialRecord, play_trials
from metaenv.tasks import FrozenTasks, Reference, TaskBatch


class Always:
    """Pulls one arm for ever."""

    def __init__(self, arm):
        self.arm = arm

    def start(self, env, rng):
        self.n = env.num_envs

    def act(self, observation):
        return np.full(self.n, self.arm)

    def observe(self, action, reward):
        pass


def record(readings, scores):
    readings, scores = np.array(readings), np.array(scores)
    return TrialRecord(readings, scores, np.zeros((*readings.shape, 1)), np.zeros((*readings.shape, 1), np.float32))


def test_best_so_far_recommends_by_reading_and_scores_by_truth():
    played = record([[0.2, 0.9, 0.5, 0.9]], [[0.3, 0.1, 0.6, 0.8]])
    # The reading of experiment 2 was best, though its true score was not; a tie keeps the earlier one.
    assert played.best_so_far().tolist() == [[0.3, 0.1, 0.1, 0.1]]


def test_scores_of_a_fixed_arm_are_its_probabilities():
    frozen = BanditDistribution(5).frozen("validation")
    evaluation = evaluate({"arm 3": Always(3)}, "BernoulliBandit", "validation", 50, shots=(1, 10))
    row = evaluation.row("arm 3")
    p = frozen.tasks.probabilities[:50]
    np.testing.assert_allclose(row.values[0], np.stack([p[:, 3], p[:, 3]], axis=1))
    assert row.fraction[0].estimate == pytest.approx(p[:, 3].mean() / p.max(axis=1).mean())
    expected = (p[:, 3].mean() - p.mean()) / (p.max(axis=1).mean() - p.mean())
    assert row.normalised[0].estimate == pytest.approx(expected)


def test_noise_is_the_same_for_all_policies_and_the_padding_is_not_counted():
    tasks = BanditDistribution(5).frozen("validation").tasks.take(np.arange(7))
    env = make_trials("BernoulliBandit", 4)
    one = play_trials(Always(0), env, tasks, seed=3)
    two = play_trials(Always(0), make_trials("BernoulliBandit", 7), tasks, seed=3)
    assert one.readings.shape == (7, 10)
    np.testing.assert_array_equal(one.readings, two.readings)
    assert (play_trials(Always(0), env, tasks, seed=4).readings != one.readings).any()


def test_trials_of_different_lengths_are_padded_with_zeros():
    """A furnace run stopped as soon as it may be, or never: in chunks of one, lengths differ."""

    class HeatThenMaybeStop:
        def start(self, env, rng):
            self.env, self.stops = env, env.distribution.task_vector(env.tasks)[0, 0] > 0

        def act(self, observation):
            return np.array([4 if self.stops and self.env.action_masks()[0, 4] else 0])

        def observe(self, action, reward):
            pass

    env = make_trials("FurnaceControl", 1, episodes=2)
    tasks = env.distribution.frozen("validation").tasks.take(np.arange(6))
    record = play_trials(HeatThenMaybeStop(), env, tasks)
    played = (np.abs(record.observations).sum(axis=2) > 0).sum(axis=1)
    assert set(played) == {10, 96} and record.actions.shape == (6, 96)
    assert (record.actions[played == 10, 10:] == 0).all()


def test_evaluations_of_different_seeds_share_no_noise(monkeypatch):
    env, seen = make_trials("BernoulliBandit", 4, episodes=2), []
    reset = type(env).reset

    def watched_reset(self, *, seed=None, options=None):
        seen.append(seed)
        return reset(self, seed=seed, options=options)

    monkeypatch.setattr(type(env), "reset", watched_reset)
    tasks = BanditDistribution(5).frozen("validation").tasks.take(np.arange(8))
    for seed in (0, 1):
        play_trials(RandomPolicy(), env, tasks, seed)
    first, second = ({*seen[i], *seen[i + 1]} for i in (0, 2))  # eight tasks are two chunks of four
    assert len(first) == len(second) == 8 and not first & second


def test_random_play_matches_the_reference():
    evaluation = evaluate({"random": RandomPolicy()}, "BernoulliBandit", "test", 2000)
    low, high = evaluation.row("random").normalised[-1][1:]
    assert low < 0 < high
    total = evaluation.row("random").trial_return
    assert total.estimate == pytest.approx(5.0, abs=0.1)


def test_adaptation_score_by_hand():
    task = BanditTask((0.5, 0.5))
    tasks = TaskBatch.from_tasks([task, task])
    frozen = FrozenTasks("test", tasks, Reference(np.array([0.0, 0.0]), np.array([1.0, 3.0])), tasks.sha256)
    fixed = np.array([[0.5], [0.5]])
    row = make_row("x", np.array([[[1.0], [1.0]]]), frozen, fixed)
    assert row.adaptation[0].estimate == pytest.approx((1.0 - 0.5) / (2.0 - 0.5))
    assert row.fraction[0].estimate == pytest.approx(0.5)
    assert oracle_row(frozen, 1).fraction[0].estimate == 1.0


def test_adaptation_is_measured_against_the_fixed_rule_after_as_many_episodes():
    tasks = BanditDistribution(5).frozen("validation").tasks.take(np.arange(2))
    frozen = FrozenTasks("test", tasks, Reference(np.zeros(2), np.ones(2)), tasks.sha256)
    fixed = np.array([[0.0, 0.5], [0.0, 0.5]])
    row = make_row("x", np.full((1, 2, 2), 0.75), frozen, fixed)
    assert [shot.estimate for shot in row.adaptation] == pytest.approx([0.75, (0.75 - 0.5) / (1 - 0.5)])


def test_json_names_tasks_versions_and_settings(tmp_path):
    evaluation = evaluate({"random": RandomPolicy()}, "BernoulliBandit", "test", 20, seed=5)
    saved = json.loads(evaluation.save(tmp_path / "deep" / "e.json").read_text())
    frozen = first_tasks(BanditDistribution(5).frozen("test"), 20)
    assert saved["tasks_sha256"] == frozen.sha256
    assert saved["versions"]["numpy"] == np.__version__
    assert (saved["seed"], saved["n_tasks"], saved["split"]) == (5, 20, "test")
    assert len(list((tmp_path / "deep").iterdir())) == 1, "a temporary file was left behind"


def test_a_saved_evaluation_comes_back(tmp_path):
    evaluation = evaluate(
        {"random": RandomPolicy(), "first": Always(0)}, "BernoulliBandit", "test", 20, best_fixed="first"
    )
    loaded = Evaluation.load(evaluation.save(tmp_path / "e.json"))
    assert loaded.table() == evaluation.table()
    assert json.dumps(loaded.to_dict()) == json.dumps(evaluation.to_dict())


def test_table_has_a_row_a_policy_and_a_column_a_shot():
    evaluation = evaluate({"random": RandomPolicy(), "first": Always(0)}, "BernoulliBandit", "test", 20, shots=(1, 2))
    lines = evaluation.table().splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert lines[0].count("|") == 4 and "first" in lines[3]


def test_a_row_of_one_training_seed_says_so(tmp_path):
    class Zero:
        def predict(self, observation, state, episode_start, deterministic, action_masks):
            return np.zeros(len(observation), int), np.zeros(len(observation))

    policies = {"agent": [AgentPolicy(Zero())], "two": [AgentPolicy(Zero())] * 2, "rule": Always(0)}
    evaluation = evaluate(policies, "BernoulliBandit", "test", 20)
    labels = [line.split("|")[1].strip() for line in evaluation.table().splitlines()[2:]]
    assert labels == ["agent (1 seed)", "two", "rule"]
    rows = json.loads(evaluation.save(tmp_path / "e.json").read_text())["rows"]
    assert [(row["trainings"], row["intervals_over"]) for row in rows] == [
        (1, "tasks"), (2, "tasks and training seeds"), (None, "tasks"),
    ]  # fmt: skip
    assert [row.label for row in Evaluation.load(tmp_path / "e.json").rows] == labels


def test_cut_memory_clears_the_state_before_every_step():
    class Counter:
        """Its action is how often it was called since its state was cleared."""

        def predict(self, observation, state, episode_start, deterministic, action_masks):
            state = np.zeros(len(observation)) if state is None else state
            state = np.where(episode_start, 0, state)
            return state.astype(int), state + 1

    tasks = BanditDistribution(5).frozen("test").tasks.take(np.arange(3))
    env = make_trials("BernoulliBandit", 3, episodes=4)
    assert play_trials(AgentPolicy(Counter()), env, tasks).actions[0].tolist() == [0, 1, 2, 3]
    assert play_trials(AgentPolicy(Counter(), cut_memory=True), env, tasks).actions[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("algorithm, deterministic", [("rl2", False), ("pearl", True)])
def test_what_an_agent_draws_comes_from_the_seed_of_the_play(algorithm, deterministic):
    torch = pytest.importorskip("torch")
    from metaenv.agents import PEARL, RL2

    env = make_trials("MaterialsSynthesis", 4, split="validation")
    agent = {"rl2": RL2, "pearl": PEARL}[algorithm](make_trials("MaterialsSynthesis", 4), seed=0)
    tasks, policy = env.distribution.frozen("validation").tasks.take(np.arange(6)), AgentPolicy(agent, deterministic)
    own = agent._predict_generator.get_state()
    first, again, other = (play_trials(policy, env, tasks, seed).actions for seed in (3, 3, 4))
    np.testing.assert_array_equal(again, first)
    assert (np.abs(other - first).max(axis=(1, 2)) > 1e-3).all() and np.unique(first[:, 1], axis=0).shape[0] == 6
    assert torch.equal(agent._predict_generator.get_state(), own)
    later = AgentPolicy(agent, deterministic)  # a second policy of the same agent
    np.testing.assert_array_equal(play_trials(later, env, tasks, 3).actions, first)


def test_bad_requests():
    with pytest.raises(ValueError, match="at least one task"):
        evaluate({"random": RandomPolicy()}, "BernoulliBandit", "test", 0)
    with pytest.raises(ValueError, match="expected seed to be a whole number of at least 0, got -1"):
        evaluate({}, "BernoulliBandit", "validation", 5, seed=-1)
    with pytest.raises(KeyError, match="best_fixed"):
        evaluate({"random": RandomPolicy()}, "BernoulliBandit", "test", 5, best_fixed="no")
    with pytest.raises(ValueError, match="endless"):
        evaluate({"random": RandomPolicy()}, "BernoulliBandit", "train", 5)
