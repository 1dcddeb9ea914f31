"""Pictures of campaigns: they show what was chosen and what came of it."""

from dataclasses import replace

import numpy as np
import pytest

from metaenv import make_trials
from metaenv.materials.system.layout import LAYOUT
from metaenv.materials.system.options import OPTIONS, PLACES
from metaenv.materials.system.pictures import campaign_figure, draw_campaign, made_compounds
from metaenv.materials.system.recipes import from_action
from metaenv.materials.system.tasks import affinity
from metaenv.policies import RandomPolicy, play_trials

pytest.importorskip("matplotlib", reason="pictures are drawn with it")


@pytest.fixture(scope="module")
def played():
    env = make_trials("MaterialsSynthesis", 2, split="test")
    tasks = env.distribution.frozen("test").tasks.take(np.array([3, 5]))
    return tasks, play_trials(RandomPolicy(), env, tasks)


def test_compounds_are_those_that_were_asked_for(played):
    _, record = played
    found = np.stack([made_compounds(record, row) for row in (0, 1)])
    assert (np.sort(found.reshape(2, 4, 3), axis=2) == [0, 1, 2]).all(), "each compound once a block"
    # After an experiment the trial already shows which compound comes next.
    assert (np.argmax(record.observations[:, :-1, LAYOUT.slice("compound")], axis=2) == found[:, 1:]).all()


def test_a_campaign_shows_what_was_chosen_and_how_well_it_suits(played):
    tasks, record = played
    figure = campaign_figure(tasks.take(np.array([1])), record, 1, "somebody")
    above, below = figure.axes[:3], figure.axes[3:]
    compound, (_, choice) = made_compounds(record, 1), from_action(record.actions[1])
    suits = affinity(tasks)[1]
    for e in range(3):
        visits = np.flatnonzero(compound == e)
        np.testing.assert_allclose(above[e].lines[1].get_ydata(), record.scores[1, visits])
        texts = [text for text in below[e].texts if text.get_bbox_patch() is not None]
        shown = [(text.get_text().replace("\n", " "), text.get_bbox_patch().get_facecolor()[:3]) for text in texts]
        names = [list(group)[choice[k, g]] for k in visits for g, group in enumerate(OPTIONS.values())]
        assert [name for name, _ in shown] == names
        # From orange over white to green: the better an option suits, the more green there is than red.
        green = [colour[1] - colour[0] for _, colour in shown]
        share = [
            (suits[e, place][choice[k, g]] - suits[e, place].min()) / np.ptp(suits[e, place])
            for k in visits for g, place in enumerate(PLACES)
        ]  # fmt: skip
        order = np.argsort(share)
        assert (np.diff(np.array(green)[order]) >= -1e-9).all() and min(green) < -0.2 < 0.2 < max(green)
    assert "somebody" in figure.get_suptitle()


def test_the_fixed_recipe_is_drawn_where_it_is_worth_less_than_nothing(played):
    _, record = played
    task = make_trials("MaterialsSynthesis", 1, split="test").distribution.frozen("test").tasks.take(np.array([4]))
    good = replace(record, readings=np.full_like(record.readings, 0.8), scores=np.full_like(record.scores, 0.8))
    panels = campaign_figure(task, good, 0, "somebody").axes[:3]
    fixed = [axes.lines[2].get_ydata()[0] for axes in panels]
    assert min(fixed) == pytest.approx(-0.078, abs=1e-3)
    assert all(axes.get_ylim()[0] < min(fixed) for axes in panels)


@pytest.mark.parametrize("variant", ["system", "recipe", "full"])
def test_an_evaluation_draws_a_campaign(variant, tmp_path):
    trials = make_trials("MaterialsSynthesis", 1, variant=variant, split="ood-hot")
    frozen = trials.distribution.frozen("ood-hot").take(np.arange(2))
    (path,) = trials.pictures(RandomPolicy(), trials, frozen, tmp_path, "random")
    assert path == tmp_path / "campaign-ood-hot.png" and path.stat().st_size > 10_000


def test_the_system_shown_is_the_one_with_the_median_result(tmp_path, monkeypatch):
    trials = make_trials("MaterialsSynthesis", 1, split="test")
    frozen = trials.distribution.frozen("test").take(np.arange(5))
    shown = []
    monkeypatch.setattr(
        "metaenv.materials.system.pictures.campaign_figure",
        lambda task, record, row, name: shown.append((task.ids[0], row, record)) or plain(task, record, row, name),
    )
    plain = campaign_figure
    draw_campaign(RandomPolicy(), trials, frozen, tmp_path, "random")
    (task_id, row, record) = shown[0]
    assert task_id == frozen.tasks.ids[row]
    relative = record.scores.mean(axis=1) / frozen.reference.oracle
    assert (relative < relative[row]).sum() == 2 == (relative > relative[row]).sum()
