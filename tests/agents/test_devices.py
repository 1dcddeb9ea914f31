"""Agents on devices. Without a GPU, networks and losses run on torch's "meta" device, which has shapes and no numbers:
an operation there on a tensor that was made on the CPU fails, as it would on a GPU."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger
from torch import Tensor
from toy_batches import first_batch
from toy_pearl import MIXED, SMALL, SUMMED, Losses, bandit, point

from metaenv.agents.base import Agent
from metaenv.agents.config import TaskPrediction
from metaenv.agents.context import Context
from metaenv.agents.pearl import PEARL
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Cell, Network, RL2Config, VariationalBelief
from metaenv.agents.rollouts import TrialBuffer
from metaenv.policies import AgentPolicy, play_trials
from metaenv.trial import VectorTrial, make_trials

META = torch.device("meta")
CELLS: list[Cell] = ["lstm", "gru", "attention"]


def recipes(num_envs: int = 4) -> VectorTrial:
    return make_trials("MaterialsSynthesis", num_envs, episodes=3)


def nights(num_envs: int = 4) -> VectorTrial:
    return make_trials("TargetSelection", num_envs, episodes=1)


def rl2(make: Callable[..., VectorTrial], cell: Cell = "lstm", device: str = "cpu", **settings: object) -> RL2:
    network = Network((8,), hidden_size=16, cell=cell, entities=make is nights, entity_size=8)
    prediction = TaskPrediction(1.0, feed_to_policy=True) if make is bandit else None
    config = RL2Config(network=network, task_prediction=prediction, n_epochs=2, n_minibatches=2)
    return RL2(make(4), replace(config, **settings), seed=3, device=device)  # type: ignore[arg-type]


def learned_from(agent: RL2) -> dict[str, Tensor]:
    """The tensors of the first update."""
    return {name: torch.as_tensor(x) for name, x in first_batch(agent).items() if name not in ("rewards", "values")}


@pytest.mark.parametrize("make", [bandit, recipes, nights])
@pytest.mark.parametrize("cell", CELLS)
def test_no_tensor_of_rl2_is_made_on_another_device(make: Callable[..., VectorTrial], cell: Cell) -> None:
    agent = rl2(make, cell)
    batch = {name: x.to(META) for name, x in learned_from(agent).items()}
    agent.policy.to(META)
    loss, metrics = agent._loss(batch, 0.01)
    assert loss.device == META and {x.device for x in metrics.values()} == {META}
    loss.backward()
    if cell != "attention":  # which reads how far its trials are
        state = torch.zeros(4, agent._state_size, device=META)
        masks = batch.get("masks")
        dist, values, _, after = agent.policy(batch["observations"][:1], state, None if masks is None else masks[:1])
        sample = dist.sample(torch.Generator().manual_seed(0))
        assert {x.device for x in (sample, dist.action(sample), dist.mode(), values, after)} == {META}


@pytest.mark.parametrize("make", [bandit, recipes, nights])
def test_no_tensor_of_heads_that_the_memory_makes_is_made_on_another_device(make: Callable[..., VectorTrial]) -> None:
    network = Network((8,), hidden_size=16, heads="hypernetwork", entities=make is nights, entity_size=8)
    agent = rl2(make, network=network, task_prediction=None)
    batch = {name: x.to(META) for name, x in learned_from(agent).items()}
    agent.policy.to(META)
    loss, _ = agent._loss(batch, 0.01)
    loss.backward()
    assert loss.device == META


@pytest.mark.parametrize("make", [bandit, recipes, nights])
def test_no_tensor_of_a_belief_is_made_on_another_device(make: Callable[..., VectorTrial]) -> None:
    agent = rl2(make, belief=VariationalBelief(3), task_prediction=None)
    learner = agent.belief
    assert learner is not None
    batch = learned_from(agent)
    observations = learner.model.without_belief(batch["observations"]).to(META)
    learner.model.to(META)
    rewards = torch.zeros(observations.shape[:2], device=META)
    trials = {
        "observations": observations,
        "actions": batch["actions"].to(META),
        "targets": learner._targets(observations, rewards),
        "goes_on": torch.ones(observations.shape[:2], dtype=torch.bool, device=META),
        "lengths": torch.ones(observations.shape[1], dtype=torch.int64, device=META),
    }
    errors = learner.errors(trials, torch.Generator().manual_seed(0))
    sum(errors).backward()
    assert {x.device for x in errors} == {META}
    shown, state = learner.model.shown(observations, None)
    assert shown.device == state.device == META


@pytest.mark.parametrize("config", [SMALL, SUMMED, MIXED], ids=["product", "sum", "mixture"])
@pytest.mark.parametrize("make", [bandit, point])
def test_no_tensor_of_pearl_is_made_on_another_device(make: Callable[..., VectorTrial], config: object) -> None:
    agent = PEARL(make(), config, seed=0, device="cpu").learn(1)
    replay, tasks, rng = agent._training_tasks.replay, np.arange(3), np.random.default_rng(0)
    parts = [replay.sample(tasks, 8, rng), *(agent._contexts.sample(replay, tasks, rng) for _ in range(2))]
    steps, context = {name: x.to(META) for name, x in parts[0].items()}, Context(*(x.to(META) for x in parts[1]))
    for network in agent._networks.values():
        network.to(META)
    agent._apply = lambda name, loss: loss.backward()  # the fused Adam has no shapes without numbers
    assert {x.device for x in agent._gradient_step(steps, context).values()} == {META}
    seen, state = (
        torch.zeros(3, agent.dims.observation_size, device=META),
        torch.zeros(3, agent._state_size, device=META),
    )
    actions, after = agent._act(seen, state, None, agent._generator, deterministic=False, training=True)
    assert actions.device == after.device == META
    replay._tensors = {name: x.to(META) for name, x in replay._tensors.items()}
    assert agent._contexts.sample(replay, tasks, rng).steps.device == META


def test_trials_are_kept_where_networks_are() -> None:
    """Fields of torch lie on the device, and numpy's do not; trials of both kinds have the same layout."""
    fields = {"x": ((2,), torch.float32), "reward": ((), np.float32)}
    buffer = TrialBuffer(1, 3, fields, META)
    for step in range(4):
        ends = np.full(3, step % 2 == 1)
        buffer.add(ends, x=torch.zeros(3, 2, device=META), reward=np.float32([step, 10 + step, 20 + step]))
    fixed, padded = buffer.fixed_trials(2), buffer.padded_trials(2)
    for trials in (fixed, padded):
        assert trials["x"].device == META and trials["x"].shape == (2, 6, 2)
        np.testing.assert_array_equal(trials["reward"], [[0, 10, 20, 2, 12, 22], [1, 11, 21, 3, 13, 23]])


