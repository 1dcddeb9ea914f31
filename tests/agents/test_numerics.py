"""Expected values are worked out by hand, or by torch.distributions."""

import math

import numpy as np
import pytest
import torch

from metaenv.agents import numerics


def test_gae_by_hand() -> None:
    # gamma = lambda = 1/2. Errors: 1 + .5*2 - 1 = 1; 2 + 0 - 2 = 0 (terminated); 4 + .5*8 - 4 = 4.
    # Advantages: 4; 0, nothing follows a terminated step; 1 + .25*0 = 1.
    rewards, values = np.float32([[1], [2], [4]]), np.float32([[1], [2], [4]])
    terminated = np.array([[False], [True], [False]])
    advantages, returns = numerics.gae(rewards, values, terminated, np.float32([8]), 0.5, 0.5)
    np.testing.assert_allclose(advantages[:, 0], [1, 0, 4])
    np.testing.assert_allclose(returns[:, 0], [2, 2, 8])


def test_gae_carries_later_errors_back() -> None:
    # No terminals, gamma = 1, lambda = 1/2, values 0: errors are rewards; A1 = 4, A0 = 2 + 4/2 = 4.
    zeros = np.zeros((2, 1), np.float32)
    advantages, _ = numerics.gae(np.float32([[2], [4]]), zeros, zeros.astype(bool), zeros[0], 1.0, 0.5)
    np.testing.assert_allclose(advantages[:, 0], [4, 4])


def test_gae_with_lambda_1_is_the_discounted_return_minus_the_value() -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 7, 3)).astype(np.float32)
    never, nothing = np.zeros((7, 3), np.bool_), np.zeros(3, np.float32)
    _, returns = numerics.gae(rewards, values, never, nothing, 0.9, 1.0)
    expected = [sum(0.9 ** (s - t) * rewards[s] for s in range(t, 7)) for t in range(7)]
    np.testing.assert_allclose(returns, expected, atol=1e-5)


def test_gae_of_zero_padding_is_that_of_the_shorter_trial() -> None:
    rewards, values = np.float32([[1], [2]]), np.float32([[3], [5]])
    never, nothing = np.zeros((2, 1), np.bool_), np.zeros(1, np.float32)
    short, _ = numerics.gae(rewards, values, never, nothing, 0.9, 0.8)
    padded, _ = numerics.gae(
        np.pad(rewards, ((0, 2), (0, 0))), np.pad(values, ((0, 2), (0, 0))), np.zeros((4, 1), bool), nothing, 0.9, 0.8
    )
    np.testing.assert_array_equal(padded[:2], short)


@pytest.mark.parametrize(
    ("predicted", "expected"), [([1, 2, 3], 1.0), ([2, 2, 2], 0.0), ([3, 2, 1], -3.0), ([11, 12, 13], 1.0)]
)
def test_explained_variance_by_hand(predicted: list[float], expected: float) -> None:
    assert numerics.explained_variance(np.float32(predicted), np.float32([1, 2, 3])) == pytest.approx(expected)


def test_compressed_rewards_by_hand() -> None:
    rewards = np.array([0, 1e-4, 1, -1, 3 * (np.e**2 - 1)], np.float32)
    np.testing.assert_allclose(
        numerics.compressed(rewards, 3.0), [0, 1e-4, 3 * np.log(4 / 3), -3 * np.log(4 / 3), 6], rtol=1e-4
    )


def test_explained_variance_of_a_constant_is_undefined() -> None:
    assert math.isnan(numerics.explained_variance(np.float32([1, 2]), np.float32([3, 3])))


def test_masked_log_softmax_by_hand() -> None:
    logits = torch.tensor([math.log(1.0), math.log(5.0), math.log(3.0)])
    log_probs = numerics.masked_log_softmax(logits, torch.tensor([True, False, True]))
    torch.testing.assert_close(log_probs.exp(), torch.tensor([0.25, 0.0, 0.75]))
    assert log_probs.exp()[1] == 0.0
    torch.testing.assert_close(numerics.masked_log_softmax(logits).exp(), torch.tensor([1 / 9, 5 / 9, 3 / 9]))


def test_masked_entropy_and_its_gradient_are_those_of_the_allowed_actions() -> None:
    logits = torch.zeros(4, requires_grad=True)
    mask = torch.tensor([True, True, False, False])
    entropy = numerics.categorical_entropy(numerics.masked_log_softmax(logits, mask))
    entropy.backward()
    assert entropy.item() == pytest.approx(math.log(2))
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_samples_have_the_probabilities_asked_for() -> None:
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3])
    log_probs = numerics.masked_log_softmax(probabilities.clamp(min=1e-9).log(), probabilities > 0)
    samples = numerics.sample_categorical(log_probs.expand(100_000, 4), torch.Generator().manual_seed(0))
    frequencies = torch.bincount(samples, minlength=4) / 100_000
    assert frequencies[1] == 0.0
    # Four standard errors of a frequency near one half.
    torch.testing.assert_close(frequencies, probabilities, atol=4 * 0.5 / 100_000**0.5, rtol=0)


def test_gaussian_by_hand() -> None:
    # Standard normal at 0 and N(1, 2^2) at 3: -log sqrt(2 pi) and -1/2 - log 2 - log sqrt(2 pi).
    value = numerics.gaussian_log_prob(
        torch.tensor([0.0, 3.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, math.log(2)])
    )
    assert value.item() == pytest.approx(-math.log(2 * math.pi) - 0.5 - math.log(2))
    # Entropy of N(0, s^2) is log(s sqrt(2 pi e)); 1.418939 for s = 1.
    assert numerics.gaussian_entropy(torch.zeros(1)).item() == pytest.approx(1.4189385)
    assert numerics.gaussian_entropy(torch.tensor([0.0, 1.0])).item() == pytest.approx(2 * 1.4189385 + 1)


def test_gaussian_agrees_with_torch_distributions() -> None:
    mean, log_std, x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    reference = torch.distributions.Normal(mean, log_std.exp())
    torch.testing.assert_close(numerics.gaussian_log_prob(x, mean, log_std), reference.log_prob(x).sum(-1))
    torch.testing.assert_close(numerics.gaussian_entropy(log_std), reference.entropy().sum(-1))
