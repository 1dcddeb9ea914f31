"""The recurrent actor-critic: its state, exploration noise, masks and prediction of the task."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from metaenv.agents.config import TaskPrediction
from metaenv.agents.dims import EnvDims
from metaenv.agents.networks import RecurrentActorCritic, SquashedGaussian
from metaenv.agents.rl2_config import Cell, Network

DISCRETE = EnvDims(observation_size=7, n_actions=5, action_size=0, trial_length=10)
CONTINUOUS = EnvDims(observation_size=7, n_actions=None, action_size=2, trial_length=10)


def observations(steps: int = 10, n: int = 3) -> torch.Tensor:
    return torch.randn(steps, n, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", ["gru", "lstm", "attention"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dims", [DISCRETE, CONTINUOUS])
def test_step_by_step_is_the_whole_sequence(cell: Cell, shared: bool, dims: EnvDims) -> None:
    network, x = RecurrentActorCritic(dims, Network(cell=cell, shared=shared)), observations()
    network.log_std.data.normal_()
    dist, values, _, final = network(x)
    sample, state, log_probs, step_values = dist.mode(), None, [], []
    for t in range(10):
        step_law, value, _, state = network(x[t : t + 1], state)
        log_probs.append(step_law.log_prob(sample[t : t + 1]))
        step_values.append(value)
    torch.testing.assert_close(torch.cat(log_probs), dist.log_prob(sample), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat(step_values), values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, final, atol=1e-5, rtol=1e-5)


def test_the_state_is_that_of_torch_gru_and_the_step_count() -> None:
    network, x = RecurrentActorCritic(DISCRETE, Network(hidden_size=16, cell="gru")), observations()
    trunk = network.trunks[0]
    reference = nn.GRU(64, 16)
    reference.load_state_dict(trunk.cell.state_dict())
    expected = reference(trunk.embedding(x))[1][0]
    state = network(x)[3]
    assert state.shape == (3, 17)
    torch.testing.assert_close(state[:, :16], expected)
    assert state[:, 16].tolist() == [10, 10, 10]


@pytest.mark.parametrize("cell", ["lstm", "gru", "attention"])
def test_without_memory_a_step_depends_on_itself_alone(cell: Cell) -> None:
    network, x = RecurrentActorCritic(DISCRETE, Network(cell=cell, recurrent=False)), observations()
    shuffled = x.flip(0)
    _, values, _, _ = network(x)
    _, flipped, _, state = network(shuffled)
    torch.testing.assert_close(values.flip(0), flipped)
    assert (state[:, :-1] == 0).all()
    last, forged = network(x[-1:], torch.rand(3, network.state_size)), network(x)
    torch.testing.assert_close(last[0].log_probs[0], forged[0].log_probs[-1])
    with_memory = RecurrentActorCritic(DISCRETE, Network(cell=cell))
    assert not torch.allclose(with_memory(x)[1].flip(0), with_memory(shuffled)[1])
    count = [sum(p.numel() for p in net.parameters()) for net in (network, with_memory)]
    assert count[0] == count[1]


def test_noise_follows_the_stage_of_the_trial() -> None:
    network = RecurrentActorCritic(replace(CONTINUOUS, trial_length=64), Network())
    network.log_std.data = torch.arange(32.0).unsqueeze(-1).expand(32, 2)
    dist = network(observations(66))[0]
    # 64 steps in 32 stages of 2; past the end the last stage goes on.
    assert dist.log_std[:, 0, 0].tolist() == [t // 2 for t in range(64)] + [31, 31]
    assert len(RecurrentActorCritic(CONTINUOUS, Network()).log_std) == 10, "a short trial: one stage per step"
    assert len(RecurrentActorCritic(replace(CONTINUOUS, trial_length=None), Network()).log_std) == 1


def test_masked_actions_have_no_probability() -> None:
    network = RecurrentActorCritic(DISCRETE, Network())
    mask = torch.rand(10, 3, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    mask[..., 0] = True
    dist = network(observations(), masks=mask)[0]
    assert (dist.log_probs.exp()[~mask] == 0).all()
    torch.testing.assert_close(dist.log_probs.exp().sum(-1), torch.ones(10, 3))


def test_the_jacobian_of_tanh_cancels_in_the_ratio() -> None:
    # The action's own log-density is log N(u) - sum log(1 - tanh(u)^2); the difference of two policies is that of u.
    old = SquashedGaussian(torch.tensor([0.1, -0.3]), torch.tensor([-0.5, 0.2]))
    new = SquashedGaussian(torch.tensor([0.4, 0.2]), torch.tensor([-0.7, 0.1]))
    u = torch.tensor([0.8, -1.1])
    transform = torch.distributions.TanhTransform()
    densities = [
        torch.distributions.TransformedDistribution(torch.distributions.Normal(p.mean, p.log_std.exp()), transform)
        for p in (new, old)
    ]
    expected = (densities[0].log_prob(u.tanh()) - densities[1].log_prob(u.tanh())).sum()
    torch.testing.assert_close(new.log_prob(u) - old.log_prob(u), expected)
    torch.testing.assert_close(new.action(u), u.tanh())


def test_samples_of_the_gaussian_have_its_moments() -> None:
    dist = SquashedGaussian(torch.full((100_000,), 0.5), torch.full((100_000,), math.log(2.0)))
    samples = dist.sample(torch.Generator().manual_seed(0))
    # Four standard errors: sigma / sqrt(n), sigma / sqrt(2 n).
    assert samples.mean().item() == pytest.approx(0.5, abs=4 * 2 / 100_000**0.5)
    assert samples.std().item() == pytest.approx(2.0, abs=4 * 2 / 200_000**0.5)


def test_first_policy_is_nearly_uniform_and_weights_are_orthogonal() -> None:
    network = RecurrentActorCritic(DISCRETE, Network())
    probabilities = network(observations())[0].log_probs.exp()
    np.testing.assert_allclose(probabilities.detach().numpy(), 0.2, atol=0.02)
    for gate in network.trunks[0].cell.weight_hh_l0.detach().split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)


WITH_TASK = EnvDims(observation_size=7, n_actions=5, action_size=0, trial_length=10, task_dim=3)


def predicting(loss: Literal["mse", "bce"]) -> RecurrentActorCritic:
    """Predicts the task vector (0.8, -0.3, 0.0), and takes the first three actions with these log-odds."""
    network = RecurrentActorCritic(WITH_TASK, Network(shared=False), TaskPrediction(1.0, loss, feed_to_policy=True))
    assert network.task_head is not None
    for layer in (network.task_head, network.policy_head[-1], network.value_head[-1]):
        nn.init.zeros_(layer.weight)
    network.task_head.bias.data = torch.tensor([0.8, -0.3, 0.0])
    network.policy_head[-1].weight.data[:3, -3:] = torch.eye(3)
    network.value_head[-1].weight.data[0, -3:] = 1.0
    return network


@pytest.mark.parametrize(
    ("loss", "predicted"), [("mse", [0.8, -0.3, 0.0]), ("bce", [0.6899745, 0.4255575, 0.5])]
)  # 1 / (1 + exp(-0.8)) and 1 / (1 + exp(0.3))
def test_the_heads_see_the_prediction(loss: Literal["mse", "bce"], predicted: list[float]) -> None:
    dist, values, _, _ = predicting(loss)(observations())
    expected = torch.tensor([*predicted, 0.0, 0.0])
    torch.testing.assert_close(dist.log_probs[0, 1], expected.log_softmax(-1))
    assert values[0, 1].item() == pytest.approx(sum(predicted), rel=1e-5)


def test_no_gradient_flows_through_the_prediction() -> None:
    network = RecurrentActorCritic(WITH_TASK, Network(), TaskPrediction(1.0, feed_to_policy=True))
    dist, values, _, _ = network(observations())
    (dist.log_probs.sum() + values.sum()).backward()
    assert network.task_head is not None and network.task_head.weight.grad is None
    assert network.trunks[0].cell.weight_hh_l0.grad.abs().max() > 0


def test_a_prediction_that_is_not_fed_to_the_policy_leaves_its_input_alone() -> None:
    network = RecurrentActorCritic(WITH_TASK, Network(), TaskPrediction(1.0))
    assert network.policy_head[-1].in_features == RecurrentActorCritic(DISCRETE, Network()).policy_head[-1].in_features
    assert network.task_head is not None
