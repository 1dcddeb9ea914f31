"""PEARL on small trials: how it acts, and what its networks learn from."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_pearl import SMALL, STEPS, bandit, captured, gradients, masked, materials, point, recorded, sharpened, weights

from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import BeliefConfig, ContextConfig, PEARLNetwork
from metaenv.classic.bandit.exact import bayes_optimal_value
from metaenv.experiments.speed.pearl import drawn_batch, looped_step, prepared_agent
from metaenv.trial import VectorTrial


def test_predict_takes_one_observation_or_many() -> None:
    agent = PEARL(bandit(), SMALL, seed=0)
    size = agent.dims.episode_size + 3 * SMALL.belief.latent_size + 2
    action, state = agent.predict(np.zeros(agent.dims.observation_size, np.float32))
    assert action.shape == () and action.dtype == np.int64 and state.shape == (1, size)
    action, state = agent.predict(np.zeros(agent.dims.observation_size, np.float32), state)
    assert action.shape == ()
    agent = PEARL(point(), SMALL, seed=0)
    action, state = agent.predict(np.zeros((4, agent.dims.observation_size)))
    assert action.shape == (4, 2) and action.dtype == np.float32 and (np.abs(action) < 1).all()


def test_an_observation_that_is_not_finite_is_refused() -> None:
    agent = PEARL(point(), SMALL, seed=0)
    with pytest.raises(ValueError, match="expected a finite observation, got nan in column 0 of row 0"):
        agent.predict(np.full(agent.dims.observation_size, np.nan))


def test_episode_start_clears_the_rows_it_names() -> None:
    agent = sharpened(PEARL(bandit(), SMALL, seed=0))
    first, second = np.random.default_rng(0).normal(size=(2, 2, agent.dims.observation_size)).astype(np.float32)
    _, state = agent.predict(first)
    _, mixed = agent.predict(second, state, episode_start=np.array([True, False]))
    believed = slice(0, 1 + 2 * SMALL.belief.latent_size)  # without z, which is drawn
    np.testing.assert_array_equal(mixed[0, believed], agent.predict(second)[1][0, believed])
    np.testing.assert_array_equal(mixed[1, believed], agent.predict(second, state)[1][1, believed])
    assert mixed[0, -1] == 1 and not np.array_equal(mixed[0, believed], mixed[1, believed])


def test_masked_actions_are_never_chosen() -> None:
    env = masked()
    agent = PEARL(env, SMALL, seed=0).learn(30 * 6)
    assert agent.iteration == 6 and env.innermost.forbidden == 0
    masks = np.tile(np.array([0, 1, 0, 1], np.int8), (500, 1))
    for deterministic in (True, False):
        observations = np.zeros((500, agent.dims.observation_size))
        actions, _ = agent.predict(observations, action_masks=masks, deterministic=deterministic)
        assert set(actions.tolist()) <= {1, 3}
    single, _ = agent.predict(observations[0], action_masks=masks[0])
    assert single in (1, 3)


@pytest.mark.parametrize("env_id", ["BernoulliBandit", "SparsePointRobot"])
def test_who_learns_from_which_loss(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = prepared_agent(env_id, 16, network=PEARLNetwork((16,)), belief=BeliefConfig(encoder_sizes=(16,)))
    losses = captured(agent, monkeypatch)
    for loss, module in (
        ("actor", agent.sac.critic),
        ("actor", agent.belief.encoder),
        ("actor", agent.decoder),
        ("decoder", agent.belief.encoder),
        ("decoder", agent.sac),
        ("critic", agent.sac.actor),
        ("ent_coef", agent.sac.actor),
    ):
        assert all(g is None for g in gradients(losses[loss], module)), f"{loss} changes what it must not"
    whole, critic, kl = (gradients(losses[name], agent.belief.encoder) for name in ("critic", "critic alone", "kl"))
    for a, b, c in zip(whole, critic, kl, strict=True):
        assert a is not None and b is not None and c is not None and b.abs().max() > 0
        np.testing.assert_allclose(a, b + agent.config.belief.kl_coef * c, rtol=1e-4, atol=1e-7)
    assert all(g is not None for g in gradients(losses["actor"], agent.sac.actor))
    assert all(g is not None for g in gradients(losses["critic"], agent.decoder))


def test_the_encoder_may_learn_from_rewards_too(monkeypatch: pytest.MonkeyPatch) -> None:
    belief = BeliefConfig(encoder_sizes=(16,), reward_coef=10.0)
    agent = prepared_agent("BernoulliBandit", 16, network=PEARLNetwork((16,)), belief=belief, reward_scale=2.0)
    losses = captured(agent, monkeypatch)
    names = ("critic", "critic alone", "kl", "decoder")
    for whole, critic, kl, decoder in zip(*(gradients(losses[k], agent.belief.encoder) for k in names), strict=True):
        assert whole is not None and critic is not None and kl is not None and decoder is not None
        assert decoder.abs().max() > 0
        np.testing.assert_allclose(whole, critic + belief.kl_coef * kl + 10 * decoder, rtol=1e-3, atol=1e-6)
    rewards = torch.tensor([-3.0, 0.0, 0.5, 8.0])
    scaled = agent.decoder.target(rewards)
    np.testing.assert_allclose(scaled, [-np.log(7), 0, np.log(2), np.log(17)], rtol=1e-6)
    monkeypatch.setattr(agent.decoder, "forward", lambda *_: scaled)
    found = agent.predict_reward(
        np.zeros((4, agent.dims.episode_size), np.float32), np.zeros(4, int), np.zeros(5, "f4")
    )
    np.testing.assert_allclose(found, rewards, rtol=1e-6)


@pytest.mark.parametrize(("critic_reward", "loss"), [(None, 2.5), ("dense_reward", 8.0)])
def test_the_decoder_learns_what_a_step_has_earned_but_no_privileged_reward(
    critic_reward: str | None, loss: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = PEARL(point(), replace(SMALL, critic_reward=critic_reward), seed=0)
    monkeypatch.setattr(agent.decoder, "forward", lambda *_: torch.zeros(2))
    rows = {"rewards": torch.tensor([1.0, 2.0]), "context_rewards": torch.tensor([0.0, 4.0])}
    rows |= {"observations": torch.zeros(2, 2), "actions": torch.zeros(2, 2)}
    assert agent._decoder_loss(rows, torch.zeros(2, 2)).item() == pytest.approx(loss)


def test_targets_of_the_critics_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = PEARL(bandit(), replace(SMALL, gamma=0.5, reward_scale=2.0), seed=0)
    monkeypatch.setattr(agent.sac, "soft_value", lambda *_: torch.tensor([10.0, 10.0]))
    monkeypatch.setattr(agent.sac, "q_values", lambda *_: (torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.0])))
    rows = {
        "rewards": torch.tensor([1.0, 1.0]),
        "terminated": torch.tensor([1.0, 0.0]),
        "ended": torch.tensor([1.0, 1.0]),  # a time limit ends an episode, but not its value
        "next_observations": torch.zeros(2, 1),
        "actions": torch.zeros(2, dtype=torch.int64),
    }
    loss, value = agent._critic_loss(torch.zeros(2, 3), rows, torch.zeros(2, 2))
    # Targets 2 and 2 + 0.5 * 10 = 7: half of the mean of 1 and 36, and of 0 and 25.
    assert loss.item() == pytest.approx(0.5 * (18.5 + 12.5)) and value.item() == 1.0


@pytest.mark.parametrize("env_id", ["BernoulliBandit", "SparsePointRobot"])
def test_all_tasks_at_once_are_the_tasks_one_by_one(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, **_: self.fill_(0.3))
    together, alone = (prepared_agent(env_id, 16) for _ in range(2))
    for seed in range(2):
        batch = drawn_batch(together, seed)
        losses = together._gradient_step(*batch)
        for name, value in looped_step(alone, *batch).items():
            assert losses[name].item() == pytest.approx(value, rel=1e-5, abs=1e-6)
        for kind in ("sac", "belief", "decoder"):
            pairs = zip(getattr(together, kind).parameters(), getattr(alone, kind).parameters(), strict=True)
            for a, b in pairs:
                assert (a.grad is None) == (b.grad is None)
                if a.grad is not None and b.grad is not None:
                    np.testing.assert_allclose(a.grad, b.grad, rtol=1e-3, atol=1e-5)


def test_critics_may_learn_from_an_entry_of_info() -> None:
    env = point()
    config = replace(SMALL, critic_reward="dense_reward", n_tasks=3)
    agent = PEARL(env, config, seed=0)
    seen = recorded(env)
    agent.learn(1)
    steps = {name: tensor.numpy() for name, tensor in agent._training_tasks.replay._tensors.items()}
    after = steps["next_observations"][:, :40]
    goals = agent._training_tasks.tasks.matrix()
    away = np.linalg.norm(after - goals[:, None], axis=-1)
    np.testing.assert_allclose(steps["rewards"][:, :40], -away, atol=1e-5)
    np.testing.assert_allclose(steps["context_rewards"][:, :40], np.where(away < 0.2, 1 - away, 0), atol=1e-5)
    np.testing.assert_array_equal(steps["observations"][:, :40], np.stack(seen)[:-1, :, :2].transpose(1, 0, 2))
    np.testing.assert_array_equal(np.flatnonzero(steps["ended"][0, :40]), [19, 39])
    assert not steps["terminated"].any(), "a time limit is no end"
    with pytest.raises(ValueError, match="Did you mean 'dense_reward'"):
        PEARL(point(), replace(SMALL, critic_reward="dens_reward"), seed=0).learn(1)


@pytest.mark.parametrize("make", [bandit, point])
def test_predicted_rewards_are_those_that_were_learned_from(make: Callable[..., VectorTrial]) -> None:
    agent = PEARL(make(), SMALL, seed=0).learn(1)
    rows = agent._training_tasks.replay.sample(np.arange(3), 8, np.random.default_rng(0))
    steps = {name: tensor.numpy() for name, tensor in rows.items()}
    latent = np.random.default_rng(1).normal(size=(3, SMALL.belief.latent_size)).astype(np.float32)
    predicted = np.stack(
        [agent.predict_reward(steps["observations"][i], steps["actions"][i], latent[i]) for i in range(3)]
    )
    assert predicted.shape == (3, 8) and len(np.unique(predicted)) > 2
    rows = {name: x.flatten(0, 1) for name, x in rows.items()}
    loss = agent._decoder_loss(rows, torch.from_numpy(latent.repeat(8, 0)))
    assert loss.item() == pytest.approx(((predicted - steps["context_rewards"]) ** 2).mean(), rel=1e-5)


def score(agent: PEARL, env: VectorTrial) -> float:
    """Mean reward of a pull."""
    observations, state, rewards = env.reset(seed=1)[0], None, []
    for _ in range(env.episodes):
        actions, state = agent.predict(observations, state, deterministic=True)
        observations, reward, *_ = env.step(actions)
        rewards.append(reward.mean())
    return float(np.mean(rewards))


LEARNING = replace(
    SMALL,
    n_tasks=200,
    replay_capacity=200,
    gradient_steps=60,
    meta_batch=32,
    batch_size=16,
    context=ContextConfig(size=20),
    belief=BeliefConfig(latent_size=2, encoder_sizes=(32,), kl_coef=0.003),
    network=PEARLNetwork((32,)),
    learning_rate=6e-3,
    learning_rate_final=5e-4,
    gamma=0.0,
)


@pytest.mark.parametrize("blind", [False, True])
def test_learns_which_arm_is_better(blind: bool) -> None:
    settings = {"episodes": 20, "n_arms": 2, "hide_history": blind}
    agent = PEARL(bandit(50, **settings), LEARNING, seed=0).learn(8_000 if blind else 14_000)
    found = score(agent, bandit(5_000, split="test", **settings))
    # Whoever sees no rewards earns 0.5; the standard error over 5,000 bandits is at most 0.0041.
    assert found < 0.5 + 4 * 0.0041 if blind else found > 0.57
    assert found < bayes_optimal_value(20, 2) / 20 + 4 * 0.0041


@pytest.mark.parametrize(("make", "matters"), [(bandit, False), (materials, False), (point, True)])
def test_the_discount_matters_where_episodes_have_more_than_one_step(
    make: Callable[..., VectorTrial], matters: bool
) -> None:
    """An episode of one step ends with its reward: nothing that comes later is its own, whatever the discount."""
    steps = 4 * 3 * STEPS[make]  # of four iterations, of which two play at random
    found = [weights(PEARL(make(), replace(SMALL, gamma=gamma), seed=0).learn(steps)) for gamma in (0.0, 0.95)]
    assert torch.equal(*found) != matters
