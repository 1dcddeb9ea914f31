"""The belief over the latent task, against products of Gaussians worked by hand and PyTorch's own distributions."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metaenv.agents.context_encoder import (
    INITIAL_PRECISION,
    MAX_PRECISION,
    ContextEncoder,
    Gaussian,
    Mixture,
    MixtureEncoder,
)


def factors(precision: list[list[float]], mean: list[list[float]]) -> Gaussian:
    p, m = torch.tensor(precision), torch.tensor(mean)
    return Gaussian(p, p * m)


def drawn(seed: int, *shape: int) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    precision = torch.rand(shape, generator=generator) * 3 + 0.1
    return Gaussian(precision, precision * torch.randn(shape, generator=generator))


def test_product_with_two_factors_by_hand() -> None:
    # Variances 1/2 and 1/4 around 3 and -1, and the prior: precision 1 + 2 + 4, mean (2 * 3 - 4 * 1) / 7.
    belief = Gaussian.prior(1, 1).updated(factors([[2.0], [4.0]], [[3.0], [-1.0]]), torch.ones(2, dtype=torch.bool))
    assert belief.precision.item() == 7.0
    np.testing.assert_allclose(belief.mean.item(), 2 / 7, rtol=1e-6)
    np.testing.assert_allclose(belief.std.item(), 7**-0.5, rtol=1e-6)


def test_product_is_proportional_to_the_product_of_densities() -> None:
    belief, seen = Gaussian.prior(1, 2), drawn(0, 3, 2)
    after = belief.updated(seen, torch.ones(3, dtype=torch.bool))
    x = torch.linspace(-3, 3, 50).unsqueeze(-1).expand(-1, 2)
    logs = torch.distributions.Normal(0.0, 1.0).log_prob(x)
    for mean, std in zip(seen.mean, seen.std, strict=True):
        logs = logs + torch.distributions.Normal(mean, std).log_prob(x)
    difference = logs - torch.distributions.Normal(after.mean[0], after.std[0]).log_prob(x)
    np.testing.assert_allclose(difference.std(0).numpy(), 0, atol=2e-5)


def test_nothing_seen_is_the_standard_normal() -> None:
    belief = Gaussian.prior(3, 2).updated(drawn(1, 3, 4, 2), torch.zeros(3, 4, dtype=torch.bool))
    assert belief.mean.tolist() == [[0, 0]] * 3 and belief.std.tolist() == [[1, 1]] * 3
    assert belief.kl_to_prior().tolist() == [0, 0, 0]


@given(st.permutations(range(7)), st.lists(st.booleans(), min_size=7, max_size=7), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter_nor_what_is_masked(order: list[int], mask: list[bool], seed: int) -> None:
    seen, counts = drawn(seed, 7, 3), torch.tensor(mask)
    prior = Gaussian.prior(1, 3)
    expected = prior.updated(seen, counts)
    shuffled = prior.updated(Gaussian(seen.precision[order], seen.weighted_mean[order]), counts[order])
    noise = ~counts.unsqueeze(-1) * 100.0
    masked = prior.updated(Gaussian(seen.precision + noise, seen.weighted_mean - noise), counts)
    for other in (shuffled, masked):
        np.testing.assert_allclose(other.mean.numpy(), expected.mean.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other.std.numpy(), expected.std.numpy(), rtol=1e-5)


def test_evidence_in_parts_is_evidence_at_once() -> None:
    seen, all_count = drawn(2, 5, 6, 3), torch.ones(5, 6, dtype=torch.bool)
    at_once, in_parts = Gaussian.prior(5, 3).updated(seen, all_count), Gaussian.prior(5, 3)
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        piece = Gaussian(seen.precision[:, part], seen.weighted_mean[:, part])
        in_parts = in_parts.updated(piece, all_count[:, part])
    np.testing.assert_allclose(in_parts.mean.numpy(), at_once.mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(in_parts.std.numpy(), at_once.std.numpy(), rtol=1e-6)


def test_kl_is_that_of_torch() -> None:
    belief = drawn(3, 8, 4)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(belief.mean, belief.std), torch.distributions.Normal(0.0, 1.0)
    ).sum(-1)
    np.testing.assert_allclose(belief.kl_to_prior().numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_samples_have_the_beliefs_moments_and_gradients() -> None:
    belief = Gaussian(torch.tensor([[4.0]]), torch.tensor([[8.0]], requires_grad=True))
    many = Gaussian(belief.precision.expand(40_000, 1), belief.weighted_mean.expand(40_000, 1))
    z = many.sample(torch.Generator().manual_seed(0))
    # Mean 2 and standard deviation 0.5; the errors of 40,000 samples are 0.0025 and 0.0018.
    assert abs(z.mean().item() - 2) < 4 * 0.0025 and abs(z.std().item() - 0.5) < 4 * 0.0018
    (gradient,) = torch.autograd.grad(z.mean(), belief.weighted_mean)
    np.testing.assert_allclose(gradient.item(), 1 / 4, rtol=1e-5)


def test_factors_begin_weak_and_stay_bounded() -> None:
    torch.manual_seed(0)
    encoder = ContextEncoder(4, (8,), 3)
    with torch.no_grad():
        assert encoder(torch.zeros(5, 2, 4)).precision.shape == (5, 2, 3)
        for parameter in encoder.network[-1].parameters():
            parameter[3:] = 0
        encoder.network[-1].bias[3:] = INITIAL_PRECISION
        # softplus(-3) = log(1 + exp(-3))
        np.testing.assert_allclose(encoder(torch.randn(9, 4)).precision.numpy(), np.log1p(np.exp(-3)), rtol=1e-5)
        encoder.network[-1].bias[3:] = 1e9
        assert encoder(torch.randn(9, 4)).precision.max().item() == MAX_PRECISION


def test_repeated_beliefs_are_the_same_without_gradient() -> None:
    belief = Gaussian(torch.rand(3, 2, requires_grad=True) + 0.1, torch.randn(3, 2, requires_grad=True))
    many = belief.repeated(4)
    assert many.mean.shape == (3, 4, 2) and not many.mean.requires_grad and not many.precision.requires_grad
    for k in range(4):
        assert torch.equal(many.mean[:, k], belief.mean) and torch.equal(many.std[:, k], belief.std)


# ---------------------------------------------------------------- mixtures


def random_mixture(seed: int, n: int, components: int, latent: int) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, components, generator=generator)
    means = torch.randn(n, components, latent, generator=generator)
    stds = torch.rand(n, components, latent, generator=generator) + 0.2
    return Mixture(logits.log_softmax(-1), means, stds)


def of_torch(mixture: Mixture) -> torch.distributions.MixtureSameFamily:
    parts = torch.distributions.Independent(torch.distributions.Normal(mixture.means, mixture.stds), 1)
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=mixture.log_weights), parts)


def test_densities_and_moments_of_a_mixture_are_those_of_torch() -> None:
    mixture, z = random_mixture(0, 6, 4, 3), torch.randn(6, 3)
    expected = of_torch(mixture)
    np.testing.assert_allclose(mixture.log_prob(z).numpy(), expected.log_prob(z).numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mixture.mean.numpy(), expected.mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mixture.std.numpy(), expected.stddev.numpy(), rtol=1e-5)


def test_samples_of_a_mixture_come_from_its_components() -> None:
    # Two narrow components, at (-1, 0) with probability 0.2 and at (1, 0.5) with 0.8.
    log_weights = torch.tensor([0.2, 0.8]).log().expand(40_000, 2)
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]]).expand(40_000, 2, 2)
    z = Mixture(log_weights, means, torch.full_like(means, 0.01)).sample(torch.Generator().manual_seed(0))
    left = (z - torch.tensor([-1.0, 0.0])).abs().amax(1) < 0.06
    right = (z - torch.tensor([1.0, 0.5])).abs().amax(1) < 0.06
    assert (left | right).all()
    assert abs(left.float().mean().item() - 0.2) < 4 * 0.002  # the error of 40,000 draws
    assert z[left].std(0).max().item() < 0.011


def pooled() -> MixtureEncoder:
    torch.manual_seed(0)
    return MixtureEncoder(5, (8,), 2, 6, 3)


@given(st.permutations(range(7)), st.integers(0, 7), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_evidence_of_a_mixture_in_any_order_and_in_parts(order: list[int], cut: int, seed: int) -> None:
    encoder, steps = pooled(), torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(seed))
    told = encoder.evidence(steps).detach()
    at_once = encoder.beginnings(told, torch.full((2, 1), 7)).squeeze(1)
    shuffled = encoder.beginnings(told[:, order], torch.tensor([[cut, 7]] * 2))
    np.testing.assert_allclose(shuffled[:, 1].numpy(), at_once.numpy(), rtol=1e-5, atol=1e-6)
    one_by_one = torch.zeros(2, 6)
    for k, step in enumerate(order):
        if k == cut:
            np.testing.assert_allclose(one_by_one.numpy(), shuffled[:, 0].numpy(), rtol=1e-5, atol=1e-6)
        one_by_one = encoder.merged(one_by_one, told[:, step])
    np.testing.assert_allclose(one_by_one.numpy(), at_once.numpy(), rtol=1e-5, atol=1e-6)


def test_half_of_the_evidence_counts_and_half_does_not() -> None:
    encoder = pooled()
    told = encoder.evidence(torch.randn(1, 1, 5)).detach()
    assert told.min() >= 0 and (told[..., :3] > 0).any() and (told[..., 3:] > 0).any()
    ten = encoder.beginnings(told.expand(1, 10, 6), torch.tensor([[0, 10]]))[0]
    assert ten[0].tolist() == [0] * 6
    np.testing.assert_allclose(ten[1, :3].numpy(), 10 * told[0, 0, :3].numpy(), rtol=1e-5)
    np.testing.assert_allclose(ten[1, 3:].numpy(), told[0, 0, 3:].numpy())


def test_a_mixture_learns_where_the_task_is_not() -> None:
    # Three tasks at z = -1, 0 and 1. A context is a miss at one of them, or nothing: what is left is equally likely.
    torch.manual_seed(0)
    encoder, generator = MixtureEncoder(3, (32,), 1, 16, 4), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
    for _ in range(400):
        task = torch.randint(3, (256,), generator=generator)
        miss = (task + 1 + torch.randint(2, (256,), generator=generator)) % 3
        told = encoder.evidence(torch.nn.functional.one_hot(miss, 3).float())
        told = told * (torch.rand(256, 1, generator=generator) < 0.7)
        z = (task - 1 + 0.1 * torch.randn(256, generator=generator)).unsqueeze(-1)
        loss = -encoder(told).log_prob(z).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    told = torch.cat([torch.zeros(1, 16), encoder.evidence(torch.eye(3))])
    z = encoder(told.repeat_interleave(4000, 0)).sample(torch.Generator().manual_seed(1)).reshape(4, 4000)
    shares = torch.stack([((z - m).abs() < 0.4).float().mean(1) for m in (-1, 0, 1)], 1).detach()
    expected = np.array([[1 / 3] * 3, [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    np.testing.assert_allclose(shares.numpy(), expected, atol=0.08)
