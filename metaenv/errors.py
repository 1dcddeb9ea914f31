"""Messages that say what was expected, what came and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TaskError(ValueError):
    """A task, split or option that an environment cannot play."""


def nearest(name: str, options: Iterable[str]) -> str:
    """A hint such as `` Did you mean 'test'?`` (empty when nothing is close), then the list of options."""
    known = sorted(options)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
