"""PEARL on small trials: what it believes, learns from, saves and refuses."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.logger import KVWriter, Logger
from toy_locks import Locksmith, locks
from toy_trials import Bandit, StopAt

from metaenv.agents.belief import Belief
from metaenv.agents.pearl import PEARL, PEARLConfig
from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.classic.bandit.exact import bayes_optimal_value
from metaenv.experiments.speed.pearl import drawn_batch, looped_step, prepared_agent
from metaenv.runs.training import TrainConfig, preset
from metaenv.trial import VectorTrial, make_trials

SMALL = PEARLConfig(
    n_tasks=6,
    replay_capacity=60,
    gradient_steps=2,
    meta_batch=4,
    batch_size=8,
    context_size=16,
    latent_size=2,
    encoder_sizes=(16,),
    network_sizes=(16,),
)


def bandit(num_envs: int = 3, **settings: Any) -> VectorTrial:
    return make_trials("BernoulliBandit", num_envs, **{"episodes": 10, "n_arms": 3, **settings})


MIXED = replace(SMALL, mixture=3, pool_size=8, prior_episodes=0)


def point(num_envs: int = 3) -> VectorTrial:
    return make_trials("SparsePointRobot", num_envs, episodes=2, goals="uniform")


def grid(num_envs: int = 3) -> VectorTrial:
    return make_trials("GridNavi", num_envs, episodes=2)


def materials(num_envs: int = 3) -> VectorTrial:
    return make_trials("MaterialsSynthesis", num_envs, episodes=4)


class HalfForbidden(BernoulliBanditVectorEnv):
    """Four arms of which only two are allowed: the first two where the first arm is good, else the others."""

    forbidden = 0

    def mask(self, rows: Any) -> NDArray[np.int8]:
        first = self.tasks.probabilities[rows][:, :1] > 0.5
        return np.where(first, [[1, 1, 0, 0]], [[0, 0, 1, 1]]).astype(np.int8)

    def transition(self, rows: Any, action: NDArray[Any]) -> Any:
        self.forbidden += int((np.take_along_axis(self.mask(rows), action[:, None], 1) == 0).sum())
        return super().transition(rows, action)


def masked(num_envs: int = 3) -> VectorTrial:
    return VectorTrial(HalfForbidden(num_envs, 4), episodes=10)


TRIALS: list[Callable[..., VectorTrial]] = [bandit, point, grid, materials]
RESUMED: list[Callable[..., VectorTrial]] = [bandit, point, masked]
STEPS = {bandit: 10, point: 40, grid: 30, materials: 4, masked: 10}  # of a trial


def weights(agent: PEARL) -> torch.Tensor:
    networks = agent._networks.values()
    return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])


def sharpened(agent: PEARL) -> PEARL:
    """Let every step of a context count much, so that a step that is seen differently shows."""
    with torch.no_grad():
        agent.encoder.network[-1].bias[agent.config.latent_size :] += 3
        agent.encoder.network[-1].weight *= 5
    return agent


class Losses(KVWriter):
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.seen.append(dict(key_values))


# ---------------------------------------------------------------- believing


def played(agent: PEARL, env: VectorTrial, seed: int = 0) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """One trial: its observations (t + 1, n, o) from the reset to the last one, and the states after each choice."""
    observations, state, over = [env.reset(seed=seed)[0]], None, np.array([False])
    states: list[NDArray[np.float32]] = []
    while not over.any():
        actions, state = agent.predict(observations[-1], state)
        states.append(state)
        seen, _, over, _, info = env.step(actions)
        observations.append(info["final_obs"] if over.any() else seen)
    return np.stack(observations), states


@pytest.mark.parametrize("make", TRIALS)
def test_acting_step_by_step_believes_what_the_whole_context_tells(make: Callable[..., VectorTrial]) -> None:
    env = make()
    agent = sharpened(PEARL(env, SMALL, seed=0))
    observations, states = played(agent, env)
    d, latent = agent.spaces.observation_size, SMALL.latent_size
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


@pytest.mark.parametrize("make", TRIALS)
def test_acting_with_a_mixture_believes_what_the_whole_context_tells(make: Callable[..., VectorTrial]) -> None:
    env = make()
    agent = PEARL(env, MIXED, seed=0)
    assert agent.mixture is not None
    observations, states = played(agent, env)
    d, pool = agent.spaces.observation_size, MIXED.pool_size
    for t, state in enumerate(states):
        mean, std = agent.posterior(observations[: t + 1])
        with torch.no_grad():
            belief = agent.mixture(torch.from_numpy(state[:, d : d + pool]))
        np.testing.assert_allclose(belief.mean.numpy(), mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(belief.std.numpy(), std, rtol=1e-3, atol=1e-4)
    assert np.abs(mean - agent.posterior(observations[:1])[0]).max() > 1e-3, "steps tell something"


def test_one_observation_alone_tells_nothing() -> None:
    agent = PEARL(materials(), SMALL, seed=0)
    mean, std = agent.posterior(np.ones((1, 5, agent.spaces.trial_size), np.float32))
    assert mean.tolist() == [[0, 0]] * 5 and std.tolist() == [[1, 1]] * 5
    with pytest.raises(ValueError, match="Expected a context of shape"):
        agent.posterior(np.ones((3, 4), np.float32))


def recorded(env: VectorTrial) -> list[NDArray[np.float32]]:
    """Filled with every observation of the trial that is about to be played, to the last one."""
    seen: list[NDArray[np.float32]] = []
    reset, step = env.reset, env.step

    def recording_reset(**arguments: Any) -> Any:
        result = reset(**arguments)
        seen[:] = [result[0]]
        return result

    def recording_step(actions: NDArray[Any]) -> Any:
        result = step(actions)
        seen.append(result[4]["final_obs"] if result[2].any() else result[0])
        return result

    env.reset, env.step = recording_reset, recording_step  # type: ignore[method-assign]
    return seen


def assert_training_contexts_are_what_acting_sees(env: VectorTrial, steps: int) -> None:
    agent = sharpened(PEARL(env, replace(SMALL, n_tasks=3, context_size=100), seed=0))
    seen = recorded(env)
    agent.learn(1)  # one trial of each of the three tasks, in their order
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(12):
        context, counts = agent._training_replay.contexts(np.arange(3), 100, 0.0, rng)
        tensors = {name: torch.from_numpy(x) for name, x in context.items()}
        with torch.no_grad():
            belief = agent._infer(tensors, torch.from_numpy(counts))
        for row, length in enumerate(counts.sum(1)):
            mean, std = agent.posterior(np.stack(seen)[: length + 1, row])
            np.testing.assert_allclose(belief.std[row], std, rtol=1e-4)
            np.testing.assert_allclose(belief.mean[row], mean, rtol=1e-3, atol=1e-4)
            lengths.add(int(length))
    assert max(lengths) > steps / 2, "past the boundaries of episodes"


@pytest.mark.parametrize("make", TRIALS)
def test_contexts_in_training_are_what_acting_sees(make: Callable[..., VectorTrial]) -> None:
    assert_training_contexts_are_what_acting_sees(make(), STEPS[make])


def test_a_context_blind_agent_trains_on_what_it_will_see() -> None:
    assert_training_contexts_are_what_acting_sees(bandit(hide_history=True), 10)


def test_a_mixture_learns_from_beginnings_as_acting_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    env = point()
    agent = PEARL(env, replace(MIXED, n_tasks=3, context_size=100), seed=0)
    seen, met = recorded(env), list[Any]()
    agent.learn(1)
    assert agent.mixture is not None
    rng, beginnings = np.random.default_rng(0), agent.mixture.beginnings
    monkeypatch.setattr(agent.mixture, "beginnings", lambda *a: met.append((a[1], beginnings(*a))) or met[-1][1])
    context, counts = agent._training_replay.contexts(np.arange(3), 100, 0.0, rng)
    known = ({name: torch.from_numpy(x) for name, x in context.items()}, torch.from_numpy(counts))
    agent._mixture_step(agent.mixture, *known, *agent._hindsight(agent._training_replay, np.arange(3), rng), rng)
    monkeypatch.undo()
    (lengths, evidence), (hints, _) = met
    agent = PEARL(env, agent.config, seed=0)  # as it was before that step
    assert agent.mixture is not None
    assert (lengths <= torch.from_numpy(counts).sum(1, keepdim=True)).all() and lengths.max() > 20
    assert hints.min() == 0 and 1 <= hints.max() <= 4
    for row, k in np.ndindex(*lengths.shape):
        mean, _ = agent.posterior(np.stack(seen)[: int(lengths[row, k]) + 1, row])
        with torch.no_grad():
            believed = agent.mixture(evidence[row, k])
        np.testing.assert_allclose(believed.mean.numpy(), mean, rtol=1e-3, atol=1e-4)


def test_z_is_kept_for_an_episode_and_drawn_anew_at_the_next() -> None:
    env = point()
    d, latent = 2, SMALL.latent_size
    for every, changes in ((None, {20}), (8, {8, 16, 20, 28, 36})):
        agent = PEARL(env, replace(SMALL, resample_every=every), seed=0)
        z = np.stack([state[0, d + 2 * latent : d + 3 * latent] for state in played(agent, env)[1]])
        assert set(np.flatnonzero((np.diff(z, axis=0) != 0).any(1)) + 1) == changes


def test_z_comes_from_the_prior_in_the_first_episodes() -> None:
    for prior_episodes in (1, 2):
        agent = PEARL(materials(), replace(SMALL, prior_episodes=prior_episodes), seed=0)
        with torch.no_grad():  # each step of a context says the same, with precision 10,000
            agent.encoder.network[-1].weight.zero_()
            agent.encoder.network[-1].bias[:2], agent.encoder.network[-1].bias[2:] = 3.0, 1e4
        assert agent.spaces.observation_size == 10
        spread = [state[:, 14:16].std() for state in played(agent, materials(200))[1]]
        assert 0.8 < spread[0] < 1.2 and max(spread[1:]) < 0.05, "predict trusts its belief from the second episode on"
        spread = [float(state[:, 14:16].std()) for state in training_states(agent, materials(200))]
        assert [s > 0.8 for s in spread] == [t < prior_episodes for t in range(len(spread))]
        assert [s < 0.05 for s in spread] == [t >= prior_episodes for t in range(len(spread))]


@pytest.mark.parametrize(("prior_episodes", "trusts"), [(0, True), (1, False)])
def test_whether_z_that_is_drawn_anew_is_believed_in_the_first_episode(prior_episodes: int, trusts: bool) -> None:
    agent = PEARL(point(), replace(SMALL, prior_episodes=prior_episodes, resample_every=5), seed=0)
    with torch.no_grad():  # each step of a context says the same, with precision 10,000
        agent.encoder.network[-1].weight.zero_()
        agent.encoder.network[-1].bias[:2], agent.encoder.network[-1].bias[2:] = 3.0, 1e4
    spread = [state[:, 6:8].std() for state in played(agent, point(200))[1]]
    assert min(spread[:5]) > 0.8 and max(spread[20:]) < 0.05
    assert max(spread[5:20]) < 0.05 if trusts else min(spread[5:20]) > 0.8


def training_states(agent: PEARL, env: VectorTrial) -> list[torch.Tensor]:
    """The states of a training trial, step by step."""
    observation, _ = env.reset(seed=0)
    state, states = torch.zeros(env.num_envs, agent._state_size), []
    for _ in range(4):
        actions, state = agent._sampled_actions(observation, state, None)
        states.append(state)
        observation, *_ = env.step(actions)
    return states


@pytest.mark.parametrize("config", [SMALL, MIXED])
def test_z_may_be_the_mean_of_the_belief(config: PEARLConfig) -> None:
    env = point()
    agent = sharpened(PEARL(env, replace(config, sample_latent=False, prior_episodes=0), seed=0))
    observations, states = played(agent, env)
    start = agent.spaces.observation_size + agent._evidence_size
    z = np.stack([state[:, start : start + 2] for state in states])
    for t in (0, 20):  # where episodes begin
        np.testing.assert_allclose(z[t], agent.posterior(observations[: t + 1])[0], rtol=1e-3, atol=1e-5)
    assert (z[20] != z[0]).all()


ENDS = replace(SMALL, context_ends=True, context_size=4)


@pytest.mark.parametrize("config", [ENDS, replace(MIXED, context_ends=True, context_size=4)])
@pytest.mark.parametrize("make", [point, grid])
def test_of_context_ends_acting_believes_what_the_whole_context_tells(
    make: Callable[..., VectorTrial], config: PEARLConfig
) -> None:
    env = make()
    agent = sharpened(PEARL(env, config, seed=0))
    observations, states = played(agent, env)
    d, steps = agent.spaces.observation_size, STEPS[make] // 2
    evidence = np.stack([state[:, d : d + agent._evidence_size] for state in states])
    assert (evidence[:steps] == 0).all(), "nothing is learned before the first episode ends"
    assert (evidence[steps:] == evidence[steps]).all() and (evidence[steps] != 0).any()
    with torch.no_grad():
        alone = agent.posterior(observations)
        for k in (0, steps):  # how episodes go before they end does not matter
            observations[k + 1 : k + steps - 1, :, :d] += 1
        np.testing.assert_allclose(agent.posterior(observations)[0], alone[0], rtol=1e-4, atol=1e-5)


def test_of_context_ends_training_sees_what_acting_sees() -> None:
    env = point()
    agent = sharpened(PEARL(env, replace(ENDS, n_tasks=3), seed=0))
    seen = recorded(env)
    agent.learn(1)
    tasks, rng, sizes = np.arange(3), np.random.default_rng(0), set[int]()
    for _ in range(20):
        context, counts = agent._training_replay.ends(tasks, 4, rng)
        with torch.no_grad():
            tensors = {name: torch.from_numpy(x) for name, x in context.items()}
            belief = agent._infer(tensors, torch.from_numpy(counts))
        for row, size in enumerate(counts.sum(1)):
            sizes.add(int(size))
            if size == 2:  # both episodes of the trial, in whatever order
                mean, std = agent.posterior(np.stack(seen)[:, row])
                np.testing.assert_allclose(belief.mean[row], mean, rtol=1e-3, atol=1e-4)
                np.testing.assert_allclose(belief.std[row], std, rtol=1e-4)
    assert sizes == {0, 1, 2}


def test_predict_takes_one_observation_or_many() -> None:
    agent = PEARL(bandit(), SMALL, seed=0)
    size = agent.spaces.observation_size + 3 * SMALL.latent_size + 2
    action, state = agent.predict(np.zeros(agent.spaces.trial_size, np.float32))
    assert action.shape == () and action.dtype == np.int64 and state.shape == (1, size)
    action, state = agent.predict(np.zeros(agent.spaces.trial_size, np.float32), state)
    assert action.shape == ()
    agent = PEARL(point(), SMALL, seed=0)
    action, state = agent.predict(np.zeros((4, agent.spaces.trial_size)))
    assert action.shape == (4, 2) and action.dtype == np.float32 and (np.abs(action) < 1).all()


def test_episode_start_clears_the_rows_it_names() -> None:
    agent = sharpened(PEARL(bandit(), SMALL, seed=0))
    first, second = np.random.default_rng(0).normal(size=(2, 2, agent.spaces.trial_size)).astype(np.float32)
    _, state = agent.predict(first)
    _, mixed = agent.predict(second, state, episode_start=np.array([True, False]))
    believed = slice(0, 1 + 2 * SMALL.latent_size)  # without z, which is drawn
    np.testing.assert_array_equal(mixed[0, believed], agent.predict(second)[1][0, believed])
    np.testing.assert_array_equal(mixed[1, believed], agent.predict(second, state)[1][1, believed])
    assert mixed[0, -1] == 1 and not np.array_equal(mixed[0, believed], mixed[1, believed])


# ---------------------------------------------------------------- learning


def test_masked_actions_are_never_chosen() -> None:
    env = masked()
    agent = PEARL(env, SMALL, seed=0).learn(30 * 6)
    assert agent.iteration == 6 and env.innermost.forbidden == 0
    masks = np.tile(np.array([0, 1, 0, 1], np.int8), (500, 1))
    for deterministic in (True, False):
        observations = np.zeros((500, agent.spaces.trial_size))
        actions, _ = agent.predict(observations, action_masks=masks, deterministic=deterministic)
        assert set(actions.tolist()) <= {1, 3}
    single, _ = agent.predict(observations[0], action_masks=masks[0])
    assert single in (1, 3)


def captured(agent: PEARL, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """The losses of one gradient step that changes nothing, with their graphs."""
    losses: dict[str, torch.Tensor] = {}
    decoder_loss, critic_loss, kl = agent._decoder_loss, agent._critic_loss, Belief.kl_to_prior

    def keep(name: str, value: Any) -> Any:
        losses[name] = value[0] if isinstance(value, tuple) else value
        return value

    monkeypatch.setattr(agent, "_apply", keep)
    monkeypatch.setattr(agent, "_decoder_loss", lambda *a: keep("decoder", decoder_loss(*a)))
    monkeypatch.setattr(agent, "_critic_loss", lambda *a: keep("critic alone", critic_loss(*a)))
    monkeypatch.setattr(Belief, "kl_to_prior", lambda self: keep("kl", kl(self).mean()))
    agent._gradient_step(*drawn_batch(agent, 0))
    return losses


def gradients(loss: torch.Tensor, module: torch.nn.Module) -> list[torch.Tensor | None]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))


@pytest.mark.parametrize("env_id", ["BernoulliBandit", "SparsePointRobot"])
def test_who_learns_from_which_loss(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = prepared_agent(env_id, 16, network_sizes=(16,), encoder_sizes=(16,))
    losses = captured(agent, monkeypatch)
    for loss, module in (
        ("actor", agent.sac.critic),
        ("actor", agent.encoder),
        ("actor", agent.decoder),
        ("decoder", agent.encoder),
        ("decoder", agent.sac),
        ("critic", agent.sac.actor),
        ("ent_coef", agent.sac.actor),
    ):
        assert all(g is None for g in gradients(losses[loss], module)), f"{loss} changes what it must not"
    whole, critic, kl = (gradients(losses[name], agent.encoder) for name in ("critic", "critic alone", "kl"))
    for a, b, c in zip(whole, critic, kl, strict=True):
        assert a is not None and b is not None and c is not None and b.abs().max() > 0
        np.testing.assert_allclose(a, b + agent.config.kl_coef * c, rtol=1e-4, atol=1e-7)
    assert all(g is not None for g in gradients(losses["actor"], agent.sac.actor))
    assert all(g is not None for g in gradients(losses["critic"], agent.decoder))


def test_a_mixture_learns_from_its_own_loss_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = prepared_agent("SparsePointRobot", 16, network_sizes=(16,), encoder_sizes=(16,), mixture=3)
    losses = captured(agent, monkeypatch)
    replay, rng, mixture = agent._training_replay, np.random.default_rng(0), agent.mixture
    assert mixture is not None
    tasks = np.arange(len(agent._training_tasks))
    context, counts = replay.contexts(tasks, 16, 0.5, rng)
    known = ({name: torch.from_numpy(x) for name, x in context.items()}, torch.from_numpy(counts))
    agent._mixture_step(mixture, *known, *agent._hindsight(replay, tasks, rng), rng)
    assert all(g is not None and g.abs().max() > 0 for g in gradients(losses["mixture"], mixture.head))
    for module in (agent.encoder, agent.sac, agent.decoder):
        assert all(g is None for g in gradients(losses["mixture"], module))
    for name in ("critic", "actor"):
        assert all(g is None for g in gradients(losses[name], mixture))


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
        for kind in ("sac", "encoder", "decoder"):
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
    steps = agent._training_replay._arrays
    after = steps["next_observations"][:, :40]
    goals = agent._training_tasks.matrix()
    away = np.linalg.norm(after - goals[:, None], axis=-1)
    np.testing.assert_allclose(steps["rewards"][:, :40], -away, atol=1e-5)
    np.testing.assert_allclose(steps["context_rewards"][:, :40], np.where(away < 0.2, 1 - away, 0), atol=1e-5)
    np.testing.assert_array_equal(steps["observations"][:, :40], np.stack(seen)[:-1, :, :2].transpose(1, 0, 2))
    np.testing.assert_array_equal(np.flatnonzero(steps["ended"][0, :40]), [19, 39])
    assert not steps["terminated"].any(), "a time limit is no end"
    with pytest.raises(ValueError, match="Did you mean 'dense_reward'"):
        PEARL(point(), replace(SMALL, critic_reward="dens_reward"), seed=0).learn(1)


def test_every_task_is_played_at_random_first_and_then_learned_from() -> None:
    log = Losses()
    agent = PEARL(bandit(2), replace(SMALL, initial_trials=2), seed=0)
    agent.set_logger(Logger(None, [log]))
    agent.learn(20 * 8)
    # Two trials of each of 6 tasks, 2 at a time: 6 iterations without an update.
    assert ["train/critic_loss" in line for line in log.seen] == [False] * 6 + [True] * 2
    assert agent._training_replay.trials.min() >= 2 and agent._training_replay.trials.sum() == 16
    last = log.seen[-1]
    assert last["train/updates"] == 4
    names = ("actor_loss", "kl", "reward_error", "entropy", "ent_coef", "belief_std", "learning_rate")
    assert all(math.isfinite(last[f"train/{name}"]) for name in names)
    assert {"rollout/return", "rollout/first_episode", "rollout/last_episode"} <= set(last)
    assert last["rollout/return"] <= 10


def test_held_random_actions() -> None:
    agent = PEARL(point(), replace(SMALL, initial_hold=5, n_tasks=3), seed=0).learn(1)
    actions = agent._training_replay._arrays["actions"][:, :40]
    blocks = actions.reshape(3, 8, 5, 2)
    assert (blocks == blocks[:, :, :1]).all() and len(np.unique(blocks[:, :, 0].reshape(-1, 2), axis=0)) == 24


def test_refreshed_tasks_begin_anew() -> None:
    agent = PEARL(bandit(), replace(SMALL, refresh_tasks=2), seed=0)
    agent.learn(30 * 2)
    first = agent._training_tasks.ids.copy()
    agent.learn(30)
    after = agent._training_tasks.ids
    changed = np.flatnonzero(first != after)
    assert len(changed) == 2 and len(set(after)) == 6
    # A new task has one trial of 10 pulls; the others had one, and one of them played again.
    assert sorted(agent._training_replay.written.tolist()) == [10, 10, 10, 10, 10, 20]
    assert (agent._training_replay.written[changed] == 10).all()
    for _ in range(2):
        agent.learn(30)
    assert not set(agent._training_tasks.ids) & set(first), "oldest first: after three turns all six are new"


def test_tasks_of_a_small_family_are_all_played() -> None:
    agent = PEARL(grid(), replace(SMALL, n_tasks=30), seed=0)
    assert len(agent._training_tasks) == 21 and len(set(agent._training_tasks.ids)) == 21
    assert len(PEARL(grid(), SMALL, seed=0)._training_tasks) == 6


@pytest.mark.parametrize("make", [bandit, point])
def test_predicted_rewards_are_those_that_were_learned_from(make: Callable[..., VectorTrial]) -> None:
    agent = PEARL(make(), SMALL, seed=0).learn(1)
    steps = agent._training_replay.sample(np.arange(3), 8, np.random.default_rng(0))
    latent = np.random.default_rng(1).normal(size=(3, SMALL.latent_size)).astype(np.float32)
    predicted = np.stack(
        [agent.predict_reward(steps["observations"][i], steps["actions"][i], latent[i]) for i in range(3)]
    )
    assert predicted.shape == (3, 8) and len(np.unique(predicted)) > 2
    rows = {name: torch.from_numpy(x).flatten(0, 1) for name, x in steps.items()}
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
    context_size=20,
    encoder_sizes=(32,),
    network_sizes=(32,),
    learning_rate=6e-3,
    learning_rate_final=5e-4,
    gamma=0.0,
    kl_coef=0.003,
)


@pytest.mark.parametrize("blind", [False, True])
def test_learns_which_arm_is_better(blind: bool) -> None:
    settings = {"episodes": 20, "n_arms": 2, "hide_history": blind}
    agent = PEARL(bandit(50, **settings), LEARNING, seed=0).learn(8_000 if blind else 20_000)
    found = score(agent, bandit(5_000, split="test", **settings))
    # Whoever sees no rewards earns 0.5; the standard error over 5,000 bandits is at most 0.0041.
    assert found < 0.5 + 4 * 0.0041 if blind else found > 0.57
    assert found < bayes_optimal_value(20, 2) / 20 + 4 * 0.0041


# ---------------------------------------------------------------- help in training

TOLD = replace(SMALL, task_prediction_coef=1.0, task_prediction_loss="bce")
TAUGHT = replace(SMALL, teacher="locksmith", teacher_acts=1.0, teacher_share=1e6)


def test_the_task_is_predicted_from_what_was_seen() -> None:
    """Keys are tried at random: after the first that opens, the lock is known; before, only what it is not."""
    config = replace(TOLD, n_tasks=40, gradient_steps=60, meta_batch=40, latent_size=8, encoder_sizes=(32,), gamma=0.0)
    agent = PEARL(locks(40), replace(config, learning_rate=1e-2, context_size=8, sample_latent=False), seed=0)
    losses = Losses()
    agent.set_logger(Logger(None, [losses]))
    agent.learn(40 * 6 * 10)
    # Knowing nothing of a one-hot vector of 4 costs -(log(1/4) + 3 log(3/4)) / 4 = 0.562 nats a coordinate.
    seen = [loss["train/task_prediction_loss"] for loss in losses.seen if "train/task_prediction_loss" in loss]
    assert seen[-1] < 0.35 < 0.5 < seen[0]


def test_the_prediction_is_no_path_for_the_gradients_of_critics_and_actor() -> None:
    agent = PEARL(locks(3), TOLD, seed=0)
    assert agent.predictor is not None and agent.spaces.task_size == 4
    z = torch.zeros(2, SMALL.latent_size, requires_grad=True)
    told = agent._told(z)
    assert told.shape == (2, SMALL.latent_size + 4) and ((told[:, -4:] > 0) & (told[:, -4:] < 1)).all()
    told[:, -4:].sum().backward()
    assert z.grad is not None and (z.grad == 0).all() and agent.predictor.weight.grad is None


def test_contexts_that_are_no_indicators_are_refused() -> None:
    with pytest.raises(ValueError, match="contexts in"):
        PEARL(locks(3, scale=3.0), TOLD, seed=0).learn(1_000)


def lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaenv.agents.imitation.baselines_of", lambda env: ({"locksmith": Locksmith()}, None))


def test_a_teacher_plays_a_share_of_the_trials_that_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    lessons(monkeypatch)
    agent = PEARL(locks(300), replace(TAUGHT, n_tasks=300, teacher_acts=0.6, teacher_share=0.5), seed=0)
    agent._total_timesteps = 1000
    for played_steps, share in ((0, 0.6), (250, 0.3), (500, 0.0), (900, 0.0)):
        agent.num_timesteps = played_steps
        found = agent._lots(300, np.random.default_rng(0)).mean()
        assert abs(found - share) <= 3 * (share * (1 - share) / 300) ** 0.5


def test_contexts_hold_a_teachers_trials_and_critics_learn_from_the_agents_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has found the right key the locksmith tries no other; random play does, 3 times out of 4."""
    lessons(monkeypatch)
    agent = PEARL(locks(40), replace(TAUGHT, n_tasks=40, context_ends=True, context_size=4), seed=0)
    agent.learn(40 * 6 + 1)
    assert agent.iteration == 2, "a trial of each task at random, and one that the teacher plays"
    kept, tasks, rng = agent._training_replay, np.arange(40), np.random.default_rng(0)
    steps, own = kept.sample(tasks, 50, rng), list[float]()
    assert not steps["taught"].any()
    for task in tasks:
        taught = kept._arrays["taught"][task, : kept.written[task]]
        rewards = kept._arrays["rewards"][task, : kept.written[task]]
        assert (np.diff(taught.astype(int)) >= 0).all() and {*taught.tolist()} == {False, True}
        for played_by, after in ((taught, None), (~taught, own)):
            found = np.flatnonzero(rewards[played_by] > 0)[:1]
            later = rewards[played_by][found[0] + 1 :] if len(found) else []
            if after is None:
                assert all(reward == 1 for reward in later)
            else:
                after.extend(later)
    assert 0.1 < np.mean(own) < 0.4
    assert kept.ends(tasks, 4, rng)[0]["taught"].any()


