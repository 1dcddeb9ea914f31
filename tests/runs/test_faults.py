"""What can go wrong with runs: other settings, damaged files, edits, interruptions at bad moments."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("tyro", reason="runs need tyro")

import torch
from stable_baselines3.common.callbacks import BaseCallback

from metaenv.agents.pearl import PEARL, PEARLConfig
from metaenv.agents.pearl_config import BeliefConfig, PEARLNetwork
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.checkpoints import load_checkpoint, save_checkpoint
from metaenv.cli import main
from metaenv.interrupts import Terminated, stops_deferred, stops_noted, stops_raised
from metaenv.runs import training
from metaenv.runs.folder import RunError, RunFolder
from metaenv.runs.sets import is_complete, seconds_spent, train_one, train_set
from metaenv.runs.training import TrainConfig, lengthen, load_run, replace, resume, train

CONFIG = TrainConfig("BernoulliBandit-v0", 600, 30, agent=RL2Config(network=Network((8,), 8)))
TINY = ["--num-envs", "30", "--agent.network.hidden-size", "8", "--agent.network.embedding-sizes", "8"]


def weights(agent):
    return np.concatenate([p.detach().numpy().ravel() for p in agent.policy.parameters()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(CONFIG, folder, progress_bar=False)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def edit(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


# SETTINGS


def test_a_setting_that_is_newer_than_the_run_had_its_default(copy):
    state = load_checkpoint(copy / "checkpoint.pt", RL2.checkpoint_kind)
    values = json.loads((copy / "config.json").read_text())
    for agent in (state["run"]["agent"], state["config"], values["agent"]):
        del agent["belief"], agent["network"]["heads"]
    save_checkpoint(copy / "checkpoint.pt", RL2.checkpoint_kind, state)
    (copy / "config.json").write_text(json.dumps(values))
    assert load_run(copy)[0] == CONFIG
    edit(copy, agent={**values["agent"], "belief": {"latent_size": 3}})
    with pytest.raises(RunError, match=r"agent\.belief is .* and not None"):
        load_run(copy)


def test_a_set_does_not_pass_off_other_settings(copy, tmp_path):
    out = tmp_path / "set"
    (out / "rl2").mkdir(parents=True)
    copy.rename(out / "rl2" / "seed-0")
    assert train_set({"rl2": CONFIG}, 1, out)["rl2"] == [out / "rl2" / "seed-0"], "the same settings go on"
    with pytest.raises(RunError, match=r"steps is 600 and not 900, which is asked for.*--steps 900"):
        train_set({"rl2": replace(CONFIG, steps=900)}, 1, out)
    with pytest.raises(RunError, match=r"agent\.n_epochs is 4 and not 3"):
        train_set({"rl2": replace(CONFIG, agent=replace(CONFIG.agent, n_epochs=3))}, 1, out)
    assert load_run(out / "rl2" / "seed-0")[1].num_timesteps == 600


def test_a_longer_run_anneals_over_all_its_steps(copy, monkeypatch):
    seen: list[tuple[int, int]] = []
    update = RL2._update

    def noted(self, batch):
        seen.append((self.num_timesteps, self._total_timesteps))
        return update(self, batch)

    monkeypatch.setattr(RL2, "_update", noted)
    assert is_complete(copy)
    assert main(["resume", str(copy), "--steps", "1200", "--verbose", "1"]) == 0
    assert seen == [(900, 1200), (1200, 1200)]
    config, agent = load_run(copy)
    assert config.steps == 1200 == agent.num_timesteps and is_complete(copy)
    with pytest.raises(RunError, match="1,200 steps; it can be lengthened, but not to 700"):
        lengthen(copy, 700)


def test_a_run_that_is_lengthened_goes_on_exactly_after_a_kill(copy, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    for file in copy.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    lengthen(copy, 1200)
    expected = resume(copy, progress_bar=False)
    lengthen(other, 1200)

    class Stops(training.Checkpoints):
        def _on_step(self):
            if self.num_timesteps > 900:
                raise KeyboardInterrupt
            return True

    with monkeypatch.context() as patch:
        patch.setattr(training, "Checkpoints", Stops)
        with pytest.raises(KeyboardInterrupt):
            resume(other, progress_bar=False)
    np.testing.assert_array_equal(weights(resume(other, progress_bar=False)), weights(expected))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 5}, "seed is 5 and not 0"),
        ({"num_envs": 15}, "num_envs is 15 and not 30"),
        ({"steps": 300}, "steps is 300 and not 600"),
        ({"env": "MaterialsSynthesis-v1"}, "env is 'MaterialsSynthesis-v1' and not 'BernoulliBandit-v0'"),
        ({"env": "Nowhere-v0"}, "env is 'Nowhere-v0' and not 'BernoulliBandit-v0'"),
        ({"settings": {"n_arms": "3"}}, "settings.n_arms is '3' and not None"),
        (
            {"agent": {"network": {"hidden_size": 16, "embedding_sizes": [8]}}},
            "network.hidden_size is 16 and not 8",
        ),
    ],
)
def test_what_resume_cannot_honour_is_named(copy, changes, words, capsys):
    edit(copy, **changes)
    before = (copy / "checkpoint.pt").read_bytes()
    for command in ("resume", "evaluate"):
        assert main([command, str(copy)]) == 2
        error = capsys.readouterr().err
        assert f"{copy / 'config.json'} was edited" in error and words in error and error.count("\n") == 1
    assert (copy / "checkpoint.pt").read_bytes() == before and not (copy / ".lock").exists()


def test_an_edit_before_the_first_checkpoint_is_one_line_too(tmp_path, capsys):
    RunFolder(tmp_path).write_config("agent", CONFIG.to_dict())
    edit(tmp_path, env="Nowhere-v0")
    assert main(["resume", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "config.json: no environment 'Nowhere-v0'" in error and error.count("\n") == 1


# DAMAGE


@pytest.mark.parametrize("content", [b"", b"cut", None])
def test_a_damaged_run_is_named_and_leaves_the_others_alone(content, whole, tmp_path, capsys):
    for seed in (0, 1):
        (tmp_path / "rl2" / f"seed-{seed}").mkdir(parents=True)
        RunFolder(tmp_path / "rl2" / f"seed-{seed}").write_config("agent", {**CONFIG.to_dict(), "seed": seed})
    good = (whole / "checkpoint.pt").read_bytes()
    broken = tmp_path / "rl2" / "seed-0" / "checkpoint.pt"
    broken.write_bytes(good[:-1] if content is None else content)
    with pytest.raises(RunError, match=r"1 of 2 training runs failed.*\n.*seed-0.checkpoint\.pt"):
        train_set({"rl2": CONFIG}, 2, tmp_path)
    assert is_complete(tmp_path / "rl2" / "seed-1"), "the other run was trained"
    assert "trained 1 of 1" in capsys.readouterr().out
    assert main(["resume", str(tmp_path / "rl2")]) == 2, "the exit status tells of it"
    assert "seed-0" in capsys.readouterr().err


def test_folders_that_a_kill_or_a_file_manager_left_are_empty(tmp_path):
    for name in (".DS_Store", ".config.json.99999999.tmp", "seconds.json"):
        folder = tmp_path / name / "seed-0"
        folder.mkdir(parents=True)
        (folder / name).write_text("{" if name != "seconds.json" else '{"seconds": 1}')
    for name in (".DS_Store", ".config.json.99999999.tmp", "seconds.json"):
        train_one(CONFIG, tmp_path / name / "seed-0")
        assert is_complete(tmp_path / name / "seed-0") and not list((tmp_path / name / "seed-0").glob(".*.tmp"))


def test_a_log_that_is_none_is_named_by_resume(copy, capsys):
    (copy / "log.jsonl").write_text("[]\n[]\n")
    assert main(["resume", str(copy)]) == 2
    assert "log.jsonl, line 1" in capsys.readouterr().err


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    def full(descriptor):
        del descriptor
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    args = ["train", "rl2", "BernoulliBandit", *TINY, "--steps", "300", "--verbose", "1", "--out", str(tmp_path / "x")]
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error and "checkpoint.pt" in error


def test_evaluate_without_matplotlib_writes_its_numbers(copy, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["evaluate", str(copy), "--split", "validation", "--tasks", "10"]) == 0
    assert "needs matplotlib: pip install" in capsys.readouterr().err
    assert json.loads((copy / "evaluation-validation.json").read_text())["n_tasks"] == 10
    assert not list(copy.glob("*.png"))


# INTERRUPTIONS


def test_sigterm_saves_as_ctrl_c_does(tmp_path, monkeypatch, capsys):
    class Kills(training.Checkpoints):
        def _on_step(self):
            if self.num_timesteps == 450:
                os.kill(os.getpid(), signal.SIGTERM)
            return True

    args = ["train", "rl2", "BernoulliBandit", *TINY, "--steps", "600", "--verbose", "1", "--out", str(tmp_path / "x")]
    with monkeypatch.context() as patch:
        patch.setattr(training, "Checkpoints", Kills)
        assert main(args) == 143
    assert f"metaenv resume {tmp_path / 'x'}" in capsys.readouterr().err
    assert RL2.load(tmp_path / "x" / "checkpoint.pt").num_timesteps == 300
    assert seconds_spent(tmp_path / "x") > 0 and not (tmp_path / "x" / ".lock").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handler is gone"
    assert main(["resume", str(tmp_path / "x"), "--verbose", "1"]) == 0


@pytest.mark.parametrize("place", ["undo", "undo by another thread", "log", "end"])
@pytest.mark.parametrize("algorithm", ["rl2", "pearl"])
def test_a_ctrl_c_at_the_worst_moment_loses_nothing(algorithm, place, tmp_path, monkeypatch):
    config, cls = CONFIG, RL2
    if algorithm == "pearl":
        small = PEARLConfig(
            n_tasks=6,
            gradient_steps=2,
            meta_batch=3,
            belief=BeliefConfig(encoder_sizes=(8,)),
            network=PEARLNetwork((8,)),
        )
        config, cls = replace(CONFIG, num_envs=3, steps=120, agent=small, algorithm="pearl"), PEARL
    expected = train(config, tmp_path / "whole", progress_bar=False)
    step = config.steps // 2

    class Stops(training.Checkpoints):
        def _on_step(self):
            if place.startswith("undo") and self.num_timesteps == step + config.num_envs:
                raise KeyboardInterrupt
            return True

    def patched(name, before):
        original = getattr(cls, name)

        def call(self, *args):
            if before(self):
                if place == "undo by another thread":
                    original(self, *args)
                    monkeypatch.setattr(cls, name, original)
                    half = next(p for p in _parameters(self))
                    half.data += 1  # what a half-undone state looks like
                    raise KeyboardInterrupt
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, *args)

        monkeypatch.setattr(cls, name, call)

    monkeypatch.setattr(training, "Checkpoints", Stops)
    if place.startswith("undo"):
        patched("_set_changing_state", lambda self: self._before_iteration is not None)
    else:
        patched({"log": "_log", "end": "_end_iteration"}[place], lambda self: self.num_timesteps == step)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut", progress_bar=False)
    monkeypatch.undo()
    saved = cls.load(tmp_path / "cut" / "checkpoint.pt")
    assert saved.num_timesteps == step
    resumed = resume(tmp_path / "cut", progress_bar=False)
    for one, other in zip(_parameters(resumed), _parameters(expected), strict=True):
        assert torch.equal(one, other)
    assert _log(tmp_path / "cut") == _log(tmp_path / "whole"), "every line once, the last one too"


def _log(folder):
    """As text, in which NaN equals NaN; how fast it went is left out."""
    return [json.dumps({**line, "time/fps": 0}) for line in RunFolder(folder).read_log("time/total_timesteps")]


def _parameters(agent):
    modules = [agent.policy] if isinstance(agent, RL2) else [agent.sac, agent.belief, agent.decoder]
    return [p for module in modules for p in module.parameters()]


def test_learning_goes_on_from_the_last_whole_iteration_in_the_same_process():
    """Ctrl-C in a notebook, then `learn` again: what was half undone is undone first."""
    agent = RL2(CONFIG.make_env(), CONFIG.agent, seed=0)

    class Stops(BaseCallback):
        def _on_step(self):
            if self.num_timesteps == 330:
                raise KeyboardInterrupt
            return True

    undo, RL2._set_changing_state = (
        RL2._set_changing_state,
        lambda self, state: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    try:
        with pytest.raises(KeyboardInterrupt):
            agent.learn(600, Stops())
    finally:
        RL2._set_changing_state = undo
    agent.learn(300, reset_num_timesteps=False)
    np.testing.assert_array_equal(weights(agent), weights(RL2(CONFIG.make_env(), CONFIG.agent, seed=0).learn(600)))


def test_stops_are_noted_raised_and_deferred():
    with pytest.raises(Terminated), stops_raised():
        os.kill(os.getpid(), signal.SIGTERM)
    reached = []
    with pytest.raises(KeyboardInterrupt), stops_noted() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(stopped())
    with pytest.raises(Terminated), stops_noted() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append(False)
    with pytest.raises(KeyboardInterrupt), stops_deferred():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(True)
    assert reached == [True, True]


def test_initial_weights_do_not_depend_on_the_number_of_threads():
    program = textwrap.dedent("""
        import torch
        from metaenv import make_trials
        from metaenv.agents import PEARL, RL2, Network, PEARLConfig, RL2Config
        from metaenv.agents.pearl_config import PEARLNetwork
        from metaenv.supervised import Problem, make_learner
        env = make_trials("BernoulliBandit", 2)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            agents = [RL2(env, RL2Config(network=Network((256, 256), 256)), seed=0)]
            agents += [PEARL(env, PEARLConfig(n_tasks=2, network=PEARLNetwork((256, 256))), seed=0)]
            learner = make_learner("maml", Problem("regression", (4,)), sizes=(256, 256))
            modules = [agents[0].policy, agents[1].sac, agents[1].belief, learner.network]
            print([float(p.double().sum()).hex() for m in modules for p in m.parameters()])
    """)
    found = subprocess.check_output([sys.executable, "-c", program], env=with_path(), text=True).splitlines()
    assert len(found) == 2 and found[0] == found[1] and len(found[0]) > 500


def with_path():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "2"}
