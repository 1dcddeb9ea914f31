"""What other people's code expects of an environment: Gymnasium's wrappers, monitors, seeds, specs."""

from __future__ import annotations

import importlib
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as vector_wrappers

from metaenv import ENVIRONMENTS, ObserveMask, Trial, VectorObserveMask, full_id, make_trials

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "clients.md").read_text(encoding="utf-8")
BANDIT = "metaenv:metaenv/BernoulliBandit-v0"


@pytest.fixture(params=ENVIRONMENTS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("MoleculeDesign"):
        pytest.importorskip("rdkit", reason="molecules are scored by RDKit")
    return request.param


def actions(env: Any, info: dict[str, Any], rng: np.random.Generator) -> Any:
    if isinstance(env.single_action_space, gym.spaces.Discrete):
        mask = np.asarray(info["action_mask"])
        return np.argmax(np.where(mask, rng.random(mask.shape), -1), axis=1)
    return rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["episodes", "trials"])
def test_statistics_of_gymnasium_are_the_environments_own(name: str, kind: str):
    """`RecordEpisodeStatistics` with default arguments, beside the sums of what the environment pays."""
    make = (lambda: gym.make_vec(full_id(name), num_envs=3)) if kind == "episodes" else lambda: make_trials(name, 3, 2)
    counted, plain = vector_wrappers.RecordEpisodeStatistics(make()), make()
    assert plain.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    _, info = counted.reset(seed=5)
    plain.reset(seed=5)
    rng, sums, lengths = np.random.default_rng(0), np.zeros(3), np.zeros(3)
    ours, theirs = [], []
    over = np.zeros(3, bool)
    for _ in range(130):
        action = actions(plain, info, rng)
        *_, info = counted.step(action)
        _, reward, terminated, truncated, _ = plain.step(action)
        sums, lengths = np.where(over, 0, sums + reward), np.where(over, 0, lengths + 1)
        over = terminated | truncated
        ours += [(sums[i], lengths[i]) for i in np.flatnonzero(over)]
        if "episode" in info:
            theirs += [(info["episode"]["r"][i], info["episode"]["l"][i]) for i in np.flatnonzero(info["_episode"])]
    assert len(ours) > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_gymnasiums_vector_wrappers_take_it_as_it_is(name: str):
    pytest.importorskip("torch", reason="NumpyToTorch is for torch")
    pytest.importorskip("array_api_compat", reason="Gymnasium converts arrays by it")
    env: Any = vector_wrappers.NormalizeObservation(gym.make_vec(full_id(name), num_envs=2))
    env = vector_wrappers.NumpyToTorch(env)
    observation, info = env.reset(seed=0)
    assert observation.shape[0] == 2 and info["task_id"].shape == (2,)
    listed = vector_wrappers.DictInfoToList(make_trials(name, 2, 2))
    _, infos = listed.reset(seed=0)
    assert len(infos) == 2 and "episode_return" not in infos[0], "no episode has ended"


def test_trials_can_be_rescaled_where_the_reward_is_bounded():
    for id_ in ("GridNavi", "BernoulliBandit", "SparsePointRobot"):
        trial = gym.wrappers.RescaleObservation(Trial(gym.make(full_id(id_))), np.float32(-1), np.float32(1))
        assert trial.observation_space.contains(trial.reset(seed=0)[0])


def test_specs_say_how_long_an_episode_is_and_make_the_same_again():
    for id_, steps in (("GridNavi", 15), ("BernoulliBandit", 1), ("TabularMDP", 10), ("LeadOptimization", 4)):
        assert gym.make(full_id(id_)).spec.max_episode_steps == steps  # type: ignore[union-attr]
        trials = make_trials(id_, 2, episodes=3, autoreset_mode=AutoresetMode.SAME_STEP)
        spec = EnvSpec.from_json(trials.spec.to_json())  # type: ignore[union-attr]
        again = gym.make_vec(spec)
        assert (type(again), again.num_envs, again.episodes) == (type(trials), 2, 3)  # type: ignore[attr-defined]
        assert again.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP and spec.max_episode_steps == 3 * steps
    assert gym.make(full_id("FurnaceControl")).spec.max_episode_steps is None  # type: ignore[union-attr]


def test_a_limit_of_steps_truncates():
    env = gym.make_vec(full_id("GridNavi"), num_envs=2, max_episode_steps=3)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, int))[2:4] for _ in range(8)]
    assert [bool(truncated.all()) for _, truncated in ends] == [False, False, True, False] * 2
    assert not any(terminated.any() for terminated, _ in ends)
    trials = make_trials("GridNavi", 1, episodes=2, max_episode_steps=3, autoreset_mode="Disabled")
    assert trials.trial_length == 6
    trials.reset(seed=0)
    assert [bool(trials.step(np.zeros(1, int))[2][0]) for _ in range(6)] == [False] * 5 + [True]
    with pytest.raises(gym.error.ResetNeeded):
        trials.step(np.zeros(1, int))
    one = gym.make_vec(BANDIT, num_envs=1, max_episode_steps=1)
    one.reset(seed=0)
    _, _, terminated, truncated, _ = one.step(np.zeros(1, int))
    assert terminated[0] and not truncated[0], "an episode that is over is not cut off"


