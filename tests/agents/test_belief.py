"""The belief over the latent task, against products of Gaussians worked by hand and PyTorch's own distributions."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metaenv.agents.belief import INITIAL_PRECISION, MAX_PRECISION, Belief, ContextEncoder


def factors(precision: list[list[float]], mean: list[list[float]]) -> Belief:
    p, m = torch.tensor(precision), torch.tensor(mean)
    return Belief(p, p * m)


def drawn(seed: int, *shape: int) -> Belief:
    generator = torch.Generator().manual_seed(seed)
    precision = torch.rand(shape, generator=generator) * 3 + 0.1
    return Belief(precision, precision * torch.randn(shape, generator=generator))


def test_product_with_two_factors_by_hand():
    # Variances 1/2 and 1/4 around 3 and -1, and the prior: precision 1 + 2 + 4, mean (2 * 3 - 4 * 1) / 7.
    belief = Belief.prior(1, 1).updated(factors([[2.0], [4.0]], [[3.0], [-1.0]]), torch.ones(2, dtype=torch.bool))
    assert belief.precision.item() == 7.0
    np.testing.assert_allclose(belief.mean.item(), 2 / 7, rtol=1e-6)
    np.testing.assert_allclose(belief.std.item(), 7**-0.5, rtol=1e-6)


def test_product_is_proportional_to_the_product_of_densities():
    belief, seen = Belief.prior(1, 2), drawn(0, 3, 2)
    after = belief.updated(seen, torch.ones(3, dtype=torch.bool))
    x = torch.linspace(-3, 3, 50).unsqueeze(-1).expand(-1, 2)
    logs = torch.distributions.Normal(0.0, 1.0).log_prob(x)
    for mean, std in zip(seen.mean, seen.std, strict=True):
        logs = logs + torch.distributions.Normal(mean, std).log_prob(x)
    difference = logs - torch.distributions.Normal(after.mean[0], after.std[0]).log_prob(x)
    np.testing.assert_allclose(difference.std(0).numpy(), 0, atol=2e-5)


def test_nothing_seen_is_the_standard_normal():
    belief = Belief.prior(3, 2).updated(drawn(1, 3, 4, 2), torch.zeros(3, 4, dtype=torch.bool))
    assert belief.mean.tolist() == [[0, 0]] * 3 and belief.std.tolist() == [[1, 1]] * 3
    assert belief.kl_to_prior().tolist() == [0, 0, 0]


@given(st.permutations(range(7)), st.lists(st.booleans(), min_size=7, max_size=7), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter_nor_what_is_masked(order: list[int], mask: list[bool], seed: int):
    seen, counts = drawn(seed, 7, 3), torch.tensor(mask)
    prior = Belief.prior(1, 3)
    expected = prior.updated(seen, counts)
    shuffled = prior.updated(Belief(seen.precision[order], seen.weighted_mean[order]), counts[order])
    noise = ~counts.unsqueeze(-1) * 100.0
    masked = prior.updated(Belief(seen.precision + noise, seen.weighted_mean - noise), counts)
    for other in (shuffled, masked):
        np.testing.assert_allclose(other.mean.numpy(), expected.mean.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other.std.numpy(), expected.std.numpy(), rtol=1e-5)


def test_evidence_in_parts_is_evidence_at_once():
    seen, all_count = drawn(2, 5, 6, 3), torch.ones(5, 6, dtype=torch.bool)
    at_once, in_parts = Belief.prior(5, 3).updated(seen, all_count), Belief.prior(5, 3)
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        piece = Belief(seen.precision[:, part], seen.weighted_mean[:, part])
        in_parts = in_parts.updated(piece, all_count[:, part])
    np.testing.assert_allclose(in_parts.mean.numpy(), at_once.mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(in_parts.std.numpy(), at_once.std.numpy(), rtol=1e-6)


def test_kl_is_that_of_torch():
    belief = drawn(3, 8, 4)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(belief.mean, belief.std), torch.distributions.Normal(0.0, 1.0)
    ).sum(-1)
    np.testing.assert_allclose(belief.kl_to_prior().numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_samples_have_the_beliefs_moments_and_gradients():
    belief = Belief(torch.tensor([[4.0]]), torch.tensor([[8.0]], requires_grad=True))
    many = Belief(belief.precision.expand(40_000, 1), belief.weighted_mean.expand(40_000, 1))
    z = many.sample(torch.Generator().manual_seed(0))
    # Mean 2 and standard deviation 0.5; the errors of 40,000 samples are 0.0025 and 0.0018.
    assert abs(z.mean().item() - 2) < 4 * 0.0025 and abs(z.std().item() - 0.5) < 4 * 0.0018
    (gradient,) = torch.autograd.grad(z.mean(), belief.weighted_mean)
    np.testing.assert_allclose(gradient.item(), 1 / 4, rtol=1e-5)


def test_factors_begin_weak_and_stay_bounded():
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
