"""What validation episodes choose: the number of meta-updates and the temperature, kept in the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_kills import killed_at

from metaenv.runs.cells import lengthen, load_learner, read_report, read_run, run_fewshot
from metaenv.runs.choosing import Chooser
from metaenv.runs.curves import draw_curves
from metaenv.runs.fewshot import VALIDATION_SEED, Run, resolve_run
from metaenv.runs.folder import RunError, RunFolder
from metaenv.supervised.data.episodes import frozen_episodes
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.families import make_family
from metaenv.supervised.learner import Learner

FAMILY = "telescope-values"
SMALL = {"sizes": [8, 8], "tasks_per_batch": 4}
TINY = {"iterations": 8, "episodes": 12, "n_shot": 4, "n_query": 5, "shots": (4,), "baselines": False}


def tiny(*learners: str, **more: object) -> Run:
    options = {**TINY, "validation_episodes": 10, "settings": SMALL, **more}
    return resolve_run(FAMILY, learners or ("prototypical",), **options)  # type: ignore[arg-type]


def quiet(text: str) -> None:
    del text


def log_of(folder: Path, method: str = "prototypical") -> list[dict]:
    return [json.loads(line) for line in (folder / method / "seed-0" / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_fewshot(tiny("prototypical", "knn", kind="classification"), folder, say=quiet)
    return folder


def test_the_best_of_the_checks_is_what_is_scored(whole: Path):
    scores = {line["iteration"]: line["validation"] for line in log_of(whole)}
    assert list(scores) == list(range(1, 9)), "as many checks as updates, as there are fewer than 20"
    best = max(scores, key=lambda i: (scores[i], -i))
    learner = load_learner(whole, "prototypical")
    cell = json.loads((whole / "prototypical/seed-0/cell.json").read_text())
    found = json.dumps(cell)
    assert learner.iteration == best and f'"updates": {best}' in found
    assert f'"temperature": {learner.temperature}' in found and learner.temperature != 1.0
    family = make_family(FAMILY)
    stream = family.episodes("validation", 4, 5, kind="classification", seed=VALIDATION_SEED)
    expected = evaluate({"it": learner}, frozen_episodes(stream, 10)).interval("it", "accuracy").estimate
    assert scores[best] == pytest.approx(expected)
    mine = evaluate({"it": learner}, read_run(whole).frozen(4)).scores["it"].by_episode["log_loss"]
    assert np.array_equal(read_report(whole).scores[4]["prototypical"].by_episode["log_loss"], mine)


def test_the_curves_are_drawn(whole: Path, tmp_path: Path):
    assert (whole / "training.png").stat().st_size > 5_000
    places = {"a": RunFolder(whole / "prototypical/seed-0")}
    assert draw_curves(places, "accuracy", tmp_path / "curves.png") == tmp_path / "curves.png"
    assert draw_curves({"knn": RunFolder(whole / "knn/seed-1")}, "accuracy", tmp_path / "none.png") is None


def test_a_baseline_gets_a_temperature_too(whole: Path):
    assert load_learner(whole, "knn").temperature != 1.0
    assert "validation" in read_report(whole).caption


def test_training_is_what_it_is_without_checks(whole: Path, tmp_path: Path):
    run_fewshot(tiny(kind="classification", choose=()), tmp_path / "plain", say=quiet)
    final = load_learner(tmp_path / "plain", "prototypical")
    assert final.iteration == 8 and final.temperature == 1.0
    assert not (tmp_path / "plain/prototypical/seed-0/best.pt").exists()
    assert "validation" not in log_of(tmp_path / "plain")[0]
    trained = type(final).load(whole / "prototypical/seed-0/checkpoint.pt")
    for name, value in final.network.state_dict().items():
        assert torch.equal(value, trained.network.state_dict()[name])


def test_a_kill_between_checks_leads_to_the_same_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """best.pt may be newer than the checkpoint: its check is then made again, to the same score."""
    run = tiny()
    run_fewshot(run, tmp_path / "whole", say=quiet)

    with killed_at(5, monkeypatch):
        run_fewshot(run, tmp_path / "cut", say=quiet)
    run_fewshot(run, tmp_path / "cut", say=quiet)
    assert [line.get("validation") for line in log_of(tmp_path / "cut")] == [
        line.get("validation") for line in log_of(tmp_path / "whole")
    ]
    first, second = (load_learner(tmp_path / name, "prototypical") for name in ("whole", "cut"))
    assert first.iteration == second.iteration and first.temperature == second.temperature
    assert all(torch.equal(v, second.network.state_dict()[k]) for k, v in first.network.state_dict().items())


def test_a_lengthened_run_chooses_among_all_its_checks(tmp_path: Path):
    run_fewshot(tiny(), tmp_path / "a", say=quiet)
    lengthen(tmp_path / "a", 12)
    run_fewshot(read_run(tmp_path / "a"), tmp_path / "a", say=quiet)
    scores = {line["iteration"]: line["validation"] for line in log_of(tmp_path / "a")}
    assert list(scores) == list(range(1, 13))
    assert load_learner(tmp_path / "a", "prototypical").iteration == min(scores, key=lambda i: (scores[i], i))


def test_checks_stand_at_lines_of_the_log_and_the_first_of_equal_scores_wins(tmp_path: Path):
    run = tiny(iterations=1_000)
    place = RunFolder(tmp_path)
    chooser = Chooser.of_run(run, place, "prototypical", 5, [])
    assert [i for i in range(1, 1_001) if chooser.due(i)] == list(range(50, 1_001, 50))
    lines = [{"iteration": i, "validation": v} for i, v in ((50, 0.5), (100, 0.4), (150, 0.4), (200, None))]
    assert Chooser.of_run(run, place, "prototypical", 5, lines).best == (100, 0.4), "of rmse, the lower is the better"


def test_a_lost_best_is_told(tmp_path: Path):
    run_fewshot(tiny(), tmp_path / "a", say=quiet)
    cell = tmp_path / "a/prototypical/seed-0"
    (cell / "cell.json").unlink()
    (cell / "best.pt").write_bytes(b"")
    with pytest.raises(RunError, match="it is trained again"):
        run_fewshot(tiny(), tmp_path / "a", say=quiet)


def test_what_cannot_be_chosen_is_not():
    assert tiny(validation_episodes=0).choose == ()
    assert not tiny(choose=("temperature",)).chooses("updates")
    with pytest.raises(ValueError, match="validation_episodes to be a whole number of at least 0, got -1"):
        tiny(validation_episodes=-1)


def test_single_learners_have_their_own_numbers_of_updates():
    run = tiny("prototypical", "maml", iterations=8, iterations_of={"maml": 5})
    assert {name: chosen.iterations for name, chosen in run.methods.items()} == {"prototypical": 8, "maml": 5}
    for wrong, told in (
        ({"mamml": 5}, "Did you mean 'maml'"),
        ({"maml": -1}, "iterations_of to be a whole number of at least 0"),
    ):
        with pytest.raises(ValueError, match=told):
            tiny("maml", iterations_of=wrong)


def test_threads_are_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    update = Learner._one_update

    def noted(self: Learner, episodes: object) -> dict[str, float]:
        seen.append(torch.get_num_threads())
        return update(self, episodes)  # type: ignore[arg-type]

    monkeypatch.setattr(Learner, "_one_update", noted)
    run_fewshot(tiny(torch_threads=2), tmp_path / "a", say=quiet)
    assert set(seen) == {2} and read_run(tmp_path / "a").torch_threads == 2
