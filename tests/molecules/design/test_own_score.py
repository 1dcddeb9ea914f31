"""A scoring function of one's own: asked once a molecule, counted, checked, within a budget, however it is played."""

import threading

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from rdkit import Chem

from metaenv.baselines import baselines_of
from metaenv.errors import TaskError
from metaenv.evaluation import evaluate
from metaenv.molecules.chem.assembly import random_actions
from metaenv.molecules.chem.smiles import parse
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.own_score import OwnScore
from metaenv.molecules.design.tasks import MoleculeDistribution
from metaenv.policies import RandomPolicy, play_trials
from metaenv.testing import check_meta_env, check_vector_env
from metaenv.trial import Trial, make_trials

ID = "metaenv:metaenv/MoleculeDesign-v1"
TOLUENE, CHLOROTOLUENE, BENZONITRILE = "Cc1ccccc1", "Cc1ccc(Cl)cc1", "N#Cc1ccccc1"


class Docking:
    """Counts nitrogen atoms, and remembers what it was asked. It cannot be copied, as a connection cannot."""

    def __init__(self):
        self.asked: list[list[str]] = []
        self.lock = threading.Lock()

    def __call__(self, smiles):
        self.asked.append(smiles)
        return [text.upper().count("N") / 10 for text in smiles]

    @property
    def molecules(self):
        return [text for call in self.asked for text in call]


def finish(env, smiles):
    """Build a molecule in a scalar environment."""
    for action in (a for a in parse(smiles).tolist() if a >= 0):
        _, reward, terminated, _, info = env.step(action)
    assert terminated
    return reward, info


def test_the_function_alone_decides_and_is_asked_once_a_molecule():
    docking = Docking()
    env = gym.make(ID, variant="windows-3", score=docking)
    _, info = env.reset(seed=0)
    assert info["oracle_calls"] == 0
    for smiles, reward, calls in ((BENZONITRILE, 0.1, 1), (CHLOROTOLUENE, 0.0, 2), (BENZONITRILE, 0.1, 2)):
        got, info = finish(env, smiles)
        assert got == info["score"] == reward and info["oracle_calls"] == calls
        assert np.issubdtype(info["oracle_calls"].dtype, np.integer)
        env.reset()
    assert docking.asked == [[BENZONITRILE], [CHLOROTOLUENE]]
    assert "oracle_calls" not in gym.make(ID).reset(seed=0)[1]


def test_a_batch_is_one_call_of_distinct_canonical_smiles():
    docking = Docking()
    env = MoleculeDesignVectorEnv(6, score=docking, autoreset_mode="Disabled", text_info=True, variant="windows-3")
    for smiles in ([TOLUENE, BENZONITRILE] * 3, [CHLOROTOLUENE, TOLUENE, "Cc1ccccc1", "c1ccccc1C#N"] * 2):
        env.reset(seed=0)
        rows = np.stack([parse(text) for text in smiles[:6]])
        for place in range(int((rows >= 0).sum(axis=1).max())):
            playing = np.flatnonzero(rows[:, place] >= 0)
            env.play(playing, rows[playing, place])
        times = [docking.molecules.count(Chem.CanonSmiles(text)) for text in smiles[:6]]
        assert times == [1] * 6
    assert [sorted(call) for call in docking.asked] == [sorted({TOLUENE, BENZONITRILE}), [CHLOROTOLUENE]]
    assert env.own_score.calls.tolist() == [2, 1, 0, 0, 0, 0]


def test_a_function_of_tasks_is_asked_once_a_molecule_and_task():
    asked = []

    def potency(smiles, tasks):
        asked.append((list(smiles), tasks.ids.tolist()))
        return tasks.low[:, 0] + 1

    env = MoleculeDesignVectorEnv(3, score=potency, tasks=2, variant="windows-3")
    env.reset(seed=0)
    for action in (a for a in parse(TOLUENE) if a >= 0):
        _, reward, *_ = env.step(np.full(3, action))
    assert len(asked) == 1
    pairs = list(zip(*asked[0], strict=True))
    assert len(set(pairs)) == len(pairs) == len(set(env.tasks.ids.tolist()))
    np.testing.assert_array_equal(reward, env.tasks.low[:, 0] + 1)


def nitrogens(smiles):
    return [text.upper().count("N") / 10 for text in smiles]


def test_it_keeps_the_contract():
    options = {"score": nitrogens, "score_reference": (0.0, 0.5), "max_oracle_calls": 1000}
    check_meta_env(gym.make(ID, **options), steps=30)
    check_vector_env(lambda **settings: gym.make_vec(ID, **options, **settings), num_envs=2, steps=30)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"score": lambda smiles: [np.nan] * len(smiles)}, "no finite number for 'Cc1ccccc1'"),
        ({"score": lambda smiles: [np.inf] * len(smiles)}, "no finite number for 'Cc1ccccc1'"),
        ({"score": lambda smiles: [None] * len(smiles)}, "no finite number for 'Cc1ccccc1'"),
        ({"score": lambda smiles: 1.0}, r"shape \(1,\), one a molecule, got shape \(\) for Cc1ccccc1"),
        ({"score": lambda smiles: [1.0, 2.0]}, r"got shape \(2,\) for Cc1ccccc1"),
        ({"score": lambda smiles: ["good"]}, r"expected score to give 1 numbers, got \['good'\] for 'Cc1ccccc1'"),
        ({"score": lambda a, b, c: 0}, r"expected score\(smiles\) or score\(smiles, tasks\)"),
        ({"score": lambda: 0}, r"expected score\(smiles\) or score\(smiles, tasks\)"),
        ({"score": lambda smiles, *, key: 0}, r"expected score\(smiles\) or score\(smiles, tasks\)"),
        ({"score": 7}, "score to be a function .* got 7"),
        ({"score": Docking(), "max_oracle_calls": 0}, "max_oracle_calls to be a whole number of at least 1"),
        ({"score": Docking(), "score_reference": (1, 0)}, r"score_reference=\(random, oracle\)"),
        ({"score": Docking(), "score_reference": 1}, r"score_reference=\(random, oracle\)"),
        ({"max_oracle_calls": 3}, "give score, too"),
        ({"score": Docking(), "feedback": "panel"}, "no factors to show"),
    ],
)
def test_what_is_no_score_is_refused_by_name(settings, why):
    with pytest.raises(ValueError, match=why):
        env = gym.make(ID, **settings, variant="windows-3")
        env.reset(seed=0)
        finish(env, TOLUENE)


