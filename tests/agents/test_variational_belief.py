"""VariBAD's belief: its divergences, what is decoded of what, the bound pair by pair, and agents that act on it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch.distributions import Normal, kl_divergence
from toy_trials import Bandit, HiddenPoint, MaskedBandit, Recall, StopAt, VaryingRecall, rewards_per_step

from metaenv import make_trials
from metaenv.agents.belief_learning import BeliefLearner, Moments
from metaenv.agents.dims import EnvDims, resolve_dims
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Cell, Network, RL2Config, VariationalBelief
from metaenv.agents.variational_belief import BeliefModel, Columns, Decoder, Gaussians
from metaenv.experiments.settings import preset
from metaenv.trial import VectorTrial

SMALL = RL2Config(n_epochs=2, n_minibatches=2, network=Network((16,), 16), belief=VariationalBelief(3))
VARIBAD = replace(SMALL, network=Network((16,), 16, recurrent=False))


def gaussians(*shape: int, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    return Gaussians(torch.randn(*shape, generator=generator), torch.randn(*shape, generator=generator))


def same_step(name: str) -> VectorTrial:
    env = make_trials(name, 2)
    env.use_autoreset_mode(AutoresetMode.SAME_STEP)
    return env


def normal(mean: torch.Tensor, log_variance: torch.Tensor) -> Normal:
    return Normal(mean, (0.5 * log_variance).exp())


# ---------------------------------------------------------------- beliefs


def test_a_belief_diverges_from_the_one_before_it_and_the_first_from_the_prior() -> None:
    beliefs = gaussians(4, 2, 3)
    laws = [Normal(torch.zeros(2, 3), torch.ones(2, 3)), *(normal(m, v) for m, v in zip(*beliefs, strict=True))]
    expected = [kl_divergence(after, before).sum(-1) for before, after in pairwise(laws)]
    torch.testing.assert_close(beliefs.steps(), torch.stack(expected))


def test_samples_have_the_moments_of_the_belief() -> None:
    belief = Gaussians(torch.full((100_000, 1), 0.5), torch.full((100_000, 1), 2 * np.log(2.0)))
    samples = belief.sample(torch.Generator().manual_seed(0))
    # Four standard errors: sigma / sqrt(n), sigma / sqrt(2 n).
    assert samples.mean().item() == pytest.approx(0.5, abs=4 * 2 / 100_000**0.5)
    assert samples.std().item() == pytest.approx(2.0, abs=4 * 2 / 200_000**0.5)


def test_the_first_belief_is_nearly_the_prior() -> None:
    model = BeliefModel(EnvDims(7, 5, 0, 10), SMALL.network, 3, (8,))
    belief = model.encoder(torch.randn(10, 4, 7))[0]
    assert belief.mean.abs().max() < 0.1 and belief.log_variance.abs().max() < 0.1


# ---------------------------------------------------------------- what is decoded of what


def test_a_trial_of_episodes_is_split_into_what_is_given_and_what_is_predicted() -> None:
    env = same_step("MaterialsSynthesis")
    dims = resolve_dims(env, None, episodes=True)
    columns = Columns(dims)
    names = [name for block in env.trial_state.layout.blocks for name in [block.name] * block.width]
    assert dims.episode_size == 34 and dims.trial_length == 12 and columns.given == slice(0, 34)
    predicted = [names[i] for i in columns.predicted]
    # The report of the experiment that the step ended, and its reward; nothing of the experiment that comes next.
    assert predicted == ["last report"] * 34 + ["previous reward"]


def test_without_reports_the_next_observation_is_predicted() -> None:
    columns = Columns(resolve_dims(same_step("GridNavi"), None, episodes=True))
    # Two coordinates of the place; then five of the previous action, the previous reward, flag and progress.
    assert columns.given == slice(0, 2) and columns.predicted.tolist() == [0, 1, 7]
    assert columns.step(torch.arange(10.0), torch.tensor(3)).tolist() == [0, 1, 0, 0, 0, 1, 0]
    whole = Columns(resolve_dims(Bandit(2), None, episodes=True))
    assert whole.given == slice(0, 7) and whole.predicted.tolist() == list(range(7))


def test_of_a_list_of_entities_the_chosen_one_is_given() -> None:
    dims = EnvDims(2 * 3 + 4 + 6 + 7 + 3, 7, 0, 5, 0, (2, 3), 10, True, None, (2, 3))
    columns, observation = Columns(dims), torch.arange(26.0)
    # Two features of three entities, 0..5; four numbers more, 6..9; a report, 10..15; the previous action, 16..22.
    assert columns.predicted.tolist() == [*range(10, 16), 23]
    # Verb 1 on entity 2, whose features are 2 and 5.
    assert columns.step(observation, torch.tensor(5)).tolist() == [6, 7, 8, 9, 2, 5, 0, 1, 0]


@pytest.mark.parametrize("dims", [EnvDims(7, 5, 0, 10), EnvDims(20, 7, 0, 5, 0, (2, 3))])
def test_the_policy_sees_the_belief_behind_the_entities(dims: EnvDims) -> None:
    model = BeliefModel(dims, replace(SMALL.network, entities=dims.entities is not None), 3, (8,))
    x = torch.randn(4, 2, dims.observation_size)
    shown, _ = model.shown(x, None)
    belief, first = model.encoder(x)[0], 6 if dims.entities else 0
    assert shown.shape == (4, 2, dims.observation_size + 6) and not shown.requires_grad
    torch.testing.assert_close(shown[..., first : first + 6], torch.cat(belief, -1))
    assert shown[..., :first].equal(x[..., :first]) and model.without_belief(shown).equal(x)


# ---------------------------------------------------------------- the bound


def test_moments_are_those_of_all_rows_and_constants_are_zero() -> None:
    rows, moments = np.random.default_rng(0).normal(5, 2, (30, 2)), Moments(3)
    rows = np.column_stack([rows, np.full(30, 7.0)]).astype(np.float32)
    for part in np.split(rows, [10]):
        moments.add(torch.from_numpy(part))
    expected = (rows - rows.mean(0)) / np.where(rows.std(0) > 0, rows.std(0), np.inf)
    torch.testing.assert_close(
        moments.standardised(torch.from_numpy(rows)), torch.from_numpy(expected), atol=1e-4, rtol=0
    )


def test_a_decoder_predicts_for_every_pair_of_a_step_and_a_latent() -> None:
    decoder = Decoder(step_size=4, latent_size=3, outputs=2, sizes=(8, 5))
    steps, latents = torch.randn(6, 2, 4), torch.randn(7, 2, 3)
    first, last = torch.cat([decoder.of_step.weight, decoder.of_latent.weight], 1), decoder.layers[2]
    inputs = torch.cat([steps[4, 1], latents[5, 1]])
    hidden = torch.nn.functional.silu(first @ inputs + decoder.of_step.bias)
    hidden = torch.nn.functional.silu(decoder.layers[0].weight @ hidden + decoder.layers[0].bias)
    predictions = decoder(steps, latents)
    assert predictions.shape == (7, 6, 2, 2)
    torch.testing.assert_close(predictions[5, 4, 1], last.weight @ hidden + last.bias)


def trials(learner: BeliefLearner, lengths: list[int] | None, steps: int = 5, n: int = 3) -> dict[str, torch.Tensor]:
    """What `BeliefLearner.errors` takes."""
    generator = torch.Generator().manual_seed(3)
    played = torch.arange(steps).unsqueeze(-1) < torch.tensor(lengths or [steps] * n)
    found = {
        "observations": torch.randn(steps, n, 7, generator=generator),
        "actions": torch.randint(5, (steps, n), generator=generator),
        "targets": torch.randn(steps, n, 1 + learner.model.columns.outcome_size, generator=generator),
        "goes_on": torch.cat([played[1:], torch.zeros_like(played[:1])]),
        "lengths": played.sum(0),
    }
    return {**found, "valid": played} if lengths else found


def bound_by_hand(learner: BeliefLearner, t: dict[str, torch.Tensor], noise: torch.Tensor) -> np.ndarray:
    """Mean over trials and beliefs of the errors summed over all steps, one pair after the other."""
    model, rows = learner.model, []
    beliefs = model.encoder(t["observations"])[0]
    for row, length in enumerate(t["lengths"].tolist()):
        for when in range(length):
            sums, law = np.zeros(3), normal(*(part[when, row] for part in beliefs))
            z = law.mean + law.stddev * noise[when, row]
            for what in range(length):
                step = model.columns.step(t["observations"][what, row], t["actions"][what, row])
                error = model.decoder(step[None, None], z[None, None])[0, 0, 0] - t["targets"][what, row]
                sums[0] += float(error[0].square() / 2)
                sums[1] += float(error[1:].square().mean() / 2) * (what < length - 1)
            before = [torch.zeros(3)] * 2 if when == 0 else [part[when - 1, row] for part in beliefs]
            sums[2] = float(kl_divergence(law, normal(*before)).sum())
            rows.append((row, sums))
    return np.mean([np.mean([s for r, s in rows if r == row], axis=0) for row in range(len(t["lengths"]))], axis=0)


@torch.no_grad()
def test_the_bound_is_that_of_all_pairs() -> None:
    learner = BeliefLearner(EnvDims(7, 5, 0, 5), SMALL.network, VariationalBelief(3))
    learner.model.encoder.belief.weight *= 100
    t, noise = trials(learner, None), torch.empty(5, 3, 3).normal_(generator=torch.Generator().manual_seed(4))
    found = learner.errors(t, torch.Generator().manual_seed(4))
    np.testing.assert_allclose([float(part) for part in found], bound_by_hand(learner, t, noise), rtol=1e-5)


@torch.no_grad()
def test_drawn_pairs_of_trials_of_several_lengths_estimate_it() -> None:
    learner = BeliefLearner(EnvDims(7, 5, 0, None), SMALL.network, VariationalBelief(3))
    learner.model.encoder.belief.weight[:3] *= 100
    learner.model.encoder.belief.bias[3:] = -9.0  # z is nearly the mean: only the pairs are drawn
    t = trials(learner, [5, 2, 3])
    generator = torch.Generator().manual_seed(5)
    found = torch.stack([torch.stack(learner.errors(t, generator)) for _ in range(400)])
    expected = bound_by_hand(learner, t, torch.zeros(5, 3, 3))
    assert (abs(found.mean(0).numpy() - expected) < 4 * found.std(0).numpy() / 20 + 1e-3 * expected).all()


def test_no_step_is_drawn_that_was_not_played() -> None:
    learner = BeliefLearner(EnvDims(7, 5, 0, None), SMALL.network, VariationalBelief(3))
    t = trials(learner, [5, 2, 3])
    drawn = torch.stack([learner._drawn(t, 4, torch.Generator().manual_seed(i)) for i in range(200)])
    assert drawn.amin((0, 1)).tolist() == [0, 0, 0] and drawn.amax((0, 1)).tolist() == [4, 1, 2]


# ---------------------------------------------------------------- agents


def test_a_policy_without_memory_remembers_by_its_belief() -> None:
    config = RL2Config(
        learning_rate=1e-2,
        network=Network((16,), 16, recurrent=False),
        belief=VariationalBelief(4, learning_rate=1e-2, n_epochs=4, batch_size=128),
    )
    agent = RL2(Recall(256), config, seed=0).learn(12_000)
    # Best of 6 pulls on 4 arms: 1/4 + 5 with a memory, 1 + 5/4 without.
    assert rewards_per_step(agent, Recall(5_000), seed=1).sum() > 4.9


@pytest.mark.parametrize("cell", ["lstm", "gru", "attention"])
def test_the_policy_that_acts_is_the_one_that_learns(cell: Cell) -> None:
    """Step by step, with beliefs that come to matter, it has the log-probabilities that it has over the whole trial."""
    agent = RL2(MaskedBandit(8), replace(SMALL, network=replace(SMALL.network, cell=cell)), seed=0)
    assert agent.belief is not None
    agent.belief.model.encoder.belief.weight.data *= 300
    agent.policy.policy_head[-1].weight.data *= 300
    seen: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []
    loss = agent._loss

    def watched(batch: dict[str, torch.Tensor], ent_coef: float) -> Any:
        result = loss(batch, ent_coef)
        seen.append((batch, result[1]))
        return result

    agent._loss = watched  # type: ignore[method-assign]
    agent.belief.update = lambda *args: {}  # type: ignore[method-assign]
    agent.learn(8 * 10)
    batch, metrics = seen[0]
    shown = batch["observations"]
    assert shown.shape == (10, 4, 6 + 7) and metrics["approx_kl"].item() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        whole = torch.cat(agent.belief.model.encoder(shown[..., 6:])[0], -1)
    torch.testing.assert_close(shown[..., :6], whole, atol=1e-5, rtol=1e-5)
    assert whole.std() > 0.1


def test_the_policy_s_gradient_does_not_reach_the_belief() -> None:
    agent = RL2(Bandit(8), SMALL, seed=0)
    assert agent.belief is not None
    before = [p.clone() for p in agent.belief.model.parameters()]
    agent.belief.update = lambda *args: {}  # type: ignore[method-assign]
    agent.learn(80)
    assert all(a.equal(b) for a, b in zip(before, agent.belief.model.parameters(), strict=True))


@pytest.mark.parametrize("make", [Bandit, HiddenPoint, VaryingRecall])
@pytest.mark.parametrize("config", [SMALL, VARIBAD])
def test_a_resumed_training_ends_bit_for_bit_where_an_unbroken_one_does(make, config, tmp_path: Path) -> None:
    unbroken = RL2(make(32), config, seed=3).learn(32 * 10 * 4)
    RL2(make(32), config, seed=3).learn(32 * 10 * 4, callback=StopAt(32 * 10 * 2 + 50)).save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=make(32))
    assert 0 < resumed.num_timesteps < unbroken.num_timesteps
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    for module in (lambda a: a.policy, lambda a: a.belief.model, lambda a: a.belief.moments):
        pairs = zip(module(resumed).state_dict().values(), module(unbroken).state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_new_trial_begins_with_an_empty_memory() -> None:
    agent = RL2(Bandit(2), SMALL, seed=0)
    first, second = np.random.default_rng(0).normal(size=(2, 2, 7)).astype(np.float32)
    _, state = agent.predict(first)
    assert state.shape == (2, 32 + 33), "an LSTM of 16 units for the belief, one for the policy, and the steps"
    _, mixed = agent.predict(second, state, episode_start=np.array([True, False]))
    _, fresh = agent.predict(second)
    _, carried = agent.predict(second, state)
    np.testing.assert_array_equal(mixed, np.stack([fresh[0], carried[1]]))
    assert not np.allclose(fresh[1], carried[1])


@pytest.mark.parametrize("name", ["TargetSelection", "GridNavi"])
def test_it_learns_on_environments_of_this_package(name: str, tmp_path: Path) -> None:
    config = preset(name).agent
    small = replace(config.network, hidden_size=8, embedding_sizes=(8,), head_sizes=(), entity_size=8)
    env = make_trials(name, 4)
    agent = RL2(env, replace(config, network=small, belief=VariationalBelief(2)), seed=0).learn(4)
    agent.save(tmp_path / "agent.pt")
    loaded = RL2.load(tmp_path / "agent.pt", env=env)
    seen = env.reset(seed=0)[0]
    acted = [a.predict(seen, deterministic=True, action_masks=env.action_masks()) for a in (agent, loaded)]
    for one, other in zip(*acted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_errors_and_divergence_are_logged_and_the_errors_fall() -> None:
    logged: list[dict[str, float]] = []

    class Watched(RL2):
        def _update(self, batch: dict[str, Any]) -> dict[str, float]:
            logged.append(super()._update(batch))
            return logged[-1]

    belief = VariationalBelief(4, learning_rate=5e-3, n_epochs=4, batch_size=32)
    Watched(Recall(64), replace(SMALL, belief=belief), seed=0).learn(64 * 6 * 25)
    # Half a standardised variance, summed over six steps: what is foreseen without knowing anything.
    assert logged[0]["belief/reward_error"] == pytest.approx(3, rel=0.2)
    # All but the first of the six beliefs can know which arm pays.
    assert logged[-1]["belief/reward_error"] < 1.5 and logged[-1]["belief/outcome_error"] < 1
    assert logged[-1]["belief/kl"] > 10 * logged[0]["belief/kl"]


def test_settings_that_make_no_belief_are_refused() -> None:
    with pytest.raises(ValueError, match="expected latent_size to be a whole number of at least 1, got 0"):
        VariationalBelief(0)
    with pytest.raises(ValueError, match="at least one hidden layer in decoder_sizes"):
        VariationalBelief(2, decoder_sizes=())
    with pytest.raises(ValueError, match="expected kl_coef to be a number of at least 0, got -0"):
        VariationalBelief(2, kl_coef=-0.1)
