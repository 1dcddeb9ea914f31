"""Write ``trajectories.json`` anew: ``python tests/golden/write.py``.

Only for a change of behaviour that is meant: such a change is a new version of the environment and a line in
CHANGELOG.md.
"""

from __future__ import annotations

import json
import re

from trajectories import CASES, FILE, recorded


def main() -> None:
    """Play every case and write the file."""
    text = json.dumps({case: recorded(case) for case in CASES}, indent=1)
    # The sums of an array on one line.
    text = re.sub(
        r"\[[^]]*\]", lambda found: re.sub(r"\s+", " ", found.group()).replace("[ ", "[").replace(" ]", "]"), text
    )
    FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
