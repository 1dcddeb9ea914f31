"""What PEARL believes while it acts: the same step by step as after the whole context."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from toy_pearl import (
    MIXED,
    SMALL,
    STEPS,
    SUMMED,
    TRIALS,
    captured,
    gradients,
    materials,
    played,
    point,
    recorded,
    sharpened,
    without_sampling,
)

from metaenv.agents.belief import GaussianBelief, MixtureBelief, PooledBelief
from metaenv.agents.context import Context
from metaenv.agents.exploration import Exploration
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import BeliefConfig, ContextConfig, MixtureConfig, PEARLConfig, PEARLNetwork
from metaenv.experiments.speed.pearl import prepared_agent
from metaenv.trial import VectorTrial


@pytest.mark.parametrize("make", TRIALS)
def test_acting_step_by_step_believes_what_the_whole_context_tells(make: Callable[..., VectorTrial]) -> None:
    env = make()
    agent = sharpened(PEARL(env, SMALL, seed=0))
    observations, states = played(agent, env)
    d, latent = agent.dims.episode_size, SMALL.belief.latent_size
    assert len(states) == STEPS[make]
    for t, state in enumerate(states):
        mean, std = agent.posterior(observations[: t + 1])
        precision = state[:, d : d + latent] + 1
        np.testing.assert_allclose(precision**-0.5, std, rtol=1e-4)
        np.testing.assert_allclose(state[:, d + latent : d + 2 * latent] / precision, mean, rtol=1e-3, atol=1e-4)
    assert (std < 0.9).all(), "evidence sharpens the belief"
    one_mean, one_std = agent.posterior(observations[:, 1])
    np.testing.assert_allclose(one_mean, agent.posterior(observations)[0][1], rtol=1e-4, atol=1e-5)
    assert one_std.shape == (latent,)


@pytest.mark.parametrize("config", [MIXED, SUMMED], ids=["mixture", "sum"])
@pytest.mark.parametrize("make", TRIALS)
def test_acting_with_pooled_evidence_believes_what_the_whole_context_tells(
    make: Callable[..., VectorTrial], config: PEARLConfig
) -> None:
    env = make()
    agent = PEARL(env, config, seed=0)
    acting = agent.belief
    assert isinstance(acting, MixtureBelief if config is MIXED else PooledBelief)
    observations, states = played(agent, env)
    d, pool = agent.dims.episode_size, acting.evidence_size
    for t, state in enumerate(states):
        mean, std = agent.posterior(observations[: t + 1])
        with torch.no_grad():
            evidence = torch.from_numpy(state[:, d : d + pool])
            belief = acting.mixture(evidence) if isinstance(acting, MixtureBelief) else acting.encoder(evidence)
        np.testing.assert_allclose(belief.mean.numpy(), mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(belief.std.numpy(), std, rtol=1e-3, atol=1e-4)
    assert np.abs(mean - agent.posterior(observations[:1])[0]).max() > 1e-3, "steps tell something"
    assert config is MIXED or (std < 1).all(), "the belief is sharper than the prior"


@pytest.mark.parametrize("pooling", ["product", "sum"])
def test_what_two_steps_tell_together_needs_a_network_after_the_sum(pooling: Literal["product", "sum"]) -> None:
    """Of two signs z is the product. A product of Gaussians has a mean after (+, -) that lies between those after
    (+, +) and (-, -), because 2 u / (1 + 2 p) and 2 v / (1 + 2 q) average to (u + v) / (1 + p + q). The least squares
    in that order give (+, -) and one of the others 0, where 1 and -1 were asked for: an error of 2 / 3 on average."""
    torch.manual_seed(0)
    settings = BeliefConfig(latent_size=1, encoder_sizes=(16,), pooling=pooling)
    belief = (GaussianBelief if pooling == "product" else PooledBelief)(1, settings)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [0.0, 0.0]]).unsqueeze(-1)
    context = Context(signs, torch.tensor([[True, True]] * 3 + [[False, False]]))
    optimizer = torch.optim.Adam(belief.parameters(), lr=0.02)
    for _ in range(400):
        loss = (belief.infer(context).mean[:3, 0] - torch.tensor([1.0, -1.0, 1.0])).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss > 2 / 3 - 1e-6 if pooling == "product" else loss < 0.01
    padded = belief.infer(context).mean[3:]
    torch.testing.assert_close(padded, belief.prior(1).mean, msg="padding is no evidence")


def test_settings_of_pooling_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match='expected pooling "product" or "sum", got \'mean\''):
        BeliefConfig(pooling="mean")  # type: ignore[arg-type]
    for wrong in (BeliefConfig(mixture=MixtureConfig(3)), BeliefConfig(encoder_sizes=())):
        with pytest.raises(ValueError, match='with pooling="sum"'):
            replace(wrong, pooling="sum")


def test_one_observation_alone_tells_nothing() -> None:
    agent = PEARL(materials(), SMALL, seed=0)
    mean, std = agent.posterior(np.ones((1, 5, agent.dims.observation_size), np.float32))
    assert mean.tolist() == [[0, 0]] * 5 and std.tolist() == [[1, 1]] * 5
    with pytest.raises(ValueError, match="Expected a context of shape"):
        agent.posterior(np.ones((3, 4), np.float32))


def test_a_mixture_learns_from_beginnings_as_acting_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    env = point()
    agent = PEARL(env, replace(MIXED, n_tasks=3, context=ContextConfig(size=100)), seed=0)
    seen, met = recorded(env), list[Any]()
    agent.learn(1)
    assert isinstance(agent.belief, MixtureBelief)
    rng, beginnings = np.random.default_rng(0), agent.belief.mixture.beginnings
    monkeypatch.setattr(agent.belief.mixture, "beginnings", lambda *a: met.append((a[1], beginnings(*a))) or met[-1][1])
    replay, tasks = agent._training_tasks.replay, np.arange(3)
    context, hindsight = agent._contexts.sample(replay, tasks, rng), agent._contexts.hindsight(replay, tasks, 32, rng)
    agent._apply("mixture", agent.belief.loss(context, hindsight, rng, agent._generator))
    monkeypatch.undo()
    (lengths, evidence), (hints, _) = met
    agent = PEARL(env, agent.config, seed=0)  # as it was before that step
    assert isinstance(agent.belief, MixtureBelief)
    assert (lengths <= context.counts.sum(1, keepdim=True)).all() and lengths.max() > 20
    assert hints.min() == 0 and 1 <= hints.max() <= 4
    for row, k in np.ndindex(*lengths.shape):
        mean, _ = agent.posterior(np.stack(seen)[: int(lengths[row, k]) + 1, row])
        with torch.no_grad():
            believed = agent.belief.mixture(evidence[row, k])
        np.testing.assert_allclose(believed.mean.numpy(), mean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("config", [SMALL, MIXED])
def test_z_may_be_the_mean_of_the_belief(config: PEARLConfig) -> None:
    env = point()
    agent = sharpened(PEARL(env, replace(without_sampling(config), exploration=Exploration(prior_episodes=0)), seed=0))
    observations, states = played(agent, env)
    start = agent.dims.episode_size + agent.belief.evidence_size
    z = np.stack([state[:, start : start + 2] for state in states])
    for t in (0, 20):  # where episodes begin
        np.testing.assert_allclose(z[t], agent.posterior(observations[: t + 1])[0], rtol=1e-3, atol=1e-5)
    assert (z[20] != z[0]).all()


def test_a_mixture_learns_from_its_own_loss_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = prepared_agent(
        "SparsePointRobot",
        16,
        network=PEARLNetwork((16,)),
        belief=BeliefConfig(encoder_sizes=(16,), mixture=MixtureConfig(3)),
    )
    losses = captured(agent, monkeypatch)
    replay, rng = agent._training_tasks.replay, np.random.default_rng(0)
    assert isinstance(agent.belief, MixtureBelief)
    mixture = agent.belief.mixture
    tasks = np.arange(len(agent._training_tasks))
    context, hindsight = agent._contexts.sample(replay, tasks, rng), agent._contexts.hindsight(replay, tasks, 32, rng)
    agent._apply("mixture", agent.belief.loss(context, hindsight, rng, agent._generator))
    assert all(g is not None and g.abs().max() > 0 for g in gradients(losses["mixture"], mixture.head))
    for module in (agent.belief.encoder, agent.sac, agent.decoder):
        assert all(g is None for g in gradients(losses["mixture"], module))
    for name in ("critic", "actor"):
        assert all(g is None for g in gradients(losses[name], mixture))
