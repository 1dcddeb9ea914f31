"""The package list is explicit; this guard finds a folder that would be missing from the wheel."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONF = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_shipped():
    found = set()
    for top, name in (("metaenv", "metaenv"), ("agents", "metaenv.agents"), ("supervised", "metaenv.supervised")):
        for init in (ROOT / top).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / top).parts
            if top == "metaenv" and parts[:1] in (("agents",), ("supervised",)):
                continue
            found.add(".".join((name, *parts)))
    assert found == set(CONF["tool"]["setuptools"]["packages"])


def test_all_extra_holds_what_the_others_ask_for():
    extras = CONF["project"]["optional-dependencies"]
    needed = {*extras["agents"], *extras["plots"], *extras["test"], *extras["tracking"], *extras["baselines"]}
    assert needed <= set(extras["all"])


def test_constraints_hold_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins and all("==" in line and "/" not in line and "@" not in line for line in pins)
    assert "torch==2.13.0" in pins
