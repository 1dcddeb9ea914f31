"""Soft actor-critic's pieces, against PyTorch's distributions and cases worked by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metaenv.agents.soft_actor_critic import ContinuousSoftActorCritic, DiscreteSoftActorCritic, SoftActorCritic


@pytest.fixture(autouse=True)
def same_weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constant(network: nn.Module, values: list[float]) -> None:
    """Let a network without hidden layers give the same values everywhere."""
    layer = next(m for m in network.modules() if isinstance(m, nn.Linear))
    nn.init.zeros_(layer.weight)
    layer.bias.data = torch.tensor(values)


# Chances 1/4 and 3/4 of the two allowed actions; the third is forbidden, and looks best.
LOGITS, MASK = [0.0, math.log(3), 9.0], torch.tensor([[True, True, False]])
CHANCES = np.array([0.25, 0.75])


def three_actions(ent_coef: float = 0.5) -> DiscreteSoftActorCritic:
    sac = DiscreteSoftActorCritic(2, 3, (), ent_coef, 0.3)
    constant(sac.actor, LOGITS)
    constant(sac.critic.first, [4.0, 2.0, 100.0])
    constant(sac.critic.second, [5.0, 1.0, 100.0])
    constant(sac.target_critic.first, [1.0, 5.0, 100.0])
    constant(sac.target_critic.second, [2.0, 3.0, 100.0])
    return sac


# ---------------------------------------------------------------- continuous actions


def test_log_density_of_squashed_actions():
    sac = ContinuousSoftActorCritic(3, 2, (16,), None, -1.0)
    x = torch.randn(500, 3)
    with torch.no_grad():
        action, log_prob = sac._sample(x, generator())
        mean, log_std, _ = sac.actor.get_action_dist_params(x)
    gaussian = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    squashed = torch.distributions.TransformedDistribution(gaussian, torch.distributions.transforms.TanhTransform())
    inside = (action.abs() < 0.99).all(-1)
    assert inside.sum() > 200
    np.testing.assert_allclose(log_prob[inside], squashed.log_prob(action)[inside], atol=2e-3)
    assert log_prob.isfinite().all()


def test_saturated_actions_have_finite_densities():
    sac = ContinuousSoftActorCritic(1, 1, (), None, -1.0)
    constant(sac.actor.mu, [50.0])
    loss, entropy, _ = sac.actor_loss(torch.zeros(8, 1), None, generator())
    loss.backward()
    assert entropy.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in sac.actor.parameters())


def test_continuous_actions_are_samples_or_the_mode():
    sac = ContinuousSoftActorCritic(1, 1, (), None, -1.0)
    constant(sac.actor.mu, [0.3])
    constant(sac.actor.log_std, [math.log(0.2)])
    x = torch.zeros(20_000, 1)
    with torch.no_grad():
        assert sac.act(x, None, generator(), True)[0].item() == pytest.approx(math.tanh(0.3))
        before = sac.act(x, None, generator(), False).atanh()
    assert before.mean().item() == pytest.approx(0.3, abs=4 * 0.2 / math.sqrt(20_000))
    assert before.std().item() == pytest.approx(0.2, rel=0.03)


def test_continuous_soft_value_and_actor_loss():
    sac = ContinuousSoftActorCritic(1, 1, (), 0.5, -1.0)
    constant(sac.actor.mu, [0.3])
    constant(sac.actor.log_std, [math.log(0.2)])
    for network, value in zip([*sac.critic.q_networks, *sac.target_critic.q_networks], (1.0, 2.0, 7.0, 4.0)):  # noqa: B905
        constant(network, [value])
    x = torch.zeros(50_000, 1)
    # Entropy of tanh(u): that of the Gaussian plus the mean log-slope, here by quadrature.
    u = torch.linspace(-2, 2.6, 20_001, dtype=torch.float64)
    density = torch.exp(torch.distributions.Normal(0.3, 0.2).log_prob(u))
    slope = torch.trapezoid(density * torch.log(1 - u.tanh() ** 2), u).item()
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.04) + slope
    assert sac.soft_value(x, None, generator()).mean().item() == pytest.approx(4 + 0.5 * entropy, abs=0.01)
    loss, found, target = sac.actor_loss(x, None, generator())
    assert loss.item() == pytest.approx(-1 - 0.5 * entropy, abs=0.01)
    assert found.mean().item() == pytest.approx(entropy, abs=0.02)
    assert target.tolist() == [-1.0] * len(x)


def test_actor_moves_to_where_the_critics_are_high():
    sac = ContinuousSoftActorCritic(1, 2, (8,), 1e-3, -1.0)
    goal = torch.tensor([0.5, -0.4])

    def q_values(x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        value = -(actions - goal).square().sum(-1)
        return value, value

    sac.q_values = q_values  # type: ignore[method-assign]
    optimizer, noise = torch.optim.Adam(sac.actor.parameters(), 0.02), generator()
    for _ in range(300):
        optimizer.zero_grad()
        sac.actor_loss(torch.zeros(32, 1), None, noise)[0].backward()
        optimizer.step()
    with torch.no_grad():
        np.testing.assert_allclose(sac.act(torch.zeros(1, 1), None, noise, True)[0], goal, atol=0.05)


# ---------------------------------------------------------------- discrete actions


def test_discrete_soft_value_by_hand():
    # Lowest of the two slow critics: 1 and 3.
    expected = (CHANCES * (np.array([1, 3]) - 0.5 * np.log(CHANCES))).sum()
    value = three_actions().soft_value(torch.randn(4, 2), MASK.expand(4, -1), generator())
    np.testing.assert_allclose(value, [expected] * 4, rtol=1e-5)
    assert not value.requires_grad


def test_discrete_actor_loss_by_hand():
    # Lowest of the two critics: 4 and 1.
    expected = (CHANCES * (0.5 * np.log(CHANCES) - np.array([4, 1]))).sum()
    loss, entropy, target = three_actions().actor_loss(torch.randn(4, 2), MASK.expand(4, -1), generator())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(entropy, [-(CHANCES * np.log(CHANCES)).sum()] * 4, rtol=1e-5)
    np.testing.assert_allclose(target, [0.3 * math.log(2)] * 4, rtol=1e-6)
    assert not entropy.requires_grad and not target.requires_grad
    _, _, without_mask = three_actions().actor_loss(torch.randn(4, 2), None, generator())
    np.testing.assert_allclose(without_mask, [0.3 * math.log(3)] * 4, rtol=1e-6)


def test_best_discrete_policy_is_a_softmax_of_the_values():
    # The minimum of E[a log p - Q] is p = softmax(Q / a).
    sac = three_actions(2.0)
    optimizer = torch.optim.Adam(sac.actor.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        sac.actor_loss(torch.zeros(1, 2), MASK, generator())[0].backward()
        optimizer.step()
    with torch.no_grad():
        logits = sac.actor(torch.zeros(1, 2))[0]
    assert (logits[0] - logits[1]).item() == pytest.approx((4 - 1) / 2, abs=0.02)


def test_discrete_actions_follow_their_chances_and_the_mask():
    sac, x = three_actions(), torch.zeros(20_000, 2)
    masks = MASK.expand(len(x), -1)
    actions = sac.act(x, masks, generator(), False)
    assert actions.dtype == torch.int64 and set(actions.tolist()) == {0, 1}
    assert actions.float().mean().item() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 20_000))
    assert set(sac.act(x, masks, generator(), True).tolist()) == {1}
    assert set(sac.act(x, None, generator(), True).tolist()) == {2}


def test_values_of_the_actions_that_were_taken():
    first, second = three_actions().q_values(torch.randn(3, 2), torch.tensor([1, 0, 2]))
    assert first.tolist() == [2, 4, 100] and second.tolist() == [1, 5, 100]


# ---------------------------------------------------------------- both


@pytest.fixture(params=["continuous", "discrete"])
def adaptive(request: pytest.FixtureRequest) -> SoftActorCritic:
    kind = ContinuousSoftActorCritic if request.param == "continuous" else DiscreteSoftActorCritic
    return kind(3, 2, (8,), None, 0.5)


def test_weight_of_the_entropy_moves_the_right_way(adaptive: SoftActorCritic):
    assert adaptive.ent_coef.item() == 1.0
    optimizer = torch.optim.SGD([adaptive.log_ent_coef], 0.1)
    for entropy, sign in ((2.0, -1), (0.0, 1)):
        before = adaptive.ent_coef.item()
        optimizer.zero_grad()
        adaptive.ent_coef_loss(torch.full((4,), entropy), torch.ones(4)).backward()
        optimizer.step()
        assert math.copysign(1, adaptive.ent_coef.item() - before) == sign


def test_losses_touch_no_slow_critic_and_no_weight_of_the_entropy(adaptive: SoftActorCritic):
    x = torch.randn(5, 3)
    loss, _, _ = adaptive.actor_loss(x, None, generator())
    adaptive.soft_value(x, None, generator())
    loss.backward()
    assert all(p.grad is None for p in adaptive.target_critic.parameters())
    assert adaptive.log_ent_coef.grad is None
    assert any(p.grad is not None for p in adaptive.actor.parameters())


def test_slow_critics_follow(adaptive: SoftActorCritic):
    slow = [p.clone() for p in adaptive.target_critic.parameters()]
    fast = list(adaptive.critic.parameters())
    assert all(torch.equal(a, b) for a, b in zip(slow, fast, strict=True)), "they begin equal"
    with torch.no_grad():
        for p in fast:
            p += 1.0
    adaptive.update_target(0.25)
    for before, after in zip(slow, adaptive.target_critic.parameters(), strict=True):
        np.testing.assert_allclose((after - before).detach(), 0.25, atol=1e-6)
        assert not after.requires_grad


@pytest.mark.parametrize("weight", [0.2, 1.0, 0.0])
def test_a_fixed_weight_of_the_entropy_is_what_was_given(weight: float):
    for sac in (ContinuousSoftActorCritic(3, 2, (8,), weight, -1.0), DiscreteSoftActorCritic(3, 2, (8,), weight, 0.2)):
        assert not sac.adapts
        assert sac.ent_coef.item() == pytest.approx(weight)
