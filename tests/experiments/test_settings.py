"""The settings that are kept by name, and how they are found."""

import pytest

from metaenv.agents.config import Teacher
from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.rl2_config import VariationalBelief
from metaenv.experiments.settings import SETTINGS, preset
from metaenv.registry import ENVIRONMENTS
from metaenv.runs.training import RunError


def test_settings_are_found_by_name_and_by_environment() -> None:
    assert preset("MaterialsSynthesis").env == "MaterialsSynthesis-v1"
    assert preset("metaenv/MaterialsSynthesis-v1") is SETTINGS["MaterialsSynthesis"]
    assert preset("MaterialsSynthesis", "pearl") is SETTINGS["MaterialsSynthesis-pearl"]
    assert preset("FurnaceControl").env == "FurnaceControl-v0"
    with pytest.raises(RunError, match="Did you mean 'materials-recipe-short'"):
        preset("material-recipe-short")
    with pytest.raises(RunError, match="Did you mean 'MaterialsSynthesis'"):
        preset("Materials")


def test_an_environment_without_kept_settings_has_default_ones() -> None:
    found = preset("BernoulliBandit", "pearl")
    assert (
        found.env == "BernoulliBandit-v0" and found.agent == PEARLConfig() and found.num_envs <= PEARLConfig().n_tasks
    )
    with pytest.raises(ValueError, match=r"got 'elsewhere:lab/Dose-v0': No module named 'elsewhere'"):
        preset("elsewhere:lab/Dose-v0")  # another project's id stays whole: tests/test_third_party.py trains on one


def test_names_say_the_algorithm_and_environments_exist() -> None:
    assert len(SETTINGS) == 53
    for name, config in SETTINGS.items():
        assert name.endswith("-pearl") == (config.algorithm == "pearl")
        assert config.env in ENVIRONMENTS


def test_some_numbers_of_published_runs() -> None:
    assert SETTINGS["bandit-100-50-taught"].agent.teacher == Teacher("Gittins index", 0.7, 0.0)
    assert SETTINGS["bandit-100-50-taught"].agent.ent_coef == SETTINGS["bandit-500-50-taught"].agent.ent_coef == 0.008
    assert SETTINGS["bandit-100-5"].agent.teacher is SETTINGS["mdp-10"].agent.teacher is None
    assert SETTINGS["mdp-10-taught"].agent.teacher == Teacher("BEB (every step)", 0.9, 0.0)
    assert SETTINGS["mdp-10-taught"].agent.gamma == SETTINGS["bandit-100-5-taught"].agent.gamma == 1.0
    assert [SETTINGS[f"mdp-{k}"].steps for k in (10, 25, 50, 75, 100)] == [6e6, 8e6, 16e6, 24e6, 32e6]
    assert SETTINGS["lead-taught"].agent.gae_lambda == 0.95
    assert SETTINGS["lead-belief"].agent.belief == VariationalBelief(16)
    assert SETTINGS["telescope-depth-pearl"].agent.replay_capacity == 144
