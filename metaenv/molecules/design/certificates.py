"""What molecules score for tasks, and whether a task's certificate scores 1, as it must."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.molecules.chem.alerts import alert_names
from metaenv.molecules.chem.chemistry import Chemistry
from metaenv.molecules.chem.fragmentation import MoleculeError, to_mol
from metaenv.molecules.chem.properties import PROPERTIES, Score, Scores
from metaenv.molecules.chem.scoring import (
    MAX_SA,
    desirabilities,
    group_factor,
    packed,
    score_table,
    similarity,
    similarity_factor,
)
from metaenv.molecules.chem.smiles import fragment_smiles, parse, to_smiles
from metaenv.molecules.design.terms import Term, terms_of
from metaenv.molecules.objectives import chemistry_of, counts_inside, inside
from metaenv.molecules.reference_molecules import Molecules, fingerprints, real_molecules
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats

if TYPE_CHECKING:
    from metaenv.molecules.design.tasks import MoleculeTask

CERTAIN = 1 - 1e-6  # of a certificate's score: its numbers may have been through single precision or text
CHUNK = 250  # real molecules that are looked at together for a certificate
MEASURED = ("range", "similar")  # terms whose value says more than whether they are met


def scores_of(molecules: Molecules, tasks: TaskBatch, without_terms: bool = False) -> Floats:
    """(tasks, molecules) true scores, constraints included; a hidden lead and terms of one's own need RDKit."""
    kind = kind_of(tasks)
    table = score_table(values_of(molecules, kind), tasks, kind.softness) * molecules.feasible
    if (tasks.required >= 0).any() or (tasks.forbidden >= 0).any():
        table *= group_factor(molecules.groups, tasks.required[:, None], tasks.forbidden[:, None])
    with_lead = np.flatnonzero(tasks.lead[:, 0] >= 0)
    if len(with_lead):
        known, which = np.unique(tasks.lead[with_lead], axis=0, return_inverse=True)
        asked = kind.asked_similarity(tasks)
        for i, lead in enumerate(fingerprints(known.astype(np.int16), molecules.chemistry)):
            rows = with_lead[which.ravel() == i]
            table[rows] *= similarity_factor(molecules.fingerprints(), lead, asked[rows, None])
    for i in [] if without_terms else np.flatnonzero(tasks.terms.any(axis=1)):
        for term in terms_of(tasks.terms[i]):
            table[i] *= term.factor(term_values(molecules, term))
    return table


def kind_of(tasks: TaskBatch) -> type[MoleculeTask]:
    """The type of tasks, which knows what their numbers mean."""
    return cast("type[MoleculeTask]", tasks.task_type)


def values_of(molecules: Molecules, kind: type[MoleculeTask]) -> Floats:
    """(m, p) what tasks of a type ask ranges of."""
    return molecules.values if kind.properties == PROPERTIES else kind.values_of(molecules.actions)


def term_values(molecules: Molecules, term: Term) -> Floats:
    """(m,) the values of a term for molecules, by RDKit; remembered, because QED takes milliseconds a molecule."""
    return _term_values(molecules.actions.tobytes(), molecules.chemistry, term.kind, term.what)


@lru_cache(maxsize=64)
def _term_values(actions: bytes, chemistry: Chemistry, kind: Any, what: str) -> Floats:
    term = Term(kind, what, low=1.0)  # values do not depend on the ends
    return np.array([term.value(mol) for mol in _mols(actions, chemistry)])


@lru_cache(maxsize=64)
def _mols(actions: bytes, chemistry: Chemistry) -> list[Any]:
    vocabulary = chemistry.vocabulary
    sequences = np.frombuffer(actions, np.int16).reshape(-1, vocabulary.max_actions)
    return [to_mol(text) for text in fragment_smiles(sequences, vocabulary)]


# CERTIFICATES


def check_certificates(tasks: TaskBatch) -> None:
    """Refuse tasks whose certificate does not score 1, with a TaskError that says which demand it fails.

    RDKit is asked only where the certificate is none of the real molecules, or has more to show than is known of them.
    """
    chemistry = chemistry_of(tasks)
    real, place = real_molecules(chemistry), _places(chemistry)
    rows = np.array([place.get(row.tobytes(), -1) for row in tasks.certificate.astype(np.int16)], np.intp)
    met = _desirabilities(values_of(real, kind_of(tasks))[rows], tasks).prod(axis=1)
    met *= group_factor(real.groups[rows], tasks.required, tasks.forbidden)
    own_lead = (tasks.lead[:, 0] < 0) | (tasks.lead == tasks.certificate).all(axis=1)
    known = (rows >= 0) & real.feasible[rows] & own_lead & ~tasks.terms.any(axis=1) & (met >= CERTAIN)
    for i in np.flatnonzero(~known):
        if faults := _faults(tasks.take(np.array([i]))):
            smiles = to_smiles(tasks.certificate[[i]].astype(np.int16), chemistry.vocabulary)[0]
            raise TaskError(
                f"the certificate {smiles!r} does not score 1: "
                f"{'; '.join(faults)}; give a molecule that meets all that the task asks for"
            )


def infeasibility(score: Score) -> str:
    """Why a molecule breaks the constraints of every task; "" if it keeps them."""
    if score.sa > MAX_SA:
        return f"its synthetic accessibility is {score.sa:.1f}, expected at most {MAX_SA}"
    return f"it has the structural alert {', '.join(alert_names(to_mol(score.smiles)))}" if score.alert else ""


