"""Stored settings are settings that the learners have, for families that there are."""

import pytest

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.families import FAMILIES
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner
from metaenv.supervised.settings import ANYWHERE, CACHED_TASKS, FAMILY, training_settings


@pytest.mark.parametrize("shape", [(6,), (3, 24), (1, 12, 12)])
@pytest.mark.parametrize("name", [*LEARNERS, *BASELINES])
def test_every_learner_has_a_recipe_for_every_shape(name, shape):
    kind = learner_class(name).kinds[0]
    problem = Problem(kind, shape, 2 if kind == "classification" else 1)
    found = training_settings("light-curves", problem, name)
    assert (found.iterations > 0) == learner_class(name).trained
    make_learner(name, problem, **found.settings)


def test_every_stored_recipe_is_of_something_that_exists():
    assert set(ANYWHERE) == {n for n in [*LEARNERS, *BASELINES] if learner_class(n).trained}
    for family, kind, learner in FAMILY:
        assert family in FAMILIES and kind in learner_class(learner).kinds
        training_settings(family, Problem(kind, (6,), 5 if kind == "classification" else 1), learner)
    assert all(family in FAMILIES for family, _ in CACHED_TASKS)


def test_an_engine_is_named_so_that_runs_can_be_repeated():
    for shape, engine in (((6,), "vmap"), ((1, 12, 12), "loop")):
        assert training_settings("any", Problem("regression", shape), "maml").settings["engine"] == engine


@pytest.mark.parametrize("learner", ["mann", "meta-lstm", "reptile", "snail", "prototypical"])
def test_features_of_pictures_are_standardised_for_those_who_need_it(learner):
    for kind, shape in (("classification", (3, 12, 12)), ("classification", (6,)), ("regression", (3, 12, 12))):
        wanted = learner != "prototypical" and kind == "classification" and len(shape) == 3
        problem = Problem(kind, shape, 3 if kind == "classification" else 1)
        found = training_settings("any", problem, learner).settings
        assert found.get("normalize") == ("support" if wanted else None)