def test_an_unknown_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match="no baseline 'locksmith'"):
        PEARL(bandit(), TAUGHT)


# ---------------------------------------------------------------- saving and resuming


@pytest.mark.parametrize("make", RESUMED)
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, refresh_tasks=1),
        MIXED,
        replace(SMALL, sample_latent=False),
        replace(SMALL, context_ends=True),
    ],
)
def test_a_resumed_training_ends_bit_for_bit_where_an_unbroken_one_does(
    make: Callable[..., VectorTrial], config: PEARLConfig, tmp_path: Path
) -> None:
    turn = 3 * STEPS[make]
    unbroken = PEARL(make(), config, seed=3).learn(turn * 6)
    broken = PEARL(make(), config, seed=3).learn(turn * 6, callback=StopAt(turn * 4 + 3))
    assert broken.num_timesteps == turn * 4 and broken.iteration == 4
    broken.save(tmp_path / "agent")
    resumed = PEARL.load(tmp_path / "agent", env=make())
    assert resumed.config == config
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert resumed.num_timesteps == unbroken.num_timesteps
    assert torch.equal(weights(resumed), weights(unbroken))
    assert resumed._training_tasks.ids.tolist() == unbroken._training_tasks.ids.tolist()


def test_an_interrupted_iteration_is_undone() -> None:
    unbroken = PEARL(bandit(), SMALL, seed=3).learn(30 * 6)
    agent = PEARL(bandit(), SMALL, seed=3)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(30 * 6, callback=StopAt(30 * 4 + 7, KeyboardInterrupt))
    assert agent.num_timesteps == 30 * 4 and agent.iteration == 4
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(agent), weights(unbroken))