def _faults(task: TaskBatch) -> list[str]:
    """The demands of one task that its certificate fails."""
    chemistry = chemistry_of(task)
    scores = Scores(vocabulary=chemistry.vocabulary, groups=chemistry.groups)
    score = scores(task.certificate.astype(np.int16))[0]
    faults = [infeasibility(score)]
    kind = kind_of(task)
    values = kind.values_of(task.certificate.astype(np.int16))
    for j in np.flatnonzero(_desirabilities(values, task)[0] < CERTAIN):
        faults.append(
            f"{kind.properties[j]} is {values[0, j]:.4g}, asked for {task.low[0, j]:.4g} to {task.high[0, j]:.4g}"
        )
    bits, names = score.groups, list(chemistry.groups)
    if task.required[0] >= 0 and not bits >> int(task.required[0]) & 1:
        faults.append(f"it lacks the required group {names[int(task.required[0])]!r}")
    if task.forbidden[0] >= 0 and bits >> int(task.forbidden[0]) & 1:
        faults.append(f"it has the forbidden group {names[int(task.forbidden[0])]!r}")
    if task.lead[0, 0] >= 0:
        lead = scores(task.lead.astype(np.int16))
        alike = float(similarity(packed([score]), packed(lead))[0])
        asked = float(kind.asked_similarity(task)[0])
        if alike < asked * CERTAIN:
            faults.append(f"its similarity to the lead {lead[0].smiles} is {alike:.2f}, asked for {asked:.4g}")
    mol = to_mol(score.smiles)
    for term in terms_of(task.terms[0]):
        value = term.value(mol)
        if term.factor(np.array(value)) < CERTAIN:
            faults.append(f"asked for: {term}, found: {value:.4g}" if term.kind in MEASURED else f"asked for: {term}")
    return [fault for fault in faults if fault]


def _desirabilities(values: Floats, tasks: TaskBatch) -> Floats:
    """(n, p) of molecule i for task i."""
    p = values.shape[1]
    return desirabilities(values, tasks.low[:, :p], tasks.high[:, :p], tasks.wanted[:, :p], kind_of(tasks).softness)


@lru_cache(maxsize=4)
def _places(chemistry: Chemistry) -> dict[bytes, int]:
    return {row.tobytes(): i for i, row in enumerate(real_molecules(chemistry).actions)}


def parsed_certificate(smiles: str) -> tuple[float, ...]:
    """The build sequence of a certificate that keeps the constraints; its ranges are checked with the task."""
    actions = parse(smiles)
    if why := infeasibility(Scores(with_groups=False, with_fingerprint=False)(actions[None])[0]):
        raise TaskError(f"the certificate {smiles!r} cannot score 1: {why}, as every task demands")
    return sequence_numbers(actions)


def sequence_numbers(actions: NDArray[np.int16]) -> tuple[float, ...]:
    """A build sequence as a field of a task."""
    return tuple(actions.astype(float).tolist())


def found_certificate(task: TaskBatch, leads: Sequence[str] = ()) -> tuple[float, ...]:
    """The first real molecule that meets all that one task asks for, or else a lead that does.

    Raises:
        TaskError: there is none; the message says how many meet each demand.
    """
    chemistry = chemistry_of(task)
    real = real_molecules(chemistry)
    terms = sorted(terms_of(task.terms[0]), key=lambda term: term.what == "qed")  # which takes milliseconds
    met, closest = [0] * len(terms), [0.0] * len(terms)
    fits = np.flatnonzero(scores_of(real, task, without_terms=True)[0] == 1)
    for some in np.split(fits, range(CHUNK, len(fits), CHUNK)):
        for k, term in enumerate(terms):
            if len(some):
                values = term_values(real.take(some), term)
                some = some[term.factor(values) == 1]
                met[k], closest[k] = met[k] + len(some), max(closest[k], float(values.max()))
        if len(some):
            return sequence_numbers(real.actions[some[0]])
    counts = [
        f"; of these, {term}: {n}" + (f", the most similar {best:.2f}" if term.kind == "similar" else "")
        for term, n, best in zip(terms, met, closest, strict=True)
    ]
    for lead in leads:
        try:
            actions = parse(lead, chemistry.vocabulary, warn=False)
        except MoleculeError:
            continue
        if not _faults(TaskBatch(task.task_type, {**task.columns, "certificate": actions[None]})):
            return sequence_numbers(actions)
    wanted = task.wanted[0]
    kind, values = kind_of(task), values_of(real, kind_of(task))
    p = values.shape[1]
    within = inside(values, wanted[:p], task.low[0, :p], task.high[0, :p])
    alone = [counts_inside(within, wanted, kind.properties[:p])] if wanted.any() else []
    for what, group in (("required", int(task.required[0])), ("forbidden", int(task.forbidden[0]))):
        if group >= 0:
            there = (real.groups >> group & 1).astype(bool)
            alone.append(f"{what} {list(chemistry.groups)[group]}: {(there if what == 'required' else ~there).sum()}")
    each = f"each range on its own: {', '.join(alone)}; " if alone else ""
    raise TaskError(
        f"none of {len(real):,} known molecules meets this objective ({each}all ranges together: "
        f"{within.all(axis=1).sum()}{''.join(counts)}); widen one, or give the SMILES of a molecule that meets it as "
        "`certificate`"
    )
