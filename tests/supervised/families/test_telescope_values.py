"""Values of targets: what the reference knows, and that it is hard to beat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.linalg import lstsq

from metaenv.runs.cells import run_fewshot
from metaenv.runs.fewshot import resolve_run
from metaenv.supervised import evaluate, frozen_episodes, make_learner
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.families import make_family
from metaenv.supervised.families.telescope_values import PriorRidge, true_prior
from metaenv.telescope.sim.targets import CLASSES, WEIGHT_SD
from metaenv.telescope.tasks import TargetSelectionDistribution


def test_the_prior_is_that_of_coefficients_fitted_to_tasks_of_many_targets():
    tasks = TargetSelectionDistribution("short").sample(300, "train", np.random.default_rng(0))
    seen = TargetSelectionDistribution("short").labelled(tasks, 2_000, np.random.default_rng(1))
    fitted = np.array([lstsq(x, y, rcond=None)[0] for x, y in zip(seen.x, seen.y, strict=True)])
    left = np.array([np.mean((y - x @ b) ** 2) for x, y, b in zip(seen.x, seen.y, fitted, strict=True)])
    mean, covariance, noise = true_prior()
    standard_error = fitted.std(axis=0) / np.sqrt(len(fitted))
    assert (np.abs(fitted.mean(axis=0) - mean) < 4 * standard_error).all()
    assert np.diag(np.cov(fitted.T)) == pytest.approx(np.diag(covariance), rel=0.35)
    assert left.mean() == pytest.approx(noise, rel=0.15)
    assert np.diag(covariance)[len(CLASSES) :] == pytest.approx(WEIGHT_SD**2, rel=0.05)


def test_prior_ridge_is_the_mean_of_a_normal_posterior():
    """Conditioning the joint normal of all y by hand, for one task."""
    family = make_family("telescope-values")
    batch = family.episodes("test", 4, 3).draw(1)
    learner = PriorRidge(batch.problem)
    found = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output[0].numpy()
    mean, covariance, noise = true_prior()
    x, q = batch.support_x[0].numpy().astype(float), batch.query_x[0].numpy().astype(float)
    joint = np.concatenate([x, q]) @ covariance @ np.concatenate([x, q]).T + noise * np.eye(7)
    gain = joint[4:, :4] @ np.linalg.inv(joint[:4, :4])
    expected = q @ mean + gain @ (batch.support_y[0].numpy() - x @ mean)
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_prior_is_worth_more_than_a_fit_to_the_task_alone():
    family = make_family("telescope-values")
    train, test = family.episodes("train", 10, 100), frozen_episodes(family.episodes("test", 10, 100, seed=1), 200)
    learners = {
        "prior-ridge": PriorRidge(train.problem),
        "linear": make_learner("linear", train.problem).meta_fit(train, 0),
    }
    report = evaluate(learners, test)
    assert report.interval("prior-ridge", "r2").low > 0.4
    assert report.difference("prior-ridge", "linear", "rmse").high < 0


def test_runs_show_the_reference_beside_the_learners(tmp_path: Path):
    run = resolve_run("telescope-values", ["linear"], episodes=20, shots=(10,))
    assert "prior-ridge" in run.methods
    assert "prior-ridge" not in resolve_run("telescope-values", ["linear"], kind="classification").methods
    report = run_fewshot(replace(run, methods={m: run.methods[m] for m in ("linear", "prior-ridge")}), tmp_path / "run")
    assert report.methods[0] == "prior-ridge" and report.best_baseline == "linear"
    assert "prior-ridge knows the distribution of tasks" in report.markdown()


def test_classes_are_above_and_below_the_median_of_their_task():
    family = make_family("telescope-values")
    batch = family.episodes("train", 20, 20, kind="classification").draw(3)
    assert batch.problem.n_outputs == 2 and (batch.query_y.sum(1) == 20).all()


def test_other_problems_and_presets_are_refused():
    with pytest.raises(ValueError, match="expected samples of 11 numbers"):
        PriorRidge(Problem("regression", (7,)))
    with pytest.raises(ValueError, match="expected a variant among"):
        make_family("telescope-values", variant="tiny")
