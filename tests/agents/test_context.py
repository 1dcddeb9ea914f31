"""Contexts in training are what acting sees, whatever the strategy that samples them."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_pearl import ENDS, MIXED, SMALL, STEPS, TRIALS, bandit, grid, played, point, recorded, sharpened

from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import ContextConfig, PEARLConfig, PEARLNetwork
from metaenv.trial import VectorTrial, make_trials


def assert_training_contexts_are_what_acting_sees(
    env: VectorTrial, steps: int, network: PEARLNetwork = SMALL.network
) -> PEARL:
    config = replace(SMALL, n_tasks=3, context=ContextConfig(size=100), network=network)
    agent = sharpened(PEARL(env, config, seed=0))
    seen = recorded(env)
    agent.learn(1)  # one trial of each of the three tasks, in their order
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(12):
        counts = agent._training_tasks.replay.contexts(np.arange(3), 100, 0.0, copy.deepcopy(rng))[1]
        with torch.no_grad():
            belief = agent.belief.infer(agent._contexts.sample(agent._training_tasks.replay, np.arange(3), rng))
        for row, length in enumerate(counts.sum(1)):
            mean, std = agent.posterior(np.stack(seen)[: length + 1, row])
            np.testing.assert_allclose(belief.std[row], std, rtol=1e-4)
            np.testing.assert_allclose(belief.mean[row], mean, rtol=1e-3, atol=1e-4)
            lengths.add(int(length))
    assert max(lengths) > steps / 2, "past the boundaries of episodes"
    return agent


@pytest.mark.parametrize("make", TRIALS)
def test_contexts_in_training_are_what_acting_sees(make: Callable[..., VectorTrial]) -> None:
    assert_training_contexts_are_what_acting_sees(make(), STEPS[make])


def test_a_context_blind_agent_trains_on_what_it_will_see() -> None:
    assert_training_contexts_are_what_acting_sees(bandit(hide_history=True), 10)


def test_some_columns_of_the_last_observation_are_reported() -> None:
    env = make_trials("TargetSelection", 3, episodes=2, autoreset_mode="SameStep")
    assert_training_contexts_are_what_acting_sees(env, 12)


def test_of_a_list_that_is_reported_a_step_holds_the_mean_products() -> None:
    env = make_trials("TargetSelection", 3, episodes=2, autoreset_mode="SameStep")
    network = PEARLNetwork((16,), entities=True, entity_size=4)
    agent = assert_training_contexts_are_what_acting_sees(env, 12, network)
    columns, size = env.innermost.layout.log, agent.dims.report  # type: ignore[attr-defined]
    assert size is not None
    before = torch.zeros(1, agent.dims.episode_size)
    outcome = torch.zeros(1, agent.dims.episode_size + 25 + 2)
    outcome[0, columns] = listed = torch.randn(size[0] * size[1], generator=torch.Generator().manual_seed(0))
    (step,) = agent._contexts._features(before, outcome)
    assert step.shape == (agent._contexts.step_size,)
    entries = listed.numpy().reshape(size)
    products = [(entries[i] * entries[j]).mean() for i in range(size[0]) for j in range(i, size[0])]
    np.testing.assert_allclose(step[-2 - len(products) : -2], products, rtol=1e-5, atol=1e-6)
    assert not step[: -2 - len(products)].any() and not step[-2:].any()


@pytest.mark.parametrize("config", [replace(SMALL, context=ENDS), replace(MIXED, context=ENDS)])
@pytest.mark.parametrize("make", [point, grid])
def test_of_context_ends_acting_believes_what_the_whole_context_tells(
    make: Callable[..., VectorTrial], config: PEARLConfig
) -> None:
    env = make()
    agent = sharpened(PEARL(env, config, seed=0))
    observations, states = played(agent, env)
    d, steps = agent.dims.episode_size, STEPS[make] // 2
    evidence = np.stack([state[:, d : d + agent.belief.evidence_size] for state in states])
    assert (evidence[:steps] == 0).all(), "nothing is learned before the first episode ends"
    assert (evidence[steps:] == evidence[steps]).all() and (evidence[steps] != 0).any()
    with torch.no_grad():
        alone = agent.posterior(observations)
        for k in (0, steps):  # how episodes go before they end does not matter
            observations[k + 1 : k + steps - 1, :, :d] += 1
        np.testing.assert_allclose(agent.posterior(observations)[0], alone[0], rtol=1e-4, atol=1e-5)


def test_of_context_ends_training_sees_what_acting_sees() -> None:
    env = point()
    agent = sharpened(PEARL(env, replace(SMALL, context=ENDS, n_tasks=3), seed=0))
    seen = recorded(env)
    agent.learn(1)
    tasks, rng, sizes = np.arange(3), np.random.default_rng(0), set[int]()
    for _ in range(20):
        context = agent._contexts.sample(agent._training_tasks.replay, tasks, rng)
        with torch.no_grad():
            belief = agent.belief.infer(context)
        for row, size in enumerate(context.counts.sum(1)):
            sizes.add(int(size))
            if size == 2:  # both episodes of the trial, in whatever order
                mean, std = agent.posterior(np.stack(seen)[:, row])
                np.testing.assert_allclose(belief.mean[row], mean, rtol=1e-3, atol=1e-4)
                np.testing.assert_allclose(belief.std[row], std, rtol=1e-4)
    assert sizes == {0, 1, 2}