def test_the_last_info_says_of_whom_it_is():
    trials = make_trials("BernoulliBandit", 2, episodes=3, autoreset_mode="SameStep")
    trials.reset(seed=0)
    trials.step(np.zeros(2, int))
    trials.reset(options={"reset_mask": np.array([False, True])})
    trials.step(np.zeros(2, int))
    *_, info = trials.step(np.zeros(2, int))
    assert info["_final_info"].tolist() == info["_final_obs"].tolist() == [True, False]
    masks = [name for name in info["final_info"] if name.startswith("_")]
    assert masks and all(info["final_info"][name].tolist() == [True, False] for name in masks)


def test_there_is_no_np_random_to_save_in_vain():
    env = gym.make_vec(BANDIT, num_envs=2)
    with pytest.raises(AttributeError, match="pickle or deepcopy"):
        env.np_random  # noqa: B018
    with pytest.raises(AttributeError, match="pickle or deepcopy"):
        env.np_random = np.random.default_rng(0)
    env.reset(seed=3)
    assert env.np_random_seed == (3, 4)
    unseeded = [gym.make_vec(BANDIT, num_envs=2).reset()[1]["task_id"] for _ in range(2)]
    assert len(set(np.concatenate(unseeded))) == 4, "without a seed, everything is drawn anew"


@pytest.mark.parametrize("names", [("observations", "action_mask"), ("obs", "mask")])
def test_masks_in_the_observation(names: tuple[str, str]):
    one = ObserveMask(Trial(gym.make(full_id("TargetSelection")), episodes=1), *names)
    many = VectorObserveMask(make_trials("TargetSelection", 2, 1), *names)
    for env, space in ((one, one.action_space), (many, many.single_action_space)):
        observation, info = env.reset(seed=1)
        for _ in range(30):
            assert env.observation_space.contains(observation)
            np.testing.assert_array_equal(observation[names[1]], info["action_mask"])
            mask = np.atleast_2d(info["action_mask"])
            action = np.argmax(mask, axis=1)
            observation, _, terminated, truncated, info = env.step(int(action[0]) if env is one else action)
            if env is one and (terminated or truncated):
                observation, info = env.reset()
        assert isinstance(space, gym.spaces.Discrete) and env.observation_space[names[1]].dtype == np.float32
    same = VectorObserveMask(make_trials("LeadOptimization", 2, 1, autoreset_mode="SameStep"))
    observation, info = same.reset(seed=0)
    for _ in range(4):
        observation, *_, info = same.step(np.argmax(observation["action_mask"], axis=1))
    final, fresh = info["final_obs"]["action_mask"], observation["action_mask"]
    np.testing.assert_array_equal(final, info["final_info"]["action_mask"])
    assert (final != fresh).any() and set(info["final_obs"]) == {"observations", "action_mask"}
    with pytest.raises(ValueError, match="needs Discrete actions"):
        ObserveMask(gym.make(full_id("SparsePointRobot")))


def test_a_monitor_inside_a_trial_reports_the_trial():
    sb3 = pytest.importorskip("stable_baselines3", reason="its Monitor is what this is about")
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    inside = make_vec_env(full_id("TabularMDP"), 2, seed=0, wrapper_class=Trial)
    outside = make_vec_env(lambda: Trial(gym.make(full_id("TabularMDP"))), 2, seed=0)
    model = sb3.PPO("MlpPolicy", inside, n_steps=8, batch_size=16, seed=0, device="cpu")
    (mean, _), (expected, _) = (evaluate_policy(model, env, 4) for env in (inside, outside))
    assert mean == pytest.approx(expected) and mean > 20, "ten episodes of about ten"
    returns, lengths = evaluate_policy(model, inside, 2, return_episode_rewards=True)
    assert lengths == [100, 100] and len(returns) == 2
    plain = gym.wrappers.RecordEpisodeStatistics(gym.make(full_id("GridNavi")))
    trial = Trial(plain, episodes=2)
    trial.reset(seed=0)
    infos = [trial.step(0)[4] for _ in range(30)]
    assert ["episode" in info for info in infos] == [False] * 29 + [True]
    assert infos[-1]["episode"]["l"] == 30 and infos[-1]["episode"]["r"] == pytest.approx(30 * -0.1)
    assert infos[14]["episode_end"] and infos[14]["episode_return"] == pytest.approx(-1.5)


def test_the_adapter_says_what_it_needs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3.common.vec_env", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "metaenv.sb3", raising=False)
    with pytest.raises(ImportError, match="pip install stable-baselines3"):
        importlib.import_module("metaenv.sb3")


