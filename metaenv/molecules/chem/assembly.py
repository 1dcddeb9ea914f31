"""Building molecules: n at once, a stack of open attachments each, integers only.

The first action puts down a ring fragment and opens all its attachments. Every later action acts on the attachment on
top of the stack: it joins a fragment there and opens the fragment's other attachments (lowest number on top), or
closes it. A molecule is finished when nothing is open.

An action is legal if the vocabulary allows it on that attachment and what is left suffices: one action for every open
attachment, and one heavy atom for every open attachment that closes with methyl. CLOSE is therefore always legal once
a molecule has begun, so no state is a dead end. An action that is not legal means CLOSE; on an empty molecule it means
the first legal action (the commonest ring); on a finished one nothing happens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragments import CLOSE, MAX_ATTACHMENTS, Vocabulary, load_vocabulary
from metaenv.typing import Bools, Index, Rows

ALL = slice(None)
ABSENT, OPEN, CLOSED = -1, -2, -3
"""What `Assembly.partner` holds where no fragment is joined: no such attachment, an open one, a closed one. (Open and
closed are the two lowest.)"""


class Assembly:
    """``n`` molecules being built, of at most L actions each (9 with the package's vocabulary).

    Args:
        n: how many.
        vocabulary: fragments and actions; by default those of the package.
    """

    def __init__(self, n: int, vocabulary: Vocabulary | None = None) -> None:
        if n < 1:
            raise ValueError(f"expected n of at least 1, got {n}")
        self.n = n
        self.vocabulary = v = vocabulary or load_vocabulary()
        f, most = v.action_fragment, v.max_actions
        self._extra_open = np.where(f < 0, -1, v.attachments[f] - 1).astype(np.intp)  # that each action adds
        self._closing_atoms = np.where(f < 0, 0, v.methyl[f, v.action_attachment]).astype(np.intp)
        methyls = v.methyl.sum(axis=1)[f] - self._closing_atoms
        self._extra_atoms = np.where(f < 0, 0, v.heavy_atoms[f] + methyls).astype(np.intp)
        self._fits_actions = self._extra_open <= np.arange(most + 1)[:, None]  # whether it fits what is left
        self._fits_atoms = self._extra_atoms <= np.arange(v.max_heavy_atoms + 1)[:, None]
        self.actions: NDArray[np.int16] = np.full((n, most), -1, np.int16)
        """(n, L) what was played, masked actions already replaced by their meaning; -1 after the last."""
        self.length: Index = np.zeros(n, np.intp)
        """(n,) actions played."""
        self.fragment: NDArray[np.int16] = np.full((n, most), -1, np.int16)
        """(n, L) fragment put down by each action; -1 for closures and what is not yet played."""
        self.partner: NDArray[np.int8] = np.full((n, most, MAX_ATTACHMENTS), ABSENT, np.int8)
        """(n, L, 3) what each attachment is joined to: ``3 * place + attachment``, or ABSENT, OPEN, CLOSED."""
        self.heavy_atoms: Index = np.zeros(n, np.intp)
        """(n,) heavy atoms if everything open were closed now."""
        self.n_open: Index = np.zeros(n, np.intp)
        """(n,) open attachments."""
        self._stack = np.zeros((n, most + MAX_ATTACHMENTS), np.int8)  # 3 * place + attachment, top last

    def reset(self, rows: Rows = ALL) -> None:
        """Empty the molecules of ``rows``."""
        self.actions[rows] = -1
        self.fragment[rows] = -1
        self.partner[rows] = ABSENT
        for counter in (self.length, self.heavy_atoms, self.n_open):
            counter[rows] = 0

    @property
    def done(self) -> Bools:
        """(n,) whether the molecule is finished."""
        return (self.length > 0) & (self.n_open == 0)

    def top(self, rows: Rows = ALL) -> Index:
        """(rows,) the open attachment to be dealt with, named by the action that joins it; 0 if there is none."""
        index = np.arange(self.n)[rows]
        point = self._stack[index, np.maximum(self.n_open[index] - 1, 0)]
        place, attachment = np.divmod(point, MAX_ATTACHMENTS)
        port = self.vocabulary.action[self.fragment[index, place], attachment]
        return np.where(self.n_open[index] > 0, port, 0).astype(np.intp)

    def mask(self, rows: Rows = ALL) -> NDArray[np.int8]:
        """(rows, A) int8, 1 where an action is legal; finished molecules have CLOSE alone."""
        top, spare, room = self._limits(rows)
        legal = self.vocabulary.allowed[top] & self._fits_actions[spare] & self._fits_atoms[room]
        finished = self.done[rows]
        if finished.any():
            legal[finished] = np.arange(self.vocabulary.n_actions) == CLOSE
        return legal.view(np.int8)

    def place(self, rows: Rows, action: NDArray[np.integer]) -> None:
        """Play ``action`` (one a row) in ``rows``; see the module for actions that are not legal.

        Raises:
            ValueError: an action outside [0, A); nothing has changed.
        """
        action = np.asarray(action)
        if action.size and not (0 <= action.min() and action.max() < self.vocabulary.n_actions):
            raise ValueError(f"expected actions from 0 to {self.vocabulary.n_actions - 1}, got {action}")
        index = np.arange(self.n)[rows]
        going = ~self.done[index]
        if not going.all():
            index, action = index[going], action[going]
        top, spare, room = self._limits(index)
        legal = self.vocabulary.allowed[top, action]
        legal = legal & (self._extra_open[action] <= spare) & (self._extra_atoms[action] <= room)
        instead = np.where(top == 0, np.argmax(self.vocabulary.allowed[0]), CLOSE)
        action = np.where(legal, action, instead).astype(np.int16)
        self.actions[index, self.length[index]] = action
        closing = action == CLOSE
        if closing.any():
            closed = index[closing]
            place, attachment = np.divmod(self._pop(closed), MAX_ATTACHMENTS)
            self.partner[closed, place, attachment] = CLOSED
        if not closing.all():
            self._join(index[~closing], action[~closing], top[~closing])
        self.length[index] += 1

    def rollout(self, rng: np.random.Generator) -> NDArray[np.int16]:
        """Finish all molecules with uniformly random legal actions; (n, L) the build sequences."""
        while not self.done.all():
            rows = np.flatnonzero(~self.done)
            self.place(rows, random_actions(self.mask(rows), rng))
        return self.actions.copy()

    # PRIVATE

    def _limits(self, rows: Rows) -> tuple[Index, Index, Index]:
        """The top attachment, attachments that may still be added, and heavy atoms that may still be added."""
        top = self.top(rows)
        # One action is spent now and one on every attachment left open; the top one is among n_open unless n_open is 0.
        spare = self.vocabulary.max_actions - self.length[rows] - np.maximum(self.n_open[rows], 1)
        room = self.vocabulary.max_heavy_atoms - self.heavy_atoms[rows] + self._closing_atoms[top]
        return top, np.maximum(spare, 0), room

    def _pop(self, index: Index) -> NDArray[np.int8]:
        """The attachments on top of the stacks, which are taken off."""
        self.n_open[index] -= 1
        return self._stack[index, self.n_open[index]]

    def _join(self, index: Index, action: NDArray[np.int16], top: Index) -> None:
        v = self.vocabulary
        fragment, entry, here = v.action_fragment[action], v.action_attachment[action], self.length[index]
        first = here == 0
        closures = np.where(first, self._closing_atoms[action], -self._closing_atoms[top])
        self.heavy_atoms[index] += self._extra_atoms[action] + closures
        self.fragment[index, here] = fragment
        exists = np.arange(MAX_ATTACHMENTS) < v.attachments[fragment][:, None]
        self.partner[index, here] = np.where(exists, OPEN, ABSENT)
        rows, below, by = index[~first], here[~first], entry[~first]
        point = self._pop(rows)
        place, attachment = np.divmod(point, MAX_ATTACHMENTS)
        self.partner[rows, place, attachment] = MAX_ATTACHMENTS * below + by
        self.partner[rows, below, by] = point
        for j in reversed(range(MAX_ATTACHMENTS)):
            opens = exists[:, j] & (first | (entry != j))
            rows = index[opens]
            self._stack[rows, self.n_open[rows]] = MAX_ATTACHMENTS * here[opens] + j
            self.n_open[rows] += 1


def random_actions(mask: NDArray[np.integer], rng: np.random.Generator) -> Index:
    """(n,) one uniformly random action of each row of ``mask`` (n, A)."""
    return np.argmax(rng.random(mask.shape, np.float32) * mask, axis=1)


def replay(actions: NDArray[np.integer], vocabulary: Vocabulary | None = None) -> Assembly:
    """The molecules of build sequences.

    Args:
        actions: (n, up to L) actions, -1 after the last.
        vocabulary: by default that of the package.

    Raises:
        ValueError: a sequence with an illegal action, or one that leaves attachments open; it says which.
    """
    actions = np.atleast_2d(actions)
    built = Assembly(len(actions), vocabulary)
    for step in range(actions.shape[1]):
        rows = np.flatnonzero(actions[:, step] >= 0)
        _check(built.done[rows], rows, step, "comes after the molecule is finished")
        built.place(rows, actions[rows, step])
        _check(built.actions[rows, step] != actions[rows, step], rows, step, "is not legal there")
    if not built.done.all():
        row = int(np.argmin(built.done))
        raise ValueError(f"sequence {row} leaves {built.n_open[row]} attachments open; end each with CLOSE (0)")
    return built


def _check(wrong: Bools, rows: Index, step: int, what: str) -> None:
    if wrong.any():
        raise ValueError(f"action {step} of sequence {rows[np.argmax(wrong)]} {what}")
