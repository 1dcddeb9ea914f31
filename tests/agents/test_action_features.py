"""The head that knows features of actions, and agents with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_trials import Bandit

from metaenv.agents.action_features import ActionFeatureHead, set_action_features
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import ContextConfig, PEARLConfig, PEARLNetwork
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.molecules.chem.action_features import action_features
from metaenv.molecules.chem.chemistry import load_chemistry
from metaenv.trial import make_trials

SMALL = RL2Config(n_epochs=1, n_minibatches=1, network=Network((8,), 8, action_features=True))


def test_logits_are_outputs_of_their_own_and_products_of_query_and_key() -> None:
    torch.manual_seed(0)
    head = ActionFeatureHead(0, [3, 5], (4, 2))
    features = np.random.default_rng(0).normal(size=(4, 2))
    set_action_features(head, features)
    x = torch.randn(7, 3)
    hidden = head.layers(x)
    key = head.key(torch.as_tensor(features, dtype=torch.float32))
    expected = hidden @ head.own.weight.T + head.own.bias + (hidden @ head.query.weight.T + head.query.bias) @ key.T
    torch.testing.assert_close(head(x), expected)
    assert hidden.shape == (7, 5) and key.shape[0] == 4


@pytest.mark.parametrize("memory", [0, 2])
def test_actions_of_the_same_features_differ_by_their_own_outputs_only(memory: int) -> None:
    head = ActionFeatureHead(memory, [memory + 3], (3, 2))
    set_action_features(head, [[1, 2], [1, 2], [0, 1]])
    with torch.no_grad():
        for parameter in head.own.parameters():
            parameter.zero_()
        head.query.weight.normal_()
        logits = head(torch.randn(5, memory + 3))
    torch.testing.assert_close(logits[:, 0], logits[:, 1])
    assert (logits[:, 0] - logits[:, 2]).abs().min() > 1e-4


class Likeness(Bandit):
    """Arms are of four kinds, which are their features; the good kind, another one in each trial, is shown at once.

    Args:
        num_envs: trials at once.
        first: of the twenty arms that are allowed.
    """

    def __init__(self, num_envs: int, first: int = 0) -> None:
        self.kind = np.arange(40) % 4
        self.action_features = np.eye(4, dtype=np.float32)[self.kind]
        self.good, self.first = np.zeros(num_envs, np.int64), first
        super().__init__(num_envs, 40, 4)

    def draw_tasks(self, which: Any) -> None:
        self.good[which] = self.np_random.integers(0, 4, int(which.sum()))

    def play(self, actions: Any) -> Any:
        shown = np.zeros((self.num_envs, 40))
        shown[:, :4] = np.eye(4)[self.good]
        return (self.kind[actions] == self.good).astype(np.float64), shown

    def action_masks(self) -> Any:
        return np.tile((np.arange(40) >= self.first) & (np.arange(40) < self.first + 20), (self.num_envs, 1))


@pytest.mark.parametrize(("known", "least", "most"), [(True, 0.9, 1.0), (False, 0.0, 0.6)])
def test_what_is_learned_of_some_actions_holds_for_others_like_them(known: bool, least: float, most: float) -> None:
    """The other twenty arms were never allowed in training; a guess is right once in four times."""
    network = Network((32,), 16, head_sizes=(32,), action_features=known)
    config = RL2Config(n_epochs=2, learning_rate=5e-3, network=network)
    agent, others = RL2(Likeness(32), config, seed=0).learn(32 * 4 * 20), Likeness(256, first=20)
    seen, state, right = others.reset(seed=1)[0], None, []
    for _ in range(4):
        actions, state = agent.predict(seen, state, action_masks=others.action_masks(), deterministic=True)
        seen, rewards, *_ = others.step(actions)
        right.append(rewards.mean())
    assert least <= np.mean(right[1:]) <= most


def test_an_agent_takes_the_features_of_its_env_and_is_saved_with_them(tmp_path: Path) -> None:
    trials = make_trials("MoleculeDesign", num_envs=2, episodes=2)
    agent = RL2(trials, SMALL, seed=0).learn(20)
    features = action_features(load_chemistry("chembl"))
    assert agent.dims.action_features == features.shape[1]
    np.testing.assert_array_equal(agent.policy.policy_head.features, features)
    agent.save(tmp_path / "agent.pt")
    again = RL2.load(tmp_path / "agent.pt")  # without an env that would tell them
    np.testing.assert_array_equal(again.policy.policy_head.features, features)
    seen, masks = trials.reset(seed=1)[0], trials.action_masks()
    one, other = (a.predict(seen, action_masks=masks, deterministic=True)[0] for a in (agent, again))
    np.testing.assert_array_equal(one, other)


def test_the_first_policy_is_nearly_uniform() -> None:
    agent = RL2(Likeness(2), SMALL, seed=0)
    dist, *_ = agent.policy(torch.randn(1, 64, agent.dims.observation_size))
    assert (dist.log_probs.exp() * 40 - 1).abs().max() < 0.2


def test_features_need_an_env_that_tells_them() -> None:
    with pytest.raises(ValueError, match="action_features"):
        RL2(make_trials("BernoulliBandit", num_envs=2), SMALL, seed=0)
    wrong = Likeness(2)
    wrong.action_features = wrong.action_features[:30]
    with pytest.raises(ValueError, match="action_features"):
        RL2(wrong, SMALL, seed=0)
    with pytest.raises(ValueError, match="not both"):
        Network(entities=True, action_features=True)


@pytest.mark.parametrize("told", [False, True])
def test_pearl_takes_them_into_actor_and_critics(told: bool, tmp_path: Path) -> None:
    """Told the task, it sees more columns than the trial reports at a molecule's end."""
    trials = make_trials("MoleculeDesign", num_envs=2, episodes=2, observe_task=told)
    context, network = ContextConfig(size=2, episode_ends=True), PEARLNetwork(sizes=(8,), action_features=True)
    small = PEARLConfig(n_tasks=2, gradient_steps=1, replay_capacity=60, context=context, network=network)
    agent = PEARL(trials, small, seed=0).learn(60)
    features = action_features(load_chemistry("chembl"))
    sac = agent.sac
    for each in (sac.actor, sac.critic.first, sac.critic.second, sac.target_critic.first):
        np.testing.assert_array_equal(each.head.features, features)
    before = sac.actor(torch.zeros(1, sac.actor.layers[0].in_features))
    set_action_features(sac.actor, features + 1)
    assert not torch.allclose(sac.actor(torch.zeros(1, sac.actor.layers[0].in_features)), before)
    agent.save(tmp_path / "agent.pt")
    again = PEARL.load(tmp_path / "agent.pt")
    np.testing.assert_array_equal(again.sac.actor.head.features, features + 1)
    with pytest.raises(ValueError, match="not both"):
        PEARLNetwork(entities=True, action_features=True)
    with pytest.raises(ValueError, match="hidden layer"):
        PEARLNetwork(sizes=(), action_features=True)
