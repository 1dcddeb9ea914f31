"""Baselines: what they play, what they learn from, and what they reach on unseen objectives."""

import numpy as np
import pytest
from building import build

from metaenv import make_trials
from metaenv.baselines import baselines_of
from metaenv.evaluation import evaluate
from metaenv.molecules.chem.assembly import Assembly, replay
from metaenv.molecules.chem.fragments import load_vocabulary
from metaenv.molecules.chem.properties import Scores, properties_of
from metaenv.molecules.chem.scoring import HIDDEN, factors
from metaenv.molecules.design.baselines import (
    FixedMolecules,
    GraphGA,
    ScreenAndKeep,
    SequencePolicy,
    baselines,
)
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.graph_ga import Trees, genome
from metaenv.molecules.design.tasks import VARIANTS, MoleculeDistribution
from metaenv.molecules.reference_molecules import real_molecules, real_sequences, scaffold_tenths
from metaenv.policies import RandomPolicy, play_trials
from metaenv.stats import greedy_portfolio


def unseen(n=40):
    return MoleculeDistribution().frozen("test").tasks.take(np.arange(n))


def true_scores(sequences, tasks, scores, variant="windows-3"):
    """(n,) the score of molecule i for task i, without an environment."""
    found = scores(sequences)
    product = factors(properties_of(sequences), tasks, found)
    product[:, HIDDEN] = MoleculeDistribution(variant).hidden_factor(tasks, found, scores)
    return product.prod(axis=1)


def optimised(ga, tasks, n, rng):
    """(tasks, n) the best true score among the first 1, 2, … molecules that the genetic algorithm makes."""
    rows, scores, curve = np.arange(len(tasks)), Scores(), np.zeros((len(tasks), n))
    ga.prepare(len(tasks), rng)
    for k in range(n):
        made = ga.choose(rows)
        curve[:, k] = true_scores(made, tasks, scores)
        ga.learn(rows, made, curve[:, k])
    return np.maximum.accumulate(curve, axis=1)


# POLICIES OF WHOLE MOLECULES


class Diary(SequencePolicy):
    """Plays given molecules in turn and writes down what it is told."""

    def __init__(self, sequences):
        self.sequences, self.told, self.forgotten = sequences, [], []

    def choose(self, rows):
        return self.sequences[(self.made[rows] + rows) % len(self.sequences)]

    def learn(self, rows, sequences, scores):
        super().learn(rows, sequences, scores)
        self.told += list(zip(rows.tolist(), map(bytes, sequences), scores.tolist(), strict=True))

    def forget(self, rows):
        super().forget(rows)
        self.forgotten.append(rows.tolist())


def test_every_row_plays_its_own_molecules_and_learns_their_scores():
    lengths = (real_sequences() >= 0).sum(axis=1)
    sequences = real_sequences()[[int(np.argmax(lengths == n)) for n in (3, 8, 5, 6, 4)]]
    env, tasks = make_trials("MoleculeDesign", 4, split="test", variant="windows-3"), unseen(4)
    policy = Diary(sequences)
    record = play_trials(policy, env, tasks)
    expected = scores_of(real_molecules(), tasks)
    where = [int(np.flatnonzero((real_molecules().actions == s).all(axis=1))[0]) for s in sequences]
    order = np.array([[where[(k + row) % 5] for k in range(5)] for row in range(4)])
    np.testing.assert_allclose(record.scores, np.take_along_axis(expected, order, axis=1))
    for row in range(4):
        first = [t for t in policy.told if t[0] == row][:5]
        assert [t[2] for t in first] == pytest.approx(list(record.scores[row]))
        assert [t[1] for t in first] == [bytes(sequences[(k + row) % 5]) for k in range(5)]
    assert policy.forgotten[0] == [0, 1, 2, 3] and {r for rows in policy.forgotten[1:] for r in rows} >= {0, 1, 2}


def made_by(policy, n, paid):
    """The first n molecules of one row that is paid ``paid`` for each."""
    found, present = [], []
    while len(found) < n:
        action = policy.act(np.zeros((1, 1), np.float32))
        present.append(int(action[0]))
        built = Assembly(1)
        for a in present:
            built.place(slice(None), np.array([a]))
        policy.observe(action, np.array([paid if built.done[0] else 0.0]))
        if built.done[0]:
            found.append(present)
            present = []
    return found


def test_what_a_trial_taught_is_forgotten_in_the_next():
    sets = [genome(s) for s in MoleculeDistribution().portfolio().sequences]
    policy = baselines()["screen and keep"]
    policy.start(make_trials("MoleculeDesign", 1, variant="windows-3"), np.random.default_rng(0))
    assert made_by(policy, 7, paid=0.0) == [*sets[:5], *sets[:2]]  # the second trial began after five molecules
    policy.restart(np.array([0]))
    assert made_by(policy, 5, paid=1.0) == [sets[0]] * 5
    assert made_by(policy, 4, paid=0.0) == sets[:4], "a new trial begins without knowing what was good in the last"
    policy.restart(np.array([0]))
    assert made_by(policy, 3, paid=1.0) == [sets[0]] * 3
    policy.restart(np.array([0]))
    assert made_by(policy, 3, paid=0.0) == sets[:3]