def test_what_was_scored_beside_a_bad_number_is_not_asked_again():
    asked = []

    def flaky(smiles):
        asked.append(list(smiles))
        return [np.nan if "Cl" in text and len(asked) == 1 else 0.5 for text in smiles]

    oracle, tasks = OwnScore(flaky, 2), MoleculeDistribution().all_tasks("train").take(np.arange(2))
    with pytest.raises(ValueError, match="no finite number for 'Cc1ccc"):
        oracle(np.arange(2), [TOLUENE, CHLOROTOLUENE], tasks)
    assert oracle(np.arange(2), [TOLUENE, CHLOROTOLUENE], tasks).tolist() == [0.5, 0.5]
    assert asked == [[TOLUENE, CHLOROTOLUENE], [CHLOROTOLUENE]] and oracle.calls.tolist() == [1, 2]


def test_large_scores_are_paid_and_the_observation_says_what_it_can():
    env = gym.make(ID, variant="windows-3", score=lambda smiles: [-50.0])
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="score gave -50.*scale scores"):
        reward, _ = finish(env, TOLUENE)
    assert reward == -50


# BUDGETS


def test_a_budget_ends_the_trial():
    trials = make_trials(
        "MoleculeDesign", 3, episodes=20, score=Docking(), max_oracle_calls=2, text_info=True, variant="windows-3"
    )
    trials.use_autoreset_mode("SameStep")
    _, info = trials.reset(seed=0)
    rng, made = np.random.default_rng(1), [set(), set(), set()]
    ended = 0
    for _ in range(80):
        _, _, over, _, info = trials.step(random_actions(info["action_mask"], rng))
        for row in range(3):
            told = info["final_info"] if over[row] else info
            if told["episode_end"][row]:
                made[row].add(told["smiles"][row])
            assert over[row] == (len(made[row]) == 2)
            if over[row]:
                made[row], ended = set(), ended + 1
    assert ended > 3


def test_the_scalar_trial_ends_with_the_budget_too():
    env = gym.make(ID, variant="windows-3", score=Docking(), max_oracle_calls=1)
    trial = Trial(env)
    trial.reset(seed=0)
    _, info = finish(trial, TOLUENE)
    assert info["episode_end"] and info["oracle_calls"] == 1
    env.reset(seed=0)
    finish(env, TOLUENE)
    with pytest.raises(ResetNeeded, match="1 oracle calls of max_oracle_calls are spent"):
        env.reset(options={"keep_task": True})
    env.reset()


# REFERENCES, BASELINES, CLIENTS


def test_there_is_no_reference_but_the_one_that_is_given():
    env = MoleculeDesignVectorEnv(1, score=Docking(), variant="windows-3")
    with pytest.raises(TaskError, match=r"have no reference.*score_reference"):
        env.distribution.frozen("test")
    with pytest.raises(TaskError, match="have no reference"):
        evaluate({"random": RandomPolicy()}, "MoleculeDesign", "test", n_tasks=2, score=Docking(), variant="windows-3")
    found = evaluate(
        {"random": RandomPolicy()},
        "MoleculeDesign",
        "test",
        n_tasks=4,
        score=Docking(),
        score_reference=(0, 0.5),
        variant="windows-3",
    )
    row = found.row("random")
    assert row.normalised[0][0] == pytest.approx(row.values[0, :, 0].mean() / 0.5)


def test_every_baseline_plays_and_searches():
    docking = Docking()
    trials = make_trials("MoleculeDesign", 8, score=docking, episodes=8, variant="windows-3")
    policies, fixed = baselines_of(trials)
    assert fixed in policies and {"graph GA", "screen and keep"} <= set(policies)
    tasks = trials.distribution.members("train").take(np.arange(8))
    scores = {name: play_trials(policy, trials, tasks, 0).scores for name, policy in policies.items()}
    assert all(found.shape == (8, 8) for found in scores.values())
    assert scores["graph GA"].max() > scores[fixed].max()
    assert len(docking.molecules) == len(set(docking.molecules)) == trials.innermost.own_score.calls.sum()


def test_agents_learn_with_it():
    pytest.importorskip("torch", reason="agents need torch")
    from metaenv.agents import RL2
    from metaenv.sb3 import SB3VecEnv

    docking = Docking()
    RL2(make_trials("MoleculeDesign", 4, score=docking, variant="windows-3")).learn(300)
    assert len(docking.molecules) > 10
    env = SB3VecEnv(make_trials("MoleculeDesign", 2, score=docking, variant="windows-3"))
    env.reset()
    _, _, _, infos = env.step(np.ones(2, int))
    assert "oracle_calls" in infos[0]


def test_a_molecule_made_again_costs_nothing_unless_that_is_asked_for():
    assert MoleculeDesignVectorEnv(1, score=nitrogens).duplicate_penalty == 0
    assert MoleculeDesignVectorEnv(1, score=nitrogens, duplicate_penalty=0.2).duplicate_penalty == 0.2
    assert MoleculeDesignVectorEnv(1).duplicate_penalty == 0.5