def test_text_is_told_where_it_is_asked_for():
    _, info = gym.make_vec(full_id("LeadOptimization"), num_envs=2, text_info=True).reset(seed=0)
    assert all(isinstance(text, str) and text for text in info["smiles"])
    assert "smiles" not in gym.make_vec(full_id("LeadOptimization"), num_envs=2).reset(seed=0)[1]


def test_the_code_of_the_page_for_clients_runs():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "docs/clients.md", "exec"), {})


CLIENTS = Path(__file__).resolve().parents[1] / "examples" / "clients"
DISCRETE = [name for name in ENVIRONMENTS if not name.startswith(("SparsePointRobot", "MaterialsSynthesis"))]
SB3 = ("sb3_contrib", "pip install stable-baselines3 sb3-contrib")
RLLIB = ("ray.rllib", 'pip install torch "ray[rllib]", in a virtual environment of its own')
# The example and what it is given beside an id: the package and how to install it, the environments for which it is.
EXAMPLES: dict[str, tuple[tuple[str, str], list[str]]] = {
    "cleanrl_style.py": (("torch", "pip install torch"), DISCRETE),
    "sb3.py ppo": (SB3, list(ENVIRONMENTS)),
    "sb3.py maskable": (SB3, DISCRETE),
    "sb3.py recurrent": (SB3, list(ENVIRONMENTS)),
    "torchrl_ppo.py": (("torchrl", "pip install torchrl"), list(ENVIRONMENTS)),
    "skrl_ppo.py": (("skrl", "pip install skrl"), list(ENVIRONMENTS)),
    "tianshou_dqn.py": (("tianshou", "pip install tianshou"), DISCRETE),
    "minari_recording.py": (("minari", 'pip install "minari[create,hdf5]"'), list(ENVIRONMENTS)),
    "rllib_ppo.py sync": (RLLIB, list(ENVIRONMENTS)),
    "rllib_ppo.py vector_entry_point": (RLLIB, list(ENVIRONMENTS)),
}


def script(client: str, name: str) -> tuple[Path, list[str]]:
    """The file of an example and what it is given. It is skipped where the client is not installed."""
    (package, install), _ = EXAMPLES[client]
    try:
        found = importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        pytest.skip(f"this client is not installed: {install}")
    file, *kind = client.split()
    return CLIENTS / file, [name.removesuffix("-v0"), *kind]


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("cleanrl_style.py", "BernoulliBandit"),
        ("cleanrl_style.py", "GridNavi"),
        ("sb3.py ppo", "BernoulliBandit"),
        ("sb3.py maskable", "LeadOptimization"),
        ("sb3.py recurrent", "BernoulliBandit"),
    ],
)
def test_an_example_reports_what_the_environment_has_paid(
    client: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As `python example` does, but in this process, which has loaded torch already."""
    path, args = script(client, name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(CLIENTS)
    monkeypatch.setattr(sys, "argv", [path.name, *args, "2048"])
    monkeypatch.delitem(sys.modules, "ledger", raising=False)  # what it has counted so far
    runpy.run_path(str(path), run_name="__main__")
    assert "trials with a mean reward of" in capsys.readouterr().out


@pytest.mark.clients
@pytest.mark.parametrize(("client", "name"), [(client, name) for client in EXAMPLES for name in EXAMPLES[client][1]])
def test_every_client_reports_what_every_environment_has_paid(client: str, name: str, tmp_path: Path):
    path, args = script(client, name)
    out = subprocess.run([sys.executable, str(path), *args], capture_output=True, text=True, cwd=tmp_path)
    assert out.returncode == 0, out.stderr[-2000:]
    assert "trials with a mean reward of" in out.stdout
    print(out.stdout)


def test_examples_compare_with_what_is_paid(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(CLIENTS)
    monkeypatch.delitem(sys.modules, "ledger", raising=False)
    from ledger import PAID, Ledger, VectorLedger, compare  # type: ignore[import-not-found]

    PAID.clear()
    env = VectorLedger(make_trials("GridNavi", 2, 2))
    env.reset(seed=0)
    for _ in range(62):  # one step more than a trial has begins the next one
        env.step(np.zeros(2, int))
    assert PAID == pytest.approx([-3.0] * 4)
    one = Ledger(Trial(gym.make(BANDIT), episodes=2))
    one.reset(seed=0)
    assert PAID[4:] == [] and sum(one.step(0)[1] for _ in range(2)) == PAID[4]
    compare("a client", PAID[-3:])
    with pytest.raises(SystemExit, match="another return"):
        compare("a client", [-3.0, -3.0, PAID[4] + 1])
    with pytest.raises(SystemExit, match="more steps"):
        compare("a client", [])


def test_every_client_of_the_examples_is_run_here():
    assert {path.name for path in CLIENTS.glob("*.py")} == {"ledger.py", *(client.split()[0] for client in EXAMPLES)}