def test_restart_in_the_middle_of_a_molecule_concerns_its_row_only():
    policy = baselines()["screen and keep"]
    policy.start(make_trials("MoleculeDesign", 2, variant="windows-3"), np.random.default_rng(0))
    nothing = np.zeros((2, 1), np.float32)
    for _ in range(2):
        policy.observe(policy.act(nothing), np.zeros(2))
    policy.restart(np.array([1]))
    first = MoleculeDistribution().portfolio().sequences[0]
    np.testing.assert_array_equal(policy.act(nothing), [first[2], first[0]])
    with pytest.raises(ValueError, match="that act"):
        policy.observe(np.array([first[2], first[0] + 1]), np.zeros(2))


def test_fixed_molecules_refuse_what_is_none():
    with pytest.raises(ValueError, match="open"):
        FixedMolecules(np.array([[13, -1, -1, -1, -1, -1, -1, -1, -1]]))


def test_screening_ends_with_the_first_good_molecule():
    env, tasks = make_trials("MoleculeDesign", 40, split="test", variant="windows-3"), unseen()
    sets = MoleculeDistribution().portfolio().sequences
    fixed = play_trials(baselines()["best fixed set"], env, tasks).scores
    kept = play_trials(ScreenAndKeep(sets, good_enough=0.3), env, tasks).scores
    for listed, played in zip(fixed, kept, strict=True):
        good = np.flatnonzero(listed >= 0.3)
        stop = good[0] if len(good) else 5
        np.testing.assert_array_equal(played, [*listed[:stop], *[listed[min(stop, 4)]] * (5 - stop)])
    assert (fixed >= 0.3).any()


# PORTFOLIOS


def test_greedy_by_hand():
    table = np.array([[0.6, 0.9, 0.0], [0.6, 0.0, 0.7], [0.6, 0.6, 0.0]], np.float32)
    chosen, scores = greedy_portfolio(table, 3)
    assert chosen == [0, 1, 2]  # 0.6; then 0.9 + 0.6 + 0.6; then 0.9 + 0.7 + 0.6
    assert scores == pytest.approx([0.6, 0.7, 2.2 / 3])


@pytest.mark.parametrize("variant", VARIANTS)
def test_portfolios_are_real_molecules_of_training(variant):
    stored = MoleculeDistribution(variant).portfolio()
    assert stored.sequences.shape == (10, 9) and (np.diff(stored.train_score) > 0).all()
    known = {row.tobytes() for row in real_molecules().actions[scaffold_tenths() < 7]}
    assert len({row.tobytes() for row in stored.sequences} & known) == 10


def test_the_best_fixed_molecule_is_the_best_on_training_tasks():
    tasks = MoleculeDistribution().all_tasks("train")
    mean = scores_of(real_molecules().take(np.flatnonzero(scaffold_tenths() < 7)), tasks).mean(axis=0)
    stored = MoleculeDistribution().portfolio()
    made = true_scores(np.tile(stored.sequences[0], (len(tasks), 1)), tasks, Scores())
    assert made.mean() == pytest.approx(mean.max(), abs=1e-6) == pytest.approx(stored.train_score[0], abs=1e-6)


# THE GENETIC ALGORITHM


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_without_an_environment_are_the_environments(variant):
    tasks = MoleculeDistribution(variant).members("train").take(np.arange(0, 900, 30))
    sequences = np.where(np.arange(30)[:, None] % 2 == 0, real_sequences()[:30], tasks.certificate).astype(np.int16)
    env = MoleculeDesignVectorEnv(30, variant=variant)
    expected = build(env, sequences, tasks)["score"]
    np.testing.assert_allclose(true_scores(sequences, tasks, Scores(), variant), expected, atol=1e-12)
    np.testing.assert_allclose(expected[1::2], 1)


def test_the_genetic_algorithm_begins_with_the_fixed_set_and_repeats_nothing():
    ga = GraphGA(founders=3)
    ga.prepare(2, np.random.default_rng(0))
    made, rows = [], np.arange(2)
    for k in range(60):
        made.append(ga.choose(rows))
        replay(made[-1])
        ga.learn(rows, made[-1], np.full(2, 0.01 * k))
    np.testing.assert_array_equal(np.array(made)[:3, 0], MoleculeDistribution().portfolio().sequences[:3])
    for row in rows:
        assert len({m[row].tobytes() for m in made}) == 60
    ga.forget(np.array([1]))
    np.testing.assert_array_equal(ga.choose(np.array([1]))[0], MoleculeDistribution().portfolio().sequences[0])
    assert ga.choose(np.array([0]))[0].tobytes() not in {m[0].tobytes() for m in made}


