"""Options of all commands that the README and the pages of docs/ name exist, as the commands' own help says."""

import re
import shlex
from functools import lru_cache
from pathlib import Path

import pytest

from metaenv.cli import main
from metaenv.experiments.command import EXPERIMENTS

pytest.importorskip("tyro", reason="the commands read their options with it")
pytest.importorskip("torch", reason="most commands need it")

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
WORDS = {"train": 3, "reproduce": 2, "bench": 2, "certify": 2, "fewshot": 3, "molecules": 2, "evaluate": 1, "resume": 1}
"""How many words of each command say whose options follow."""
EVERYWHERE = ("--device", "--help")  # options of every command
OF_OTHERS = ("--import-mode", "--cov")  # options of pytest


def commands(text):
    """The commands ``metaenv …`` of a page, in blocks of shell code and between backquotes."""
    blocks = [block.replace("\\\n", " ") for block in re.findall(r"```sh\n(.*?)```", text, re.S)]
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [
        " ".join(inline.split())
        for inline in re.findall(r"`(metaenv [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    ]
    for line in lines:
        for part in line.split("#")[0].split("&&"):
            own = re.search(r"\b(own|my)_\w+:", part)  # a file of one's own, whose page other tests follow
            if part.strip().startswith("metaenv ") and "…" not in part and " --" in part and not own:
                yield shlex.split(part)[1:]


FOUND = sorted({(page.name, tuple(command)) for page in PAGES for command in commands(page.read_text("utf-8"))})


@lru_cache(maxsize=64)
def options_of(words):
    """The options that the help of a command lists."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return set(re.findall(r"--[A-Za-z][\w.-]*", out.getvalue()))


def test_there_are_commands():
    assert len(FOUND) >= 25


@pytest.mark.parametrize(("page", "command"), FOUND)
def test_options_exist(page, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # names of options are not broken
    words = command[: WORDS.get(command[0], 1)]
    words = words[: next((k for k, word in enumerate(words) if word.startswith("-")), len(words))]
    known = options_of(tuple(words))
    for option in (word.split("=")[0] for word in command if word.startswith("--")):
        assert option in known or option in EVERYWHERE, f"{page}: {' '.join(command)}"


ALONE = sorted(
    {(page.name, option) for page in PAGES for option in re.findall(r"`(--[a-z][\w.-]*)", page.read_text("utf-8"))}
)
"""Options that pages name without their command."""
COMMANDS = [
    ("train", "rl2", "MaterialsSynthesis"), ("train", "pearl", "TargetSelection"), ("fewshot", "light-curves", "snail"),
    ("fewshot", "molecules", "maml"), ("certify", "GridNavi"), ("evaluate",), ("resume",), ("envs",), ("demo",),
    ("molecules", "mine"), *(("reproduce", name) for name in EXPERIMENTS),
]  # fmt: skip


@pytest.mark.parametrize(("page", "option"), ALONE)
def test_options_that_stand_alone_exist(page, option, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    known = set().union(*(options_of(words) for words in COMMANDS))
    assert option in known or option in EVERYWHERE or option in OF_OTHERS, page
