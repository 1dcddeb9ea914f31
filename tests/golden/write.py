"""Write ``trajectories.json``, ``baselines.json`` and ``pictures.json`` anew: ``python tests/golden/write.py``.

Only for a change that is meant: other trajectories are a new version of the environment and a line in CHANGELOG.md.
"""

from __future__ import annotations

import json
import re

import baselines
import pictures
from trajectories import CASES, FILE, recorded


def main() -> None:
    """Play every case and write the files."""
    FILE.write_text(_json({case: recorded(case) for case in CASES}), encoding="utf-8")
    baselines.FILE.write_text(_json({case: baselines.earned(case) for case in CASES}), encoding="utf-8")
    found = {"versions": pictures.VERSIONS, "cases": {case: pictures.drawn(case) for case in CASES}}
    pictures.FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _json(content: object) -> str:
    """With the numbers of an array on one line."""

    def joined(found: re.Match[str]) -> str:
        return re.sub(r"\s+", " ", found.group()).replace("[ ", "[").replace(" ]", "]")

    return re.sub(r"\[[^][]*\]", joined, json.dumps(content, indent=1)) + "\n"


if __name__ == "__main__":
    main()