def test_the_fittest_are_parents_and_survive():
    ga = GraphGA(founders=2, population=2, mutation_rate=0.0)
    ga.prepare(1, np.random.default_rng(0))
    row, good = np.array([0]), MoleculeDistribution().portfolio().sequences[5]
    for sequence, score in ((real_sequences()[0], 0.0), (good, 1.0), *((a, 0.0) for a in real_sequences()[1:6])):
        ga.learn(row, sequence[None], np.array([score]))
    np.testing.assert_array_equal(ga.best[0], good)
    children = [ga._child(0) for _ in range(100)]
    trees = Trees(load_vocabulary())
    born = np.unique(
        trees.padded([c for c, viable in zip(children, trees.legal(children), strict=True) if viable]), axis=0
    )
    assert len(born) > 1
    # Six molecules scored 0 and one 1: whatever is bred is made of the fragments of that one.
    assert set(replay(born).fragment.ravel()) <= {-1, *replay(good).fragment[0]}


@pytest.mark.parametrize("bad", [{"founders": 0}, {"population": 0}, {"mutation_rate": 1.5}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        GraphGA(**bad)


def test_it_finds_good_molecules_when_it_may_score_a_hundred():
    """Far more than a trial allows: random molecules reach 0.55, the genetic algorithm more."""
    tasks = unseen(12)
    curve = optimised(GraphGA(founders=10), tasks, 100, np.random.default_rng(0))
    assert curve.shape == (12, 100) and (np.diff(curve, axis=1) >= 0).all() and curve.max() <= 1
    fixed = [true_scores(np.tile(s, (12, 1)), tasks, Scores()) for s in MoleculeDistribution().portfolio().sequences]
    np.testing.assert_allclose(curve[:, 9], np.max(fixed, axis=0))
    assert curve[:, -1].mean() > 0.9 > curve[:, 9].mean()


# WHAT THEY REACH


def test_no_constant_molecule_serves_unseen_objectives():
    """Without adaptation there is little to earn: the family is worth learning to learn on."""
    frozen = MoleculeDistribution("windows-3").frozen("test")
    assert frozen.reference.random.mean() <= 0.10
    any_constant = scores_of(real_molecules(), frozen.tasks).mean(axis=0)
    assert any_constant.max() <= 0.25
    for variant in ("windows-4", "windows-5", "groups"):
        assert (
            scores_of(real_molecules(), MoleculeDistribution(variant).frozen("test").tasks).mean(axis=0).max() <= 0.25
        )


def test_all_policies_meet_in_one_evaluation():
    everyone, best_fixed = baselines_of(make_trials("MoleculeDesign", 1, variant="windows-3"))
    assert best_fixed == "best fixed molecule" and set(everyone) >= {"random", *baselines()}
    chosen = {name: everyone[name] for name in ("random", *baselines())}
    found = evaluate(
        chosen, "MoleculeDesign", n_tasks=200, best_fixed=best_fixed, shots=(1, 2, 3, 4, 5), variant="windows-3"
    )
    mean = {row.name: row.values.mean(axis=(0, 1)) for row in found.rows}
    assert np.ptp(mean["best fixed molecule"]) == 0
    assert mean["random"].max() < 0.10 < mean["best fixed molecule"][0] < 0.25
    assert mean["screen and keep"][4] > mean["best fixed molecule"][4] + 0.1
    for name in ("best fixed set", "graph GA", "screen and keep"):
        assert mean[name][0] == mean["best fixed molecule"][0], "all begin with the same molecule"
    assert mean["graph GA"][4] > mean["random"][4]


def test_policies_do_not_see_the_task():
    """Two tasks that pay a policy the same are played the same."""
    env = make_trials("MoleculeDesign", 2, split="test", variant="windows-3")
    for policy in (baselines()["best fixed molecule"], baselines()["screen and keep"], GraphGA()):
        observation, _ = env.reset(seed=0)
        policy.start(env, np.random.default_rng(0))
        played = []
        for _ in range(30):
            action = policy.act(observation)
            played.append(action[0])
            policy.observe(action, np.zeros(2))
        policy.start(env, np.random.default_rng(0))
        env.reset(seed=1)
        for action in played:
            chosen = policy.act(np.zeros_like(observation))
            assert chosen[0] == action
            policy.observe(chosen, np.zeros(2))


def test_the_random_policy_earns_the_random_reference():
    env, tasks = make_trials("MoleculeDesign", 100, split="test", variant="windows-3"), unseen(100)
    record = play_trials(RandomPolicy(), env, tasks)
    reference = MoleculeDistribution().reference(tasks).random
    # 500 molecules with a standard deviation of 0.13.
    assert record.scores.mean() == pytest.approx(reference.mean(), abs=0.02)
