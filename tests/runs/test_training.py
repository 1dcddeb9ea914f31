"""Runs: interrupted and resumed to the same result, over processes too."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")


from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.runs import training
from metaenv.runs.folder import RunFolder
from metaenv.runs.training import RunError, TrainConfig, load_run, resume, train

CONFIG = TrainConfig("BernoulliBandit-v0", 3000, 30, agent=RL2Config(network=Network((8,), 8)))


def weights(agent):
    return np.concatenate([p.detach().numpy().ravel() for p in agent.policy.parameters()])


def interrupted_at(steps):
    """Instead of `Checkpoints`: Ctrl-C after so many steps."""

    class Interrupts(training.Checkpoints):
        def _on_step(self):
            if self.num_timesteps == steps:
                raise KeyboardInterrupt
            return True

    return Interrupts


@pytest.mark.parametrize("shows", ["trial", "episode"])
def test_ctrl_c_then_resume_is_as_if_nothing_had_happened(tmp_path, monkeypatch, shows):
    agent = training.replace(CONFIG.agent, trials_per_env=10 if shows == "episode" else 1)
    config = training.replace(CONFIG, shows=shows, agent=agent)
    whole = train(config, tmp_path / "whole", progress_bar=False)
    assert whole.dims.trial_length == (1 if shows == "episode" else 10)

    with monkeypatch.context() as patch:
        patch.setattr(training, "Checkpoints", interrupted_at(1530))  # in the middle of an iteration
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut", progress_bar=False)
    assert RL2.load(tmp_path / "cut" / "checkpoint.pt").num_timesteps == 1500
    resumed = resume(tmp_path / "cut", progress_bar=False)
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    steps = [
        json.loads(line)["time/total_timesteps"] for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()
    ]
    assert steps == [300 * (i + 1) for i in range(10)], "the log has every iteration once"


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path):
    folder = tmp_path / "early"
    folder.mkdir()
    RunFolder(folder).write_config("agent", CONFIG.to_dict())
    agent = resume(folder, progress_bar=False)
    assert agent.num_timesteps == 3000


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    agent = train(CONFIG, tmp_path / "run", progress_bar=False)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    np.testing.assert_array_equal(weights(resume(tmp_path / "run", progress_bar=False)), weights(agent))
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_settings_survive_their_file(tmp_path):
    config = training.replace(CONFIG, settings={"n_arms": "3"}, hide_history=True)
    RunFolder(tmp_path).write_config("agent", config.to_dict())
    assert training.read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stps": 3}, "Did you mean 'steps'"),
        ({"agent": {"epochs": 3}}, "Did you mean 'n_epochs'"),
        ({"agent": {"network": {"hiden_size": 3}}}, "Network has no setting .* Did you mean 'hidden_size'"),
    ],
)
def test_unknown_settings_are_refused(values, message):
    with pytest.raises(RunError, match=message):
        TrainConfig.from_dict(values)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="expected a run folder"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="was it edited"):
        load_run(tmp_path)


def test_evaluations_go_on_after_an_interruption_and_keep_the_best_policy(tmp_path, monkeypatch):
    config = training.replace(CONFIG, eval_every=900, eval_tasks=20)
    whole = train(config, tmp_path / "whole", progress_bar=False)
    np.testing.assert_array_equal(weights(whole), weights(train(CONFIG, tmp_path / "plain", progress_bar=False)))

    with monkeypatch.context() as patch:
        patch.setattr(training, "Checkpoints", interrupted_at(1830))  # just after an evaluation
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut", progress_bar=False)
    resume(tmp_path / "cut", progress_bar=False)
    logs = [RunFolder(tmp_path / name).read_log(training.COUNTER) for name in ("whole", "cut")]
    found = [[(x["eval/timesteps"], x["eval/score"]) for x in log if "eval/score" in x] for log in logs]
    assert found[0] == found[1] and [steps for steps, _ in found[0]] == [900, 1800, 2700, 3000]
    best = [load_run(tmp_path / name, best=True)[1] for name in ("whole", "cut")]
    assert best[0].num_timesteps == max(found[0], key=lambda each: each[1])[0]
    np.testing.assert_array_equal(weights(best[0]), weights(best[1]))
    with pytest.raises(RunError, match=r"has no best\.pt; train a run with --eval-every"):
        load_run(tmp_path / "plain", best=True)
