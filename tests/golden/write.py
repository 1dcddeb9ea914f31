"""Write ``trajectories.json`` and ``pictures.json`` anew: ``python tests/golden/write.py``.

Only for a change that is meant: other trajectories are a new version of the environment and a line in CHANGELOG.md.
"""

from __future__ import annotations

import json
import re

import pictures
from trajectories import CASES, FILE, recorded


def main() -> None:
    """Play every case and write the files."""
    text = json.dumps({case: recorded(case) for case in CASES}, indent=1)
    # The sums of an array on one line.
    text = re.sub(
        r"\[[^]]*\]", lambda found: re.sub(r"\s+", " ", found.group()).replace("[ ", "[").replace(" ]", "]"), text
    )
    FILE.write_text(text + "\n", encoding="utf-8")
    found = {"versions": pictures.VERSIONS, "cases": {case: pictures.drawn(case) for case in CASES}}
    pictures.FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
