"""PEARL's options one by one: what each row changes, and a seed more by the same command."""

from dataclasses import asdict, replace

import pytest

pytest.importorskip("torch", reason="needs the agents extra")

from metaenv.agents.pearl_config import BeliefConfig, ContextConfig, PEARLConfig, PEARLNetwork
from metaenv.experiments import settings
from metaenv.experiments.pearl_ablation import OPTIONS, PAPER, PEARLAblation, departed, published
from metaenv.experiments.settings import SETTINGS
from metaenv.runs.settings import TrainConfig, differences

TINY = PEARLConfig(
    n_tasks=4,
    replay_capacity=40,
    gradient_steps=1,
    meta_batch=2,
    batch_size=4,
    context=ContextConfig(size=10),
    belief=BeliefConfig(latent_size=2, encoder_sizes=(8,)),
    network=PEARLNetwork((8,)),
)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name.endswith("-pearl")])
def test_the_paper_has_no_help_and_each_row_differs_in_its_option_alone(name):
    paper = published(SETTINGS[name].agent)
    assert paper.teacher is paper.task_prediction is paper.critic_reward is paper.belief.mixture is None
    assert (
        paper.belief.sample and paper.belief.kl_coef > 0 and paper.refresh_tasks == SETTINGS[name].agent.refresh_tasks
    )
    assert paper.exploration.resample_every is None and paper.exploration.prior_episodes == 1
    for row, (_, changes) in OPTIONS.items():
        asked = {f"{k}.{n}" for k, v in changes.items() if isinstance(v, dict) for n in v} | {
            k for k, v in changes.items() if not isinstance(v, dict)
        }
        assert differences(asdict(paper), asdict(departed(paper, changes))).keys() == asked, row


def test_the_same_command_with_one_seed_more_trains_no_more_than_that(tmp_path, monkeypatch, capsys):
    small = TrainConfig("BernoulliBandit-v0", 120, 4, agent=TINY, algorithm="pearl")
    monkeypatch.setattr(settings, "SETTINGS", {"small-pearl": small})
    asked = PEARLAblation(out=tmp_path, seeds=1, on="small", rows=("paper", "sum"), tasks=8)
    asked.run()
    table = (tmp_path / "table.md").read_text()
    assert f"| {PAPER} (1 seed) " in table and "a network after a sum (1 seed)" in table and "no KL" not in table
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/seed-0/checkpoint.pt")}
    capsys.readouterr()
    replace(asked, seeds=2).run()
    assert "4 training runs, 2 of them complete already." in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before} and len(before) == 2
    assert f"| {PAPER} | " in " ".join((tmp_path / "table.md").read_text().split())
    with pytest.raises(ValueError, match="Did you mean 'paper'"):
        replace(asked, rows=("papers",)).run()
