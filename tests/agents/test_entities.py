"""Policies over entities: what they see, and that they treat a list as a set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from metaenv import make_trials
from metaenv.agents import PEARL, RL2
from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import EntityLayout, SetEncoder, SetNetwork
from metaenv.agents.networks import RecurrentActorCritic
from metaenv.agents.pearl_config import PEARLConfig, PEARLNetwork
from metaenv.agents.rl2_config import Network, RL2Config

FEATURES, N, VERBS, OTHERS, REST = 2, 3, 2, 1, 4
N_ACTIONS = VERBS * N + OTHERS
SIZE = FEATURES * N + REST + N_ACTIONS + 3


DIMS = EnvDims(SIZE, N_ACTIONS, 0, 5, 0, (FEATURES, N))


def observation(items: ArrayLike, action: int, rest: float = 0.0) -> torch.Tensor:
    """A trial's observation (1, 1, SIZE) of items (N, FEATURES) after ``action``."""
    one_hot = np.zeros(N_ACTIONS)
    one_hot[action] = 1
    parts = [np.asarray(items, float).T.ravel(), np.full(REST, rest), one_hot, [0.5, 0.0, 0.25]]
    return torch.tensor(np.concatenate(parts), dtype=torch.float32)[None, None]


def test_the_layout_finds_the_entity_of_the_action() -> None:
    layout = EntityLayout((FEATURES, N), N_ACTIONS)
    items = [[1, 10], [2, 20], [3, 30]]
    listed = layout.entities(observation(items, 0))
    assert listed[0, 0].tolist() == items
    one_hot = torch.eye(N_ACTIONS)
    told = layout.choice(listed[0].expand(N_ACTIONS, -1, -1), one_hot)
    # feature, feature, which verb is applied to it (2), the action that concerns no entity
    assert told[1].tolist() == [2, 20, 1, 0, 0]
    assert told[3 + 2].tolist() == [3, 30, 0, 1, 0]
    assert told[6].tolist() == [0, 0, 0, 0, 1]


def test_the_summary_holds_all_but_the_list() -> None:
    encoder = SetEncoder(EntityLayout((FEATURES, N), N_ACTIONS), SIZE, 8)
    seen = encoder(observation([[1, 10], [2, 20], [3, 30]], 4, rest=7.0))
    assert seen.embeddings.shape == (1, 1, N, 8)
    assert seen.summary.shape == (1, 1, encoder.summary_size)
    assert seen.summary[0, 0, : REST + 3 + 5].tolist() == [7, 7, 7, 7, 0.5, 0, 0.25, 2, 20, 0, 1, 0]


def test_a_reported_list_is_a_set() -> None:
    torch.manual_seed(0)
    dims, network = replace(DIMS, observation_size=SIZE + 6, report=(2, 3)), Network((16,), 16, entities=True)
    policy = RecurrentActorCritic(dims, network)
    seen, start = observation([[1, 10], [2, 20], [3, 30]], 4), FEATURES * N + REST
    reported = [[0.5, 1, 2], [3, 4, 5]], [[2, 0.5, 1], [5, 3, 4]], [[3, 4, 5], [0.5, 1, 2]]
    listed = [torch.tensor(rows, dtype=torch.float32).reshape(1, 1, 6) for rows in reported]
    values = [policy(torch.cat([seen[..., :start], told, seen[..., start:]], -1))[1] for told in listed]
    torch.testing.assert_close(values[0], values[1])
    assert abs(float((values[0] - values[2]).detach())) > 1e-4


def test_the_first_policy_hardly_prefers_an_entity() -> None:
    policy = RecurrentActorCritic(DIMS, Network((16,), 16, (16,), entity_size=8))
    stretched = torch.linalg.svdvals(policy.policy_head.head.query.weight.detach())
    torch.testing.assert_close(stretched, torch.full_like(stretched, 0.01))


def test_reordering_entities_reorders_actions_and_nothing_else() -> None:
    torch.manual_seed(0)
    policy = RecurrentActorCritic(DIMS, Network((16,), 16, (16,), entity_size=8))
    policy.policy_head.head.query.weight.data.normal_()
    items, order = np.random.default_rng(0).normal(size=(N, FEATURES)), np.array([2, 0, 1])
    dist, value, _, state = policy(observation(items, 4))
    # Item 4 - 3 = 1 was picked; it now stands at place 2.
    moved, same_value, _, same_state = policy(observation(items[order], 3 + 2))
    shuffled = np.concatenate([order, N + order, [N_ACTIONS - 1]])
    torch.testing.assert_close(moved.log_probs[..., :], dist.log_probs[..., shuffled])
    torch.testing.assert_close(same_value, value)
    torch.testing.assert_close(same_state, state)
    assert dist.log_probs.std() > 0.01


