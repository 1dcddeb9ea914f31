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


def pins(file: str) -> dict[str, str]:
    lines = [line for line in (ROOT / file).read_text().split("\n") if line and not line.startswith("#")]
    assert lines == sorted(lines) and all("/" not in line and "@" not in line for line in lines)
    return dict(line.split("==") for line in lines)


def test_constraints_hold_names_and_versions_only():
    assert pins("constraints.txt")["torch"] == "2.13.0"


def test_the_lowest_versions_of_the_environments_are_those_that_are_tested():
    extras = CONF["project"]["optional-dependencies"]
    declared = [each.partition(",")[0].split(">=") for each in (*CONF["project"]["dependencies"], *extras["test"])]
    lowest = pins("constraints-lowest.txt")
    for name, bound in declared:
        bound, tested = ([int(part) for part in version.split(".")] for version in (bound, lowest[name]))
        released = tested[: len(bound)]  # the first release that a bound such as 2026.3 allows may be 2026.3.1
        assert released == bound and sum(tested[len(bound) :]) <= 1, name