def test_an_interrupt_in_the_middle_of_an_update_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = PEARL(point(), SMALL, seed=3).learn(120 * 5)
    agent = PEARL(point(), SMALL, seed=3)
    step, calls = agent._optimizers["actor"].step, iter(range(100))

    def interrupted_step() -> None:
        step()
        if next(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(agent._optimizers["actor"], "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(120 * 5)
    monkeypatch.undo()
    assert agent.iteration == 3
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(agent), weights(unbroken))


@pytest.mark.parametrize("at_step", [4, 33, 57, 60])
def test_a_checkpoint_made_during_collection_resumes_exactly(at_step: int, tmp_path: Path) -> None:
    # Iterations of 10 steps; at the 60th step all that was asked for has been played, but not yet been kept.
    callback = CheckpointCallback(save_freq=at_step, save_path=str(tmp_path))
    unbroken = PEARL(bandit(), SMALL, seed=3).learn(30 * 6, callback=callback)
    resumed = PEARL.load(tmp_path / f"rl_model_{3 * at_step}_steps.zip", env=bandit())
    assert resumed.num_timesteps == 30 * ((at_step - 1) // 10)
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


def test_an_env_given_after_loading_resumes_exactly_too(tmp_path: Path) -> None:
    unbroken = PEARL(bandit(), SMALL, seed=3).learn(30 * 5)
    PEARL(bandit(), SMALL, seed=3).learn(30 * 5, callback=StopAt(30 * 3)).save(tmp_path / "agent")
    resumed = PEARL.load(tmp_path / "agent")
    resumed.set_env(bandit())
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


def test_what_is_done_elsewhere_does_not_change_training() -> None:
    class Meddler(BaseCallback):
        def _on_step(self) -> bool:
            self.model.predict(np.zeros((4, self.model.spaces.trial_size), np.float32))
            torch.rand(3)
            np.random.default_rng(0).random()
            return True

    plain, meddled = (PEARL(bandit(), SMALL, seed=3).learn(30 * 4, callback=c) for c in (None, Meddler()))
    assert torch.equal(weights(plain), weights(meddled))
    for make in (bandit, point):
        before = torch.get_rng_state()
        agent = PEARL(make(), SMALL, seed=4).learn(3 * STEPS[make] * 3)
        agent.predict(np.zeros(agent.spaces.trial_size))
        assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_agent_acts_alike(tmp_path: Path) -> None:
    agent = PEARL(point(), SMALL, seed=0).learn(120 * 3)
    agent.save(tmp_path / "agent.pt")
    loaded = PEARL.load(tmp_path / "agent.pt")
    observation = np.ones((5, agent.spaces.trial_size), np.float32)
    np.testing.assert_array_equal(agent.predict(observation)[0], loaded.predict(observation)[0])
    np.testing.assert_array_equal(
        agent.posterior(np.stack([observation] * 3))[0], loaded.posterior([observation] * 3)[0]
    )
    assert loaded.config == agent.config and loaded.spaces == agent.spaces
    with pytest.raises(ValueError, match="Expected an env to learn on"):
        loaded.learn(10)


def test_a_finished_checkpoint_is_small(tmp_path: Path) -> None:
    agent = PEARL(bandit(), replace(SMALL, n_tasks=50, replay_capacity=1000), seed=0)
    agent.learn(30 * 20, callback=StopAt(30 * 18)).save(tmp_path / "half")
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False).save(tmp_path / "whole")
    assert (tmp_path / "whole.pt").stat().st_size < (tmp_path / "half.pt").stat().st_size
    assert PEARL.load(tmp_path / "whole", env=bandit()).remaining_timesteps == 0


# ---------------------------------------------------------------- errors and settings


def test_a_checkpoint_is_refused_where_it_does_not_fit(tmp_path: Path) -> None:
    PEARL(bandit(), SMALL, seed=0).save(tmp_path / "agent.pt")
    for other in (point(), bandit(n_arms=4)):
        with pytest.raises(ValueError, match="Expected the environment this agent was made for"):
            PEARL.load(tmp_path / "agent.pt", env=other)
    content = torch.load(tmp_path / "agent.pt", weights_only=True)
    del content["state"]["optimizers"]
    torch.save(content, tmp_path / "agent.pt")
    with pytest.raises(ValueError, match="checkpoint of this version"):
        PEARL.load(tmp_path / "agent.pt")


def test_envs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected a VectorTrial"):
        PEARL(Bandit(2), SMALL)
    with pytest.raises(ValueError, match="Expected a VectorTrial"):
        PEARL(bandit().env, SMALL)
    with pytest.raises(ValueError, match="neither"):
        PEARL(None)
    with pytest.raises(ValueError, match=r"at most as many sub-environments .* \(6\), got 7"):
        PEARL(bandit(7), SMALL)
    with pytest.raises(ValueError, match="SAME_STEP"):
        PEARL(VectorTrial(BernoulliBanditVectorEnv(2), autoreset_mode="NextStep"), SMALL)
    agent = PEARL(bandit(), SMALL, seed=0)
    with pytest.raises(ValueError, match="Expected the environment this agent was made for"):
        agent.set_env(point())
    with pytest.raises(ValueError, match="at most 5 steps"):
        PEARL(bandit(), replace(SMALL, replay_capacity=5), seed=0).learn(1)


def test_a_new_env_with_more_trials_than_tasks_is_refused() -> None:
    agent = PEARL(bandit(), SMALL, seed=0)
    with pytest.raises(ValueError, match="at most as many sub-environments"):
        agent.set_env(bandit(7))


def test_settings_survive_json() -> None:
    config = TrainConfig("GridNavi-v0", 10, 5, agent=replace(SMALL, critic_reward="dense_reward", ent_coef=0.1))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.algorithm == "pearl" and config.title == "PEARL"
    for name in ("BernoulliBandit", "metaenv/GridNavi-v0"):
        found = preset(name, "pearl")
        assert isinstance(found.agent, PEARLConfig) and found.env == f"{name.split('/')[-1].removesuffix('-v0')}-v0"
        assert TrainConfig.from_dict(json.loads(json.dumps(found.to_dict()))) == found
