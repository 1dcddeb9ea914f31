"""Lists that a trial reports at the end of an episode: how they are summed up, kept, and used to give credit."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from metaenv import make_trials
from metaenv.agents import PEARL, RL2
from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import EntityLayout, SetEncoder
from metaenv.agents.networks import RecurrentActorCritic
from metaenv.agents.pearl_config import PEARLConfig, PEARLNetwork
from metaenv.agents.rl2_config import Cell, Network, RL2Config
from metaenv.controls import EpisodesAsTrials
from metaenv.telescope.sim.layout import LOG

# An item of one number, two actions (that item, or none), a report of three entries of two numbers.
DIMS = EnvDims(1 + 6 + 2 + 3, 2, 0, 4, 0, (1, 1), report=(2, 3))


def observations(reports: list[list[list[float]]]) -> torch.Tensor:
    """(T, 1, 12), in which the trial reports these lists (T, 3 entries, 2 numbers)."""
    steps = [[0.5, *np.asarray(entries).T.ravel(), 0, 1, 0.1, 0, 0.2] for entries in reports]
    return torch.tensor(steps, dtype=torch.float32)[:, None]


NOTHING = [[0.0, 0.0]] * 3
FIRST, SECOND = [[1.0, 2.0], [0.0, 1.0], [2.0, -1.0]], [[0.0, 3.0], [0.0, 0.0], [1.0, 1.0]]
# Sums of x x, x y and y y over the entries, by three.
FIRST_PRODUCTS, SECOND_PRODUCTS = [5 / 3, 0, 6 / 3], [1 / 3, 1 / 3, 10 / 3]


def test_a_report_is_summed_up_by_the_mean_products_of_its_numbers() -> None:
    encoder = SetEncoder(EntityLayout((1, 1), 2), 12, 4, (2, 3))
    seen = encoder(observations([FIRST, SECOND, NOTHING]))
    assert seen.report is not None
    np.testing.assert_allclose(seen.report[:, 0], [FIRST_PRODUCTS, SECOND_PRODUCTS, [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "attention"])
def test_the_sum_of_the_reports_is_carried_on(cell: Cell) -> None:
    torch.manual_seed(0)
    policy = RecurrentActorCritic(DIMS, Network((8,), 8, cell=cell, entities=True, entity_size=4))
    trial = observations([NOTHING, FIRST, NOTHING, SECOND])
    whole, values, _, state = policy(trial)
    total = np.add(FIRST_PRODUCTS, SECOND_PRODUCTS)
    np.testing.assert_allclose(state[0, -4:].detach(), [*total, 4.0], rtol=1e-6)
    state = None
    with torch.no_grad():
        for step in range(4):
            dist, value, _, state = policy(trial[step : step + 1], state)
            torch.testing.assert_close(dist.log_probs[0], whole.log_probs[step])
            torch.testing.assert_close(value[0], values[step])
    assert state is not None
    np.testing.assert_allclose(state[0, -4:], [*total, 4.0], rtol=1e-6)


def test_without_memory_a_report_is_seen_once() -> None:
    torch.manual_seed(0)
    policy = RecurrentActorCritic(DIMS, Network((8,), 8, recurrent=False, entities=True, entity_size=4))
    _, values, _, _ = policy(observations([NOTHING, FIRST, NOTHING, NOTHING]))
    values = values.detach()[:, 0]
    assert abs(values[1] - values[0]) > 0.1
    # Rows of one matrix product may differ in their last bits, which depends on the processor.
    torch.testing.assert_close(values[2:], values[[0, 0]])


def batch_of(agent: RL2, monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[Any]]:
    """The trials of one iteration."""
    kept: list[dict[str, NDArray[Any]]] = []
    monkeypatch.setattr(agent, "_update", lambda batch: kept.append(batch) or {})
    agent.learn(1)
    return kept[0]


CONFIG = RL2Config(n_epochs=1, n_minibatches=1, network=Network((8,), 8, entities=True, entity_size=4))


def test_each_step_is_credited_with_what_the_report_says_it_earned(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = make_trials("TargetSelection", 3, autoreset_mode="SameStep")
    slots, layout = trials.innermost.setup.slots, trials.layout  # type: ignore[attr-defined]
    batch = batch_of(RL2(trials, CONFIG, seed=0), monkeypatch)
    told = batch["observations"][..., layout.slice("last report")].reshape(-1, 3, len(LOG), slots)
    for night in range(trials.episodes - 1):  # the observation after the last one begins the next trial
        begins = slots * (night + 1)
        np.testing.assert_allclose(batch["rewards"][begins - slots : begins].T, told[begins, :, LOG.index("reward")])
    paid = batch["observations"][slots::slots, :, layout.column("previous reward")]
    each = batch["rewards"].reshape(trials.episodes, slots, 3).sum(axis=1)
    np.testing.assert_allclose(each[:-1], paid, rtol=1e-5)
    assert (each.sum(axis=1) > 0).all() and (batch["rewards"][:5] > 0).any()


def test_who_forgets_is_credited_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = make_trials("TargetSelection", 2, shows="episode", autoreset_mode="SameStep")
    batch = batch_of(RL2(EpisodesAsTrials(trials), CONFIG, seed=0), monkeypatch)
    assert batch["rewards"].shape == (6, 2) and (batch["rewards"][:-1] > 0).any()


def test_where_rewards_are_paid_at_once_they_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = make_trials("TargetSelection", 2, episodes=1, variant="short", autoreset_mode="SameStep")
    batch = batch_of(RL2(trials, CONFIG, seed=0), monkeypatch)
    paid = batch["observations"][1:, :, trials.layout.column("previous reward")]
    np.testing.assert_array_equal(batch["rewards"][:-1], paid)


def test_critics_of_pearl_learn_from_the_same_credit_and_contexts_from_what_was_paid() -> None:
    trials = make_trials("TargetSelection", 3, episodes=3, autoreset_mode="SameStep")
    slots = trials.innermost.setup.slots  # type: ignore[attr-defined]
    network = PEARLNetwork((8,), entities=True, entity_size=4)
    config = PEARLConfig(n_tasks=3, replay_capacity=3 * slots, gradient_steps=1, network=network)
    kept = PEARL(trials, config, seed=0).learn(1)._training_tasks.replay.state()
    rewards, paid, ended = (kept[k].reshape(3, 3, slots).numpy() for k in ("rewards", "context_rewards", "ended"))
    nights = kept["next_observations"].reshape(3, 3, slots, -1)
    log = nights[:, :, -1, trials.innermost.layout.log].reshape(3, 3, len(LOG), slots)  # type: ignore[attr-defined]
    assert (ended == [0] * (slots - 1) + [1]).all() and (paid[..., :-1] == 0).all()
    np.testing.assert_allclose(rewards, log[:, :, LOG.index("reward")], rtol=1e-6)
    np.testing.assert_allclose(rewards.sum(-1), paid[..., -1], rtol=1e-5)
    assert (rewards[..., :-1] > 0).any()
