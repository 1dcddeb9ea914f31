"""The table of certificates in docs/certificate.md says what the cards say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaenv.experiments.settings import SETTINGS
from metaenv.registry import ENVIRONMENTS

DOCS = Path(__file__).parents[2] / "docs"
CARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((DOCS / "cards").glob("*.json"))}
GAPS = ("adaptation gap", "memory gap", "across-episode gap", "use of feedback")
NONE = "–"


def row(name: str, card: dict[str, Any]) -> str:
    seeds, steps = max(rung["trainings"] or 0 for rung in card["rungs"]), card["training"]["steps"]
    head = f"[{name}](cards/{name}.md) ({seeds} seed{'s' * (seeds != 1)}, {steps:,} steps)"
    numbers = [card["gaps"].get(gap, {}).get("estimate") for gap in GAPS]
    numbers += [check["value"] for check in card["checks"] if check["what"] == "best fixed list over told the task"][:1]
    numbers += [None] * (len(GAPS) + 1 - len(numbers))
    passed = sum(check["passed"] for check in card["checks"])
    cells = [NONE if value is None else f"{value:.2f}".replace("-0.00", "0.00") for value in numbers]
    verdict = f"{passed} of {len(card['checks'])}"
    return f"| {' | '.join([head, *cells, verdict])} |"


@pytest.mark.parametrize("name", CARDS)
def test_the_table_says_what_the_card_says(name):
    assert row(name, CARDS[name]) in (DOCS / "certificate.md").read_text(encoding="utf-8").splitlines()


def test_the_table_has_no_other_rows():
    lines = (DOCS / "certificate.md").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if "](cards/" in line]) == len(CARDS)


def family(training: dict[str, Any]) -> tuple[str, str, int | None]:
    """What is played: the environment, its settings, and how many episodes a trial has if not its own number."""
    return training["env"], json.dumps(training["settings"], sort_keys=True), training["episodes"]


def test_every_family_that_has_settings_has_a_card():
    certified = {family(card["training"]) for card in CARDS.values()}
    kept = [settings.to_dict() for settings in SETTINGS.values() if settings.algorithm == "rl2"]  # the ladder's agent
    assert {family(settings) for settings in kept} <= certified
    assert {card["env"] for card in CARDS.values()} <= set(ENVIRONMENTS)
