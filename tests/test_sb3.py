"""Stable-Baselines3 learns on native vector environments through the adapter."""

from copy import deepcopy

import numpy as np
import pytest

sb3 = pytest.importorskip("stable_baselines3", reason="needs the agents extra")

import gymnasium as gym  # noqa: E402
from stable_baselines3.common.vec_env import VecMonitor  # noqa: E402

from metaenv import make_trials  # noqa: E402
from metaenv.classic.bandit.tasks import BanditTask  # noqa: E402
from metaenv.ids import task_id  # noqa: E402
from metaenv.sb3 import SB3VecEnv  # noqa: E402

SURE = BanditTask((0.0, 1.0, 0.0, 0.0, 0.0))


def test_terminal_observation_and_monitor():
    env = VecMonitor(SB3VecEnv(make_trials("BernoulliBandit", 2, episodes=3)))
    env.seed(0)
    env.reset()
    for _ in range(3):
        _, rewards, dones, infos = env.step(np.array([1, 2]))
    assert dones.all()
    assert infos[0]["terminal_observation"][-1] == 1.0
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[0]["episode_end"], "the info is that of the step, not of the reset"
    assert infos[0]["episode"]["l"] == 3
    assert rewards.dtype == np.float32


def test_infos_are_those_of_the_native_environment_and_stay_as_they_are():
    env = SB3VecEnv(make_trials("TabularMDP", 3, episodes=2))
    native = make_trials("TabularMDP", 3, episodes=2, autoreset_mode="SameStep")
    env.seed(0)
    env.reset()
    native.reset(seed=0)
    kept, copies = [], []
    for step in range(25):
        action = np.array([0, 1, 2])
        *_, dones, infos = env.step(action)
        *_, info = native.step(action)
        assert dones.all() == (step == 19)
        told = info.get("final_info", info)
        names = {name for name in told if not name.startswith("_")}
        assert names | ({"terminal_observation", "TimeLimit.truncated"} if step == 19 else set()) == set(infos[0])
        for row in range(3):
            np.testing.assert_equal(
                {name: infos[row][name] for name in names}, {name: told[name][row] for name in names}
            )
        kept.append(infos)
        copies.append(deepcopy(infos))
    np.testing.assert_equal(kept, copies)


def test_masks_reach_sb3_contrib():
    env = SB3VecEnv(make_trials("BernoulliBandit", 3))
    env.reset()
    masks = np.stack(env.env_method("action_masks"))
    assert masks.shape == (3, 5) and masks.all()


def test_seeding_repeats():
    traces = []
    for _ in range(2):
        env = SB3VecEnv(make_trials("BernoulliBandit", 4))
        env.seed(7)
        env.reset()
        traces.append([env.step(np.full(4, 2))[1].tolist() for _ in range(10)])
    assert traces[0] == traces[1]


def test_what_is_no_batched_environment_is_refused():
    with pytest.raises(TypeError, match="around SB3VecEnv"):
        SB3VecEnv(gym.wrappers.vector.RecordEpisodeStatistics(make_trials("BernoulliBandit", 2)))


def test_options_are_those_of_reset_row_by_row():
    env = SB3VecEnv(make_trials("BernoulliBandit", 3))
    env.set_options({"task": SURE})
    env.reset()
    assert [task_id(info["task_id"]) for info in env.reset_infos] == [SURE.id] * 3
    env.reset()  # options hold for one reset
    assert SURE.id not in [task_id(info["task_id"]) for info in env.reset_infos]
    before = [info["task_id"] for info in env.reset_infos]
    env.set_options([{"keep_task": True}, {}, {"keep_task": True}])
    env.reset()
    assert [info["task_id"] == old for info, old in zip(env.reset_infos, before, strict=True)] == [True, False, True]
    twin = SB3VecEnv(make_trials("BernoulliBandit", 3))
    for each in (env, twin):
        each.seed(4)
    env.set_options([{}, {"task": SURE}, {}])
    env.reset(), twin.reset()
    ids, others = ([info["task_id"] for info in each.reset_infos] for each in (env, twin))
    assert task_id(ids[1]) == SURE.id and (ids[0], ids[2]) == (others[0], others[2])


def test_rows_are_reset_by_their_method():
    env = SB3VecEnv(make_trials("BernoulliBandit", 3))
    env.reset()
    ids = env.env.tasks.ids.copy()
    ((observation, info),) = env.env_method("reset", options={"task": SURE}, indices=np.int64(1))
    assert task_id(info["task_id"]) == SURE.id and observation.shape == env.observation_space.shape
    assert list(env.env.tasks.ids) == [ids[0], SURE.id, ids[2]]
    infos = [info for _, info in env.env_method("reset", seed=3)]
    assert len(infos) == 3 and len({info["task_id"] for info in infos}) == 1, "each row has the seed 3"
    before = env.env.tasks.ids.copy()
    env.set_options({"reset_mask": np.array([True, False, False])})
    env.reset()
    assert (env.env.tasks.ids == before).tolist() == [False, True, True]


def test_masked_evaluation_plays_what_is_allowed_and_reports_what_is_paid(tmp_path):
    contrib = pytest.importorskip("sb3_contrib", reason="pip install sb3-contrib")
    from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback

    played, paid = [], []

    class Watched(SB3VecEnv):
        def step_async(self, actions):
            played.append(self.env.action_masks()[np.arange(4), actions])
            super().step_async(actions)

        def step_wait(self):
            result = super().step_wait()
            paid.append(result[1])
            return result

    def trials():
        return make_trials("LeadOptimization", 4, episodes=2)

    evaluation = MaskableEvalCallback(
        VecMonitor(Watched(trials())), n_eval_episodes=4, eval_freq=16, best_model_save_path=str(tmp_path), verbose=0
    )
    how = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seed": 0, "device": "cpu"}
    model = contrib.MaskablePPO("MlpPolicy", VecMonitor(SB3VecEnv(trials())), **how).learn(128, evaluation)
    assert len(paid) == 2 * 8, "two evaluations of trials of eight steps"
    assert np.all(played) and not evaluation.eval_env.env_method("action_masks")[0].all()
    assert evaluation.last_mean_reward == pytest.approx(np.sum(paid[8:]) / 4, abs=1e-5)
    best = contrib.MaskablePPO.load(tmp_path / "best_model")
    assert model.observation_space == best.observation_space


def test_ppo_learns_through_the_adapter():
    """On one fixed bandit PPO must find the paying arm: 3 per trial of 3, where random play earns 0.6."""

    trials = make_trials("BernoulliBandit", 16, episodes=3, task=SURE)
    model = sb3.PPO("MlpPolicy", SB3VecEnv(trials), n_steps=16, batch_size=64, learning_rate=3e-3, seed=0, device="cpu")
    model.learn(4_000)
    observation, _ = trials.reset()
    total = 0.0
    for _ in range(3):
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, *_ = trials.step(action)
        total += reward.mean()
    assert total == 3.0