@pytest.mark.parametrize("variant", ["short", "depth"])
def test_rl2_learns_on_entities_and_is_saved_with_them(tmp_path: Path, variant: str) -> None:
    trials = make_trials("TargetSelection", num_envs=2, variant=variant, episodes=1)
    agent = RL2(trials, RL2Config(n_minibatches=1, n_epochs=1, network=Network((8,), 8, entities=True)), seed=0)
    agent.learn(100)
    agent.save(tmp_path / "agent.pt")
    again = RL2.load(tmp_path / "agent.pt", env=trials)
    assert again.dims == agent.dims and again.dims.entities == (21, 64)
    seen, _ = trials.reset(seed=1)
    np.testing.assert_array_equal(
        again.predict(seen, deterministic=True)[0], agent.predict(seen, deterministic=True)[0]
    )


def test_entities_need_an_env_that_lists_some() -> None:
    with pytest.raises(ValueError, match="entity_layout"):
        RL2(make_trials("BernoulliBandit", num_envs=2), RL2Config(network=Network(entities=True)), seed=0)


def test_a_set_network_treats_its_list_as_a_set() -> None:
    torch.manual_seed(0)
    network = SetNetwork(EntityLayout((FEATURES, N), N_ACTIONS), FEATURES * N + 5, (16,), 8)
    items, order, rest = torch.randn(1, N, FEATURES), torch.tensor([2, 0, 1]), torch.randn(1, 5)
    first, second = (torch.cat([x.transpose(1, 2).flatten(1), rest], -1) for x in (items, items[:, order]))
    shuffled = torch.cat([order, N + order, torch.tensor([N_ACTIONS - 1])])
    torch.testing.assert_close(network(second), network(first)[:, shuffled])
    assert network(first).std() > 0.01


def test_pearl_sees_which_entity_was_chosen_and_what_followed() -> None:
    trials = make_trials("TargetSelection", num_envs=2, episodes=1, variant="short")
    agent = PEARL(trials, PEARLConfig(n_tasks=2, network=PEARLNetwork(entities=True)), seed=0)
    before, _ = trials.reset(seed=0)
    action = trials.action_masks()[:, :64].argmax(1)
    after, *_ = trials.step(action)
    d, layout = agent.dims.episode_size, trials.innermost.layout
    told = agent._contexts.observed(torch.from_numpy(before[:, :d]), torch.from_numpy(after))[0].numpy()
    targets, globals_ = layout.split(before)[0], layout.split(after)[1]
    np.testing.assert_array_equal(told[:, : layout.rows], targets[np.arange(2), :, action])
    # one kind of exposure, not the wait; then the night as it is now, the reward and the flag
    np.testing.assert_array_equal(told[:, layout.rows : layout.rows + 2], [[1, 0]] * 2)
    np.testing.assert_array_equal(told[:, layout.rows + 2 : -2], globals_)
    np.testing.assert_array_equal(told[:, -2:], after[:, -3:-1])


def test_pearl_learns_on_entities_and_is_saved_with_them(tmp_path: Path) -> None:
    trials = make_trials("TargetSelection", num_envs=2, episodes=1, variant="short")
    config = PEARLConfig(
        n_tasks=4,
        gradient_steps=1,
        meta_batch=2,
        batch_size=4,
        replay_capacity=48,
        network=PEARLNetwork(entities=True),
    )
    agent = PEARL(trials, config, seed=0)
    agent.learn(24 * 2 * 3)
    agent.save(tmp_path / "agent.pt")
    again = PEARL.load(tmp_path / "agent.pt", env=trials)
    assert again.dims == agent.dims and again.dims.entities == (21, 64)
    seen, _ = trials.reset(seed=1)
    masks = trials.action_masks()
    np.testing.assert_array_equal(*(a.predict(seen, action_masks=masks, deterministic=True)[0] for a in (agent, again)))
    assert agent.predict_reward(seen[:, : agent.dims.episode_size], np.zeros(2, int), np.zeros(5)).shape == (2,)
