import subprocess
import sys

import pytest
from toy_problems import sines

import metaenv.supervised
from metaenv.supervised.learner import Learner
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner


def test_every_name_is_a_learner_whose_file_names_its_source():
    for name in {**LEARNERS, **BASELINES}:
        assert issubclass(learner_class(name), Learner)
    for name in LEARNERS:
        head = sys.modules[learner_class(name).__module__].__doc__
        assert "https://" in head and "20" in head


def test_unknown_names_and_settings_get_a_hint():
    with pytest.raises(ValueError, match="Did you mean 'prototypical'"):
        learner_class("prototypicall")
    with pytest.raises(ValueError, match="Did you mean 'inner_lr'"):
        make_learner("maml", sines().problem, inner_rl=0.1)


def test_importing_the_package_imports_no_torch():
    code = "import sys, metaenv.supervised; assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_everything_that_is_listed_is_there():
    for name in metaenv.supervised.__all__:
        assert getattr(metaenv.supervised, name) is not None