@pytest.mark.parametrize("agent", [rl2(bandit), rl2(bandit, "attention"), PEARL(bandit(), SMALL, seed=0, device="cpu")])
def test_a_state_that_stays_on_the_device_is_the_same_as_an_array(agent: Agent) -> None:
    observation = np.zeros((2, agent.dims.observation_size), np.float32)
    array, tensor = None, agent.zero_state(2)
    for step in range(3):
        given, before = array, None if array is None else array.copy()
        with agent.drawing_from(step):
            expected, array = agent.predict(observation, array)
        if before is not None:
            np.testing.assert_array_equal(given, before, "an array is left as it is")
        with agent.drawing_from(step):
            found, tensor = agent.predict(observation, tensor)
        assert isinstance(tensor, Tensor)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(tensor, array)
    with pytest.raises(ValueError, match="expected states"):
        agent.predict(observation, tensor[:, 1:])


def test_agents_say_where_they_are(tmp_path: object) -> None:
    for agent in (rl2(bandit), PEARL(bandit(), SMALL, seed=0)):
        assert agent.device == torch.device("cpu")
        with pytest.raises(ValueError, match="got 'abacus'"):
            type(agent)(bandit(), agent.config, device="abacus")
        agent.save(f"{tmp_path}/agent.pt")
        with pytest.raises(ValueError, match="got 'abacus'"):
            type(agent).load(f"{tmp_path}/agent.pt", device="abacus")
        assert type(agent).load(f"{tmp_path}/agent.pt", device="cpu").device == torch.device("cpu")


def logged(agent: Agent, steps: int) -> list[dict[str, float]]:
    """What is logged in a training of so many steps."""
    losses = Losses()
    agent.set_logger(Logger(None, [losses]))
    agent.learn(steps)
    return losses.seen


def trained(kind: str, device: str) -> tuple[Agent, list[dict[str, float]]]:
    """An agent after a short training, and its log."""
    if kind == "PEARL":
        agent: Agent = PEARL(point(), SMALL, seed=1, device=device)
        return agent, logged(agent, 480)
    make, cell = {"bandit": (bandit, "lstm"), "recipes": (recipes, "gru"), "attention": (bandit, "attention")}[kind]
    agent = rl2(make, cell, device)  # type: ignore[arg-type]
    assert agent.env is not None
    return agent, logged(agent, 3 * 4 * int(agent.env.trial_length))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["bandit", "recipes", "attention", "PEARL"])
def test_a_gpu_learns_the_same_up_to_rounding(kind: str, tmp_path: object) -> None:
    """Play is compared where no choice has turned out differently, which needs the first iterations only."""
    (here, expected), (there, found) = trained(kind, "cpu"), trained(kind, "cuda")
    assert there.device.type == "cuda" and len(found) == len(expected)
    for a, b in zip(found[:2], expected[:2], strict=True):
        for name in (n for n in b if n.startswith("train/") and isinstance(b[n], float)):
            assert a[name] == pytest.approx(b[name], rel=0.02, abs=0.002), name
    there.save(f"{tmp_path}/there.pt")
    back = type(there).load(f"{tmp_path}/there.pt", device="cpu")
    assert back.env is None and here.env is not None and there.env is not None
    trials, tasks = here.env, here.env.distribution.sample(4, "validation", np.random.default_rng(0))
    played = [play_trials(AgentPolicy(agent), trials, tasks) for agent in (there, back)]
    assert (played[0].actions.round(2) == played[1].actions.round(2)).mean() > 0.9, "a checkpoint acts on any device"
    resumed = type(there).load(f"{tmp_path}/there.pt", env=there.env, device="cuda")
    resumed.learn(40, reset_num_timesteps=False)
    assert resumed.num_timesteps > there.num_timesteps
