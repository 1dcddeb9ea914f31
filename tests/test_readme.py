"""The README's code blocks run, and its commands exist."""

import re
from pathlib import Path

import pytest

import metaenv

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_are_code_blocks():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_code_block_runs(number, tmp_path, monkeypatch):
    block = BLOCKS[number]
    if "metaenv.agents" in block or "metaenv.supervised" in block:
        pytest.importorskip("torch", reason="agents and learners need torch")
    monkeypatch.chdir(tmp_path)
    # The README trains for minutes; here the same lines run for seconds.
    block = re.sub(r"total_timesteps=[\d_]+", "total_timesteps=20_480", block)
    exec(compile(block, f"README.md, block {number}", "exec"), {})


def test_every_environment_is_in_the_table():
    for name in metaenv.ENVIRONMENTS:
        assert f"`{name}`" in README


def test_every_command_named_exists():
    from metaenv.cli import _commands

    named = {word for word in re.findall(r"metaenv (\w+)", README)}
    commands = set(_commands())
    assert named & commands == commands, f"not in the README: {commands - named}"
    assert "pip install metaenv" not in README
