"""Policies over items: what they are told, and that they treat a list as a set."""

import numpy as np
import pytest
import torch

from metaenv import make_trials
from metaenv.agents import PEARL, RL2
from metaenv.agents.entities import ItemEncoder, ItemNetwork, ItemView
from metaenv.agents.networks import RecurrentActorCritic
from metaenv.agents.pearl import PEARLConfig
from metaenv.agents.rl2_config import RL2Config
from metaenv.agents.trial_spaces import TrialSpaces

FEATURES, ITEMS, KINDS, OTHERS, REST = 2, 3, 2, 1, 4
N_ACTIONS = KINDS * ITEMS + OTHERS
SIZE = FEATURES * ITEMS + REST + N_ACTIONS + 3


def spaces():
    return TrialSpaces(SIZE, N_ACTIONS, 0, 5, 0, (FEATURES, ITEMS))


def observation(items, action, rest=0.0):
    """A trial's observation (1, 1, SIZE) of items (ITEMS, FEATURES) after ``action``."""
    one_hot = np.zeros(N_ACTIONS)
    one_hot[action] = 1
    parts = [np.asarray(items, float).T.ravel(), np.full(REST, rest), one_hot, [0.5, 0.0, 0.25]]
    return torch.tensor(np.concatenate(parts), dtype=torch.float32)[None, None]


def test_view_picks_the_item_of_the_action():
    view = ItemView((FEATURES, ITEMS), N_ACTIONS)
    items = [[1, 10], [2, 20], [3, 30]]
    listed = view.listed(observation(items, 0))
    assert listed[0, 0].tolist() == items
    one_hot = torch.eye(N_ACTIONS)
    told = view.picked(listed[0].expand(N_ACTIONS, -1, -1), one_hot)
    # feature, feature, which thing is done to it (2), the action that concerns none
    assert told[1].tolist() == [2, 20, 1, 0, 0]
    assert told[3 + 2].tolist() == [3, 30, 0, 1, 0]
    assert told[6].tolist() == [0, 0, 0, 0, 1]


def test_summary_tells_all_but_the_list():
    encoder = ItemEncoder(ItemView((FEATURES, ITEMS), N_ACTIONS), SIZE, 8)
    seen = encoder(observation([[1, 10], [2, 20], [3, 30]], 4, rest=7.0))
    assert seen.embeddings.shape == (1, 1, ITEMS, 8)
    assert seen.summary.shape == (1, 1, encoder.summary_size)
    assert seen.summary[0, 0, : REST + 3 + 5].tolist() == [7, 7, 7, 7, 0.5, 0, 0.25, 2, 20, 0, 1, 0]


def test_reordering_items_reorders_actions_and_nothing_else():
    torch.manual_seed(0)
    policy = RecurrentActorCritic(spaces(), (16,), 16, (16,), item_size=8)
    policy.policy_head.head.query.weight.data.normal_()
    items, order = np.random.default_rng(0).normal(size=(ITEMS, FEATURES)), np.array([2, 0, 1])
    law, value, _, state = policy(observation(items, 4))
    # Item 4 - 3 = 1 was picked; it now stands at place 2.
    moved, same_value, _, same_state = policy(observation(items[order], 3 + 2))
    shuffled = np.concatenate([order, ITEMS + order, [N_ACTIONS - 1]])
    torch.testing.assert_close(moved.log_probs[..., :], law.log_probs[..., shuffled])
    torch.testing.assert_close(same_value, value)
    torch.testing.assert_close(same_state, state)
    assert law.log_probs.std() > 0.01


@pytest.mark.parametrize("variant", ["default", "depth"])
def test_rl2_learns_on_items_and_is_saved_with_them(tmp_path, variant):
    trials = make_trials("TargetSelection", num_envs=2, variant=variant, episodes=1)
    agent = RL2(trials, RL2Config(items=True, hidden_size=8, embedding_sizes=(8,), minibatches=1, epochs=1), seed=0)
    agent.learn(100)
    agent.save(tmp_path / "agent.pt")
    again = RL2.load(tmp_path / "agent.pt", env=trials)
    assert again.spaces == agent.spaces and again.spaces.items == (21, 64)
    seen, _ = trials.reset(seed=1)
    np.testing.assert_array_equal(
        again.predict(seen, deterministic=True)[0], agent.predict(seen, deterministic=True)[0]
    )


def test_items_need_an_env_that_lists_some():
    with pytest.raises(ValueError, match="item_layout"):
        RL2(make_trials("BernoulliBandit", num_envs=2), RL2Config(items=True), seed=0)


def test_item_network_treats_its_list_as_a_set():
    torch.manual_seed(0)
    network = ItemNetwork(ItemView((FEATURES, ITEMS), N_ACTIONS), FEATURES * ITEMS + 5, (16,), 8)
    items, order, rest = torch.randn(1, ITEMS, FEATURES), torch.tensor([2, 0, 1]), torch.randn(1, 5)
    first, second = (torch.cat([x.transpose(1, 2).flatten(1), rest], -1) for x in (items, items[:, order]))
    shuffled = torch.cat([order, ITEMS + order, torch.tensor([N_ACTIONS - 1])])
    torch.testing.assert_close(network(second), network(first)[:, shuffled])
    assert network(first).std() > 0.01


def test_pearl_is_told_what_was_picked_and_what_it_showed():
    trials = make_trials("TargetSelection", num_envs=2, episodes=1)
    agent = PEARL(trials, PEARLConfig(items=True, n_tasks=2), seed=0)
    before, _ = trials.reset(seed=0)
    action = trials.action_masks()[:, :64].argmax(1)
    after, *_ = trials.step(action)
    d, layout = agent.spaces.observation_size, trials.innermost.layout
    told = agent._experience(torch.from_numpy(before[:, :d]), agent._seen(torch.from_numpy(after))).numpy()
    targets, globals_ = layout.split(before)[0], layout.split(after)[1]
    np.testing.assert_array_equal(told[:, : layout.rows], targets[np.arange(2), :, action])
    # one kind of exposure, not the wait; then the night as it is now, the reward and the flag
    np.testing.assert_array_equal(told[:, layout.rows : layout.rows + 2], [[1, 0]] * 2)
    np.testing.assert_array_equal(told[:, layout.rows + 2 : -2], globals_)
    np.testing.assert_array_equal(told[:, -2:], after[:, -3:-1])


def test_pearl_learns_on_items_and_is_saved_with_them(tmp_path):
    trials = make_trials("TargetSelection", num_envs=2, episodes=1)
    config = PEARLConfig(items=True, n_tasks=4, gradient_steps=1, meta_batch=2, batch_size=4, replay_capacity=48)
    agent = PEARL(trials, config, seed=0)
    agent.learn(24 * 2 * 3)
    agent.save(tmp_path / "agent.pt")
    again = PEARL.load(tmp_path / "agent.pt", env=trials)
    assert again.spaces == agent.spaces and again.spaces.items == (21, 64)
    seen, _ = trials.reset(seed=1)
    masks = trials.action_masks()
    np.testing.assert_array_equal(*(a.predict(seen, action_masks=masks, deterministic=True)[0] for a in (agent, again)))
    assert agent.predict_reward(seen[:, : agent.spaces.observation_size], np.zeros(2, int), np.zeros(5)).shape == (2,)
