"""The commands of docs/extending.md run, in a copy of the examples."""

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="agents and learners need torch")
pytest.importorskip("tyro", reason="the commands need the agents extra")
pytest.importorskip("matplotlib", reason="evaluations draw their curves")

from metaenv.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: " ".join(block.split()[1:4]))
def test_commands_run(block, tmp_path, monkeypatch):
    for example in (ROOT / "examples").glob("own_*.py"):
        shutil.copy(example, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for command in block.strip().splitlines():
        program, *args = command.split()
        assert program == "metaenv"
        quick = {"train": ["--verbose", "1"], "resume": ["--verbose", "1"], "fewshot": ["--episodes", "5"]}
        assert main([*args, *quick.get(args[0], [])]) == 0, command


def test_every_example_of_ones_own_is_on_the_page():
    for example in (ROOT / "examples").glob("own_*.py"):
        assert f"examples/{example.name}" in PAGE
