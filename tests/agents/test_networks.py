import math

import numpy as np
import pytest
import torch
from torch import nn

from metaenv.agents.networks import Cell, RecurrentActorCritic, SquashedGaussian
from metaenv.agents.trial_spaces import TrialSpaces

DISCRETE = TrialSpaces(observation_size=7, n_actions=5, action_size=0, trial_length=10)
CONTINUOUS = TrialSpaces(observation_size=7, n_actions=None, action_size=2, trial_length=10)


def observations(steps: int = 10, n: int = 3) -> torch.Tensor:
    return torch.randn(steps, n, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", ["gru", "lstm", "attention"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("spaces", [DISCRETE, CONTINUOUS])
def test_step_by_step_is_the_whole_sequence(cell: Cell, shared: bool, spaces: TrialSpaces) -> None:
    network, x = RecurrentActorCritic(spaces, cell=cell, shared=shared, log_std_rows=10), observations()
    network.log_std.data.normal_()
    law, values, _, final = network(x)
    sample, state, log_probs, step_values = law.mode(), None, [], []
    for t in range(10):
        step_law, value, _, state = network(x[t : t + 1], state)
        log_probs.append(step_law.log_prob(sample[t : t + 1]))
        step_values.append(value)
    torch.testing.assert_close(torch.cat(log_probs), law.log_prob(sample), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat(step_values), values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, final, atol=1e-5, rtol=1e-5)


def test_the_state_is_that_of_torch_gru_and_the_step_count() -> None:
    network, x = RecurrentActorCritic(DISCRETE, hidden_size=16), observations()
    trunk = network.trunks[0]
    reference = nn.GRU(64, 16)
    reference.load_state_dict(trunk.cell.state_dict())
    expected = reference(trunk.embedding(x))[1][0]
    state = network(x)[3]
    assert state.shape == (3, 17)
    torch.testing.assert_close(state[:, :16], expected)
    assert state[:, 16].tolist() == [10, 10, 10]


@pytest.mark.parametrize("shared", [True, False])
def test_half_precision_rounds_the_memory_alone(shared: bool) -> None:
    network, x = RecurrentActorCritic(DISCRETE, cell="lstm", shared=shared, half_precision=True), observations()
    exact = RecurrentActorCritic(DISCRETE, cell="lstm", shared=shared)
    exact.load_state_dict(network.state_dict())
    (_, values, features, state), (_, exact_values, exact_features, exact_state) = network(x), exact(x)
    assert all(part.dtype == torch.float32 for part in (values, features, state, *network.parameters()))
    # bfloat16 has 8 bits: rounding moves numbers of size 1 by up to 0.004, over ten steps by several times that.
    torch.testing.assert_close(state, exact_state, atol=0.03, rtol=0.03)
    torch.testing.assert_close(values, exact_values, atol=0.1, rtol=0.03)
    assert not torch.equal(features, exact_features)
    half, state = [], None
    for t in range(10):
        _, value, _, state = network(x[t : t + 1], state)
        half.append(value)
    torch.testing.assert_close(torch.cat(half), values, atol=0.05, rtol=0.02)


def test_without_memory_a_step_depends_on_itself_alone() -> None:
    network, x = RecurrentActorCritic(DISCRETE, memory=False), observations()
    shuffled = x.flip(0)
    _, values, _, _ = network(x)
    _, flipped, _, state = network(shuffled)
    torch.testing.assert_close(values.flip(0), flipped)
    assert (state[:, :-1] == 0).all()
    with_memory = RecurrentActorCritic(DISCRETE)
    assert not torch.allclose(with_memory(x)[1].flip(0), with_memory(shuffled)[1])
    count = [sum(p.numel() for p in net.parameters()) for net in (network, with_memory)]
    assert count[0] == count[1]


def test_noise_follows_the_stage_of_the_trial() -> None:
    network = RecurrentActorCritic(CONTINUOUS, log_std_rows=5)
    network.log_std.data = torch.arange(5.0).unsqueeze(-1).expand(5, 2)
    law = network(observations(12))[0]
    # 10 steps in 5 stages of 2; past the end the last stage goes on.
    assert law.log_std[:, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]


def test_masked_actions_have_no_probability() -> None:
    network = RecurrentActorCritic(DISCRETE)
    mask = torch.rand(10, 3, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    mask[..., 0] = True
    law = network(observations(), masks=mask)[0]
    assert (law.log_probs.exp()[~mask] == 0).all()
    torch.testing.assert_close(law.log_probs.exp().sum(-1), torch.ones(10, 3))


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
    law = SquashedGaussian(torch.full((100_000,), 0.5), torch.full((100_000,), math.log(2.0)))
    samples = law.sample(torch.Generator().manual_seed(0))
    # Four standard errors: sigma / sqrt(n), sigma / sqrt(2 n).
    assert samples.mean().item() == pytest.approx(0.5, abs=4 * 2 / 100_000**0.5)
    assert samples.std().item() == pytest.approx(2.0, abs=4 * 2 / 200_000**0.5)


def test_first_policy_is_nearly_uniform_and_weights_are_orthogonal() -> None:
    network = RecurrentActorCritic(DISCRETE)
    probabilities = network(observations())[0].log_probs.exp()
    np.testing.assert_allclose(probabilities.detach().numpy(), 0.2, atol=0.02)
    for gate in network.trunks[0].cell.weight_hh_l0.detach().split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)


def believing(binary: bool) -> RecurrentActorCritic:
    """Believes in the context (0.8, -0.3, 0.0), and takes the first three actions with log-odds as it believes."""
    spaces = TrialSpaces(observation_size=7, n_actions=5, action_size=0, trial_length=10, context_size=3)
    network = RecurrentActorCritic(spaces, shared=False, belief=True, binary_context=binary)
    assert network.context_head is not None
    for layer in (network.context_head, network.policy_head[-1], network.value_head[-1]):
        nn.init.zeros_(layer.weight)
    network.context_head.bias.data = torch.tensor([0.8, -0.3, 0.0])
    network.policy_head[-1].weight.data[:3, -3:] = torch.eye(3)
    network.value_head[-1].weight.data[0, -3:] = 1.0
    return network


@pytest.mark.parametrize(
    ("binary", "belief"), [(False, [0.8, -0.3, 0.0]), (True, [0.6899745, 0.4255575, 0.5])]
)  # 1 / (1 + exp(-0.8)) and 1 / (1 + exp(0.3))
def test_the_heads_see_the_belief_or_the_truth(binary: bool, belief: list[float]) -> None:
    network, truth = believing(binary), [1.0, 0.0, 1.0]
    contexts, revealed = torch.tensor(truth).expand(10, 3, 3), torch.tensor([True, False, False]).expand(10, 3)
    law, values, _, _ = network(observations(), contexts=contexts, revealed=revealed)
    for trial, seen in ((0, truth), (1, belief)):
        expected = torch.tensor([*seen, 0.0, 0.0])
        torch.testing.assert_close(law.log_probs[0, trial], expected.log_softmax(-1))
        assert values[0, trial].item() == pytest.approx(sum(seen), rel=1e-5)


def test_no_gradient_flows_through_the_belief() -> None:
    network = RecurrentActorCritic(
        TrialSpaces(observation_size=7, n_actions=5, action_size=0, trial_length=10, context_size=3), belief=True
    )
    law, values, _, _ = network(observations())
    (law.log_probs.sum() + values.sum()).backward()
    assert network.context_head is not None and network.context_head.weight.grad is None
    assert network.trunks[0].cell.weight_hh_l0.grad.abs().max() > 0


def test_errors_of_the_predicted_context_by_hand() -> None:
    features, contexts = torch.zeros(1, 1, 128), torch.tensor([[[1.0, 0.0, 1.0]]])
    squares = (0.2**2 + 0.3**2 + 1) / 3
    assert believing(False).context_error(features, contexts).item() == pytest.approx(squares)
    # -log of the probability given to what is so.
    entropies = -(math.log(0.6899745) + math.log(1 - 0.4255575) + math.log(0.5)) / 3
    assert believing(True).context_error(features, contexts).item() == pytest.approx(entropies, rel=1e-5)
