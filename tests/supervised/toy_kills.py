"""A training of a learner that is killed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from metaenv.supervised.learner import Learner


class Killed(BaseException):
    """Nothing is saved on its way out."""


@contextmanager
def killed_at(iteration: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What trains in the block is killed before this meta-update; other patches of the block may be added."""
    update = Learner._one_update

    def killed(self: Learner, episodes: object) -> dict[str, float]:
        if self.iteration == iteration:
            raise Killed
        return update(self, episodes)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_one_update", killed)
        with pytest.raises(Killed):
            yield patch
