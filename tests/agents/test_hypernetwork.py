"""Heads whose weights the memory makes: the bilinear map, its first weights, and the agents that have them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toy_trials import Bandit, HiddenPoint, MaskedBandit, Recall, rewards_per_step

from metaenv import make_trials
from metaenv.agents.config import TaskPrediction
from metaenv.agents.dims import EnvDims
from metaenv.agents.hypernetwork import HyperLayer, HyperLinear
from metaenv.agents.networks import RecurrentActorCritic
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Cell, Network, RL2Config
from metaenv.experiments.settings import preset

DISCRETE = EnvDims(observation_size=7, n_actions=5, action_size=0, trial_length=10)
MIXED = EnvDims(observation_size=7, n_actions=None, action_size=5, trial_length=10, choices=(3,))
HYPER = Network((16,), 8, heads="hypernetwork")


def perturbed(network: RecurrentActorCritic) -> RecurrentActorCritic:
    """The network after its memory has come to matter for its heads."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, HyperLinear):
            module.from_memory.data.normal_(std=0.3, generator=generator)
            module.bias_from_memory.data.normal_(std=0.3, generator=generator)
    return network


def test_weights_are_affine_in_the_memory() -> None:
    layer = HyperLinear(memory_size=2, feature_size=2 + 3, outputs=2)
    layer.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    layer.bias.data = torch.tensor([0.5, -0.5])
    # Output 0: unit 0 of the memory adds 1 to the first weight, unit 1 adds 10 to the second. Output 1: unit 1 adds 3
    # to the last weight.
    layer.from_memory.data = torch.tensor([[1.0, 0, 0], [0, 10, 0], [0, 0, 0], [0, 0, 3]])
    layer.bias_from_memory.data = torch.tensor([[0.0, 1.0], [4.0, 0.0]])
    memory, x = [2.0, -1.0], [1.0, 3.0, 5.0]
    # Output 0: weights (1 + 2, 0 - 10, 2) on (1, 3, 5), bias 0.5 - 1; output 1: weights (0, 1, -3), bias -0.5 + 8.
    expected = [3 - 30 + 10 - 0.5, 3 - 15 + 7.5]
    assert layer(torch.tensor([[memory + x]]))[0, 0].tolist() == expected


def test_a_hidden_layer_passes_the_memory_on() -> None:
    layer, features = HyperLayer(memory_size=2, feature_size=5, widened=2 + 4), torch.randn(3, 5)
    output = layer(features)
    assert output.shape == (3, 6) and output[:, :2].equal(features[:, :2])
    torch.testing.assert_close(output[:, 2:], nn.functional.silu(layer.linear(features)))


def test_the_first_policy_is_that_of_a_plain_head_for_every_memory() -> None:
    network = RecurrentActorCritic(DISCRETE, HYPER)
    head = network.policy_head[-1]
    assert isinstance(head, HyperLinear)
    memory, x = torch.randn(50, 8), torch.randn(1, 16).expand(50, 16)
    outputs = head(torch.cat([memory, x], -1))
    plain = nn.functional.linear(x, head.weight, head.bias)
    torch.testing.assert_close(outputs, plain)
    # Bias-HyperInit: the gain of a plain policy head, 0.01, with rows that are orthogonal.
    torch.testing.assert_close(head.weight @ head.weight.T, 1e-4 * torch.eye(5), atol=1e-8, rtol=0)
    outputs.square().sum().backward()
    assert head.from_memory.grad is not None and head.from_memory.grad.abs().max() > 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "attention"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dims", [DISCRETE, MIXED])
def test_step_by_step_is_the_whole_sequence(cell: Cell, shared: bool, dims: EnvDims) -> None:
    network = perturbed(RecurrentActorCritic(dims, replace(HYPER, cell=cell, shared=shared, head_sizes=(6,))))
    x = torch.randn(10, 3, 7, generator=torch.Generator().manual_seed(1))
    dist, values, _, _ = network(x)
    sample, state, log_probs, step_values = dist.mode(), None, [], []
    for t in range(10):
        law, value, _, state = network(x[t : t + 1], state)
        log_probs.append(law.log_prob(sample[t : t + 1]))
        step_values.append(value)
    torch.testing.assert_close(torch.cat(log_probs), dist.log_prob(sample), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat(step_values), values, atol=1e-5, rtol=1e-5)


def test_another_memory_is_another_policy() -> None:
    """What one more unit of an observation's feature does to the logits depends on what came before."""
    network = perturbed(RecurrentActorCritic(DISCRETE, HYPER))
    head, x = network.policy_head[-1], torch.randn(16)
    effects = []
    for memory in torch.randn(2, 8):
        features = torch.cat([memory, x])
        effects.append(head(features + nn.functional.one_hot(torch.tensor(8), 24)) - head(features))
    assert (effects[0] - effects[1]).abs().max() > 0.1


def test_heads_see_the_predicted_task_too() -> None:
    dims = replace(DISCRETE, task_dim=3)
    network = RecurrentActorCritic(dims, HYPER, TaskPrediction(1.0, feed_to_policy=True))
    assert network.policy_head[-1].in_features == 16 + 3
    assert network(torch.randn(10, 3, 7))[1].shape == (10, 3)


def test_it_needs_the_embedded_observation() -> None:
    with pytest.raises(ValueError, match=r"Expected skip=True with heads=.hypernetwork."):
        Network(heads="hypernetwork", skip=False)


def test_it_remembers() -> None:
    config = RL2Config(learning_rate=5e-3, network=Network((16,), 16, heads="hypernetwork"))
    agent = RL2(Recall(256), config, seed=0).learn(12_000)
    # Best of 6 pulls on 4 arms: 1/4 + 5.
    assert rewards_per_step(agent, Recall(5_000), seed=1).sum() > 4.9


@pytest.mark.parametrize("env", [Bandit(8), HiddenPoint(8), MaskedBandit(8)])
def test_a_loaded_agent_acts_alike(env, tmp_path) -> None:
    agent = RL2(env, RL2Config(n_epochs=1, network=HYPER), seed=0).learn(8 * 10 * 2)
    agent.save(tmp_path / "agent.pt")
    seen = np.random.default_rng(0).normal(size=(5, agent.dims.observation_size)).astype(np.float32)
    acted = [a.predict(seen, deterministic=True)[0] for a in (agent, RL2.load(tmp_path / "agent.pt"))]
    np.testing.assert_array_equal(*acted)


@pytest.mark.parametrize("name", ["MaterialsSynthesis", "TargetSelection"])
def test_it_learns_where_actions_are_mixed_or_choose_entities(name: str) -> None:
    config = preset(name)
    network = replace(config.agent.network, heads="hypernetwork", hidden_size=8, embedding_sizes=(16,), head_sizes=())
    env = make_trials(name, 4)
    assert env.trial_length is not None
    agent = RL2(env, replace(config.agent, network=network), seed=0)
    assert isinstance(agent.policy.policy_head, nn.Sequential) == (name == "MaterialsSynthesis")
    agent.learn(4 * env.trial_length)
    made = [m for m in agent.policy.policy_head.modules() if isinstance(m, HyperLinear)]
    assert made and all(m.from_memory.abs().max() > 0 for m in made)
