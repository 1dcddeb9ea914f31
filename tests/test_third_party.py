"""A laboratory's own environment, in one file that nobody here wrote, through the command line as it is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("tyro", reason="the console script needs the agents extra")
pytest.importorskip("matplotlib", reason="an evaluation draws its curves")

from metaenv.cli import main

REPOSITORY = Path(__file__).parents[1]
ID = "lab:lab/Dose-v0"
LAB = '''
"""Which of nine doses helps a patient?"""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from metaenv import BatchedEnv, MetaEnv, Reference, Task, TaskBatch, TaskDistribution

DOSES = 9


@dataclass(frozen=True)
class Patient(Task):
    family = "LabDose"
    best: float


@dataclass(frozen=True)
class Patients(TaskDistribution):
    task_type = Patient
    frozen_draws = {"test": (40, 1), "ood-frail": (40, 2)}
    unit_dim: int = 1
    splits: tuple = ("train", "test", "ood-frail")

    def draw(self, unit, split):
        return TaskBatch(Patient, {"best": 2 * unit[:, 0] if split == "ood-frail" else 2 + 6 * unit[:, 0]})

    def reference(self, tasks):
        helped = np.exp(-np.abs(np.arange(DOSES) - tasks.best[:, None]))
        return Reference(helped.mean(axis=1), helped.max(axis=1))


class DoseVectorEnv(BatchedEnv):
    """Give one of nine doses; the reward is how much it helps."""

    trial_episodes, trial_objective, episode_length = 5, "best", 1
    best_fixed = "always dose 5"
    training_settings = {"rl2": {"num_envs": 32, "agent": {"network": {"hidden_size": 8, "embedding_sizes": [8]}}}}

    def __init__(self, num_envs=1, **settings):
        super().__init__(num_envs, Patients(), gym.spaces.Box(0, 1, (1,)), gym.spaces.Discrete(DOSES), **settings)
        self._helped = np.zeros((num_envs, 1), np.float32)

    def begin(self, rows):
        self._helped[rows] = 0

    def transition(self, rows, action):
        helped = np.exp(-np.abs(action - self.tasks.take(rows).best))
        self._helped[rows, 0] = helped
        return helped, np.ones(len(helped), bool), np.zeros(len(helped), bool)

    def observe(self, rows):
        return self._helped[rows].copy()

    def baselines(self):
        return {"always dose 5": Ladder([5]), "dose ladder": Ladder([4, 6, 2, 8, 5])}

    def pictures(self, policy, trials, tasks, folder, name):
        path = folder / f"doses-{tasks.split}.svg"
        path.write_text(f"<svg><title>{name}: {len(tasks)} patients, {trials.episodes} doses</title></svg>")
        return [path]


class Ladder:
    def __init__(self, doses):
        self.doses = doses

    def start(self, env, rng):
        self.n, self.k = env.num_envs, 0

    def act(self, observation):
        return np.full(self.n, self.doses[self.k % len(self.doses)])

    def observe(self, action, reward):
        self.k += 1


class DoseEnv(MetaEnv):
    """Find the dose that helps a hidden patient."""

    batched = DoseVectorEnv


gym.register("lab/Dose-v0", entry_point=DoseEnv, vector_entry_point=DoseVectorEnv)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("laboratory")
    (place / "lab.py").write_text(LAB)
    return place


def metaenv(folder: Path, *args: str, code: int = 0) -> str:
    """What the console script prints when it is called in the laboratory's folder."""
    script = "import sys; from metaenv.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(
        # -P: as for an installed script, this folder is not on the path unless the program puts it there.
        [sys.executable, "-P", "-c", script, *args],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert found.returncode == code, f"{found.stdout}\n{found.stderr}"
    return found.stdout + found.stderr


@pytest.fixture(scope="module")
def run(folder):
    told = metaenv(folder, "train", "rl2", ID, "--steps", "2e3", "--verbose", "1", "--out", "run")
    assert "Run folder: run" in told
    return folder / "run"


def test_its_environments_are_listed_and_have_pages(folder):
    assert "lab:lab/Dose-v0\n  Find the dose that helps a hidden patient." in metaenv(folder, "envs", "lab")
    page = metaenv(folder, "envs", ID)
    assert "best fixed rule: always dose 5" in page and "splits train, test, ood-frail" in page


def test_training_starts_from_its_settings_and_keeps_its_id_whole(run):
    config = json.loads((run / "config.json").read_text())
    text = json.dumps(config)
    assert f'"{ID}"' in text and '"steps": 2000' in text and '"num_envs": 32' in text and '"hidden_size": 8' in text


def test_its_evaluation_has_its_baselines_its_best_fixed_rule_and_its_picture(run, folder):
    told = metaenv(folder, "evaluate", "run")
    rows = [line.split("|")[1].strip() for line in told.splitlines() if line.startswith("| ")]
    assert rows == ["policy", "---", "random", "always dose 5", "dose ladder", "RL²", "task oracle"]
    saved = {row["name"]: row for row in json.loads((run / "evaluation-test.json").read_text())["rows"]}
    assert saved["always dose 5"]["adaptation"][0]["estimate"] == 0 and "Adaptation score of RL²" in told
    # With doses 4, 6, 2, 8 and 5 tried, the best of them is at most one from any patient's.
    assert saved["dose ladder"]["adaptation"][-1]["estimate"] > 0.3
    assert (run / "doses-test.svg").read_text() == "<svg><title>RL²: 40 patients, 5 doses</title></svg>"
    assert "doses-test.svg" in told


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """The same as `metaenv`, in this process, which has loaded torch already."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    def call(*args: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(list(args)) == code
        told = capsys.readouterr()
        return told.out + told.err

    return call


def test_it_resumes(run, here):
    assert "Next: metaenv evaluate" in here("resume", "run", "--verbose", "1")


def test_its_baseline_teaches_by_name(folder, here):
    common = ["train", "rl2", ID, "--steps", "640", "--num-envs", "32", "--verbose", "1"]
    here(*common, "--agent.teacher", "dose ladder", "--out", "taught")
    assert "dose ladder" in (folder / "taught" / "config.json").read_text()
    told = here(*common, "--agent.teacher", "dose lader", "--out", "mistaken", code=2)
    assert "Did you mean 'dose ladder'" in told


def test_mistakes_are_answered_in_one_line(here):
    told = here("train", "rl2", "lab:lab/Doze-v0", code=2)
    assert told.count("\n") == 1 and "Doze" in told
    told = here("train", "rl2", "labb:lab/Dose-v0", code=2)
    assert told.count("\n") == 1 and "labb" in told
    told = here("train", "rl2", ID, "--observe-task", "--out", "told", code=2)
    assert told.count("\n") == 1 and "Patients has no task vector" in told
