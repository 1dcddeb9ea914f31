import json
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from metaenv.experiments import sinusoid
from metaenv.experiments.sinusoid import Sinusoid, held_out, scores_after, train
from metaenv.supervised.learner import Learner


def test_the_held_out_sines_are_those_of_the_frozen_list():
    test = held_out(5, 50)
    (batch,) = test.batches(50)
    assert batch.support_x.shape == (50, 5, 1) and batch.query_x.shape == (50, 100, 1)
    assert held_out(5, 50).sha256 == test.sha256 != held_out(10, 50).sha256


def test_no_steps_is_the_network_that_is_not_adapted(tmp_path):
    learner, seconds = train(5, 0, 3, "vmap", tmp_path, progress_bar=False)
    assert seconds > 0 and learner.iteration == 3
    test = held_out(5, 20)
    (batch,) = test.batches(20)
    by_hand = (learner.network.body(batch.query_x)[..., 0] - batch.query_y).square().mean(1).detach()
    found = scores_after([learner], 0, test).by_episode["mse"]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_a_training_is_kept_and_its_table_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sinusoid, "held_out", partial(sinusoid.held_out, n=200))
    Sinusoid(tmp_path, k_shots=(5,), seeds=2, updates=2, engine="vmap").run()
    out = capsys.readouterr().out
    assert "| K = 5 | 10 |" in out and "| 0.35 |" in out
    assert "200 held-out sines of 100 query points, final parameters, seeds 0 to 1, 2 meta-updates" in out
    checkpoint = tmp_path / "maml-5-shots" / "seed-1" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    Sinusoid(tmp_path, k_shots=(5,), seeds=2, updates=2, engine="vmap").run()
    assert checkpoint.stat().st_mtime_ns == before
    assert len(json.loads((tmp_path / "sinusoid.json").read_text())["rows"]) == 4
    with pytest.raises(ValueError, match="another folder"):
        train(5, 0, 4, "vmap", tmp_path, progress_bar=False)


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_it_goes_on_after_a_ctrl_c(tmp_path, monkeypatch):
    whole, _ = train(5, 0, 4, "vmap", tmp_path / "whole", progress_bar=False)
    update = Learner._one_update

    def pressed(self, episodes):
        if self.iteration == 2:
            signal.raise_signal(signal.SIGINT)
        return update(self, episodes)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Learner, "_one_update", pressed)
        train(5, 0, 4, "vmap", tmp_path / "broken", progress_bar=False)
    log = Path("maml-5-shots", "seed-0", "log.jsonl")
    assert [line["iteration"] for line in lines(tmp_path / "broken" / log)] == [1, 2, 3]
    again, _ = train(5, 0, 4, "vmap", tmp_path / "broken", progress_bar=False)
    expected = whole.network.state_dict()
    assert all(torch.equal(v, expected[name]) for name, v in again.network.state_dict().items())
    losses = [[line["loss"] for line in lines(tmp_path / name / log)] for name in ("whole", "broken")]
    assert len(losses[0]) == 4 and losses[0] == losses[1]
