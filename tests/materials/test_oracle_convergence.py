"""How near the stored oracles are to what harder searches find."""

from __future__ import annotations

import numpy as np

from metaenv.materials import oracle_convergence
from metaenv.materials.oracle import SEARCHES, Search
from metaenv.materials.oracle_convergence import BAR, gains, harder
from metaenv.materials.system.oracle import Search as SystemSearch
from metaenv.materials.tasks import SolidStateDistribution


def experiments(search: Search) -> int:
    return search.cover + search.chains * search.proposals * search.rounds


def test_harder_searches_make_ten_times_the_experiments_and_are_otherwise_the_same():
    for search in (*SEARCHES.values(), SystemSearch()):
        more = harder(search)
        assert experiments(more) >= 10 * experiments(search)
        assert (more.widest, more.narrowest, type(more)) == (search.widest, search.narrowest, type(search))
    assert harder(SystemSearch(other_option=0.3)).other_option == 0.3


def test_they_hardly_find_more_on_any_variant(monkeypatch):
    # Three times the experiments here, for the sake of time.
    monkeypatch.setattr(oracle_convergence, "harder", lambda s: type(s)(2 * s.cover, s.chains, 2 * s.proposals))
    for variant, tasks in (("system", 2), ("recipe", 3)):
        found = gains(variant, "test", tasks)
        assert found.shape == (tasks,)
        assert -BAR < found.mean() < BAR


def test_gains_are_above_what_is_stored_for_the_same_tasks(monkeypatch):
    frozen = SolidStateDistribution().frozen("test")
    seen: list[str] = []

    def one_more(tasks, rng, variant, search):
        seen.extend(tasks.ids)
        index = [frozen.tasks.ids.tolist().index(i) for i in tasks.ids]
        assert frozen.reference is not None
        return frozen.reference.oracle[index] + 0.25, None

    monkeypatch.setattr(oracle_convergence, "oracle", one_more)
    np.testing.assert_allclose(gains("recipe", "test", 11), 0.25)
    assert seen[0] == frozen.tasks.ids[0] and seen[-1] == frozen.tasks.ids[-1] and len(seen) == 11
