"""Crossover and mutation of molecules."""

from itertools import pairwise

import numpy as np
import pytest
from rdkit import Chem

from metaenv.molecules.chem.assembly import Assembly, replay
from metaenv.molecules.chem.fragments import load_vocabulary
from metaenv.molecules.chem.smiles import parse, to_smiles
from metaenv.molecules.design.graph_ga import Trees, genome
from metaenv.molecules.reference_molecules import real_sequences

TREES = Trees(load_vocabulary())
children, crossover, deletion, end, exchange = (
    TREES.children,
    TREES.crossover,
    TREES.deletion,
    TREES.end,
    TREES.exchange,
)
insertion, legal, mutation, padded, ports = TREES.insertion, TREES.legal, TREES.mutation, TREES.padded, TREES.ports
GENOMES = [genome(a) for a in real_sequences()[::10]]
BIPHENYL, BENZANILIDE = "c1ccc(cc1)-c1ccccc1", "O=C(Nc1ccccc1)c1ccccc1"


def molecule(smiles):
    return genome(parse(smiles))


def born(operator, tries):
    """Canonical SMILES of the legal ones among so many children."""
    made = np.unique(padded([c for c in (operator() for _ in range(tries)) if legal([c])[0]]), axis=0)
    return set(to_smiles(made))


def test_the_attachment_of_every_action_is_the_assemblys():
    for made in GENOMES[:100]:
        built, seen = Assembly(1), []
        for action in made:
            seen.append(int(built.top()[0]))
            built.place(slice(None), np.array([action]))
        assert ports(made) == seen


def test_branches_by_hand():
    """A ring with two attachments: on the first a linker that bears a ring, the second closed."""
    v = load_vocabulary()
    chain = next(a for a in range(1, v.n_actions) if v.attachments[v.action_fragment[a]] == 2)
    single = next(a for a in range(1, v.n_actions) if v.attachments[v.action_fragment[a]] == 1)
    root = next(a for a in range(1, v.n_actions) if v.attachments[v.action_fragment[a]] == 2 and v.allowed[0, a])
    made = [root, chain, single, 0]
    assert children(made, 0) == [1, 3] and children(made, 1) == [2] and children(made, 2) == children(made, 3) == []
    assert [end(made, i) for i in range(4)] == [4, 3, 3, 4]


def test_legal_is_what_replay_accepts():
    rng, verdicts = np.random.default_rng(0), []
    tried = [crossover(a, b, rng) for a, b in pairwise(GENOMES)] + [mutation(made, rng) for made in GENOMES]
    tried += [[0], [13], GENOMES[0][:-1], [*GENOMES[0], 0]]
    for made, verdict in zip(tried, legal(tried), strict=True):
        try:
            replay(np.array([made]))
        except ValueError:
            assert not verdict, made
        else:
            assert verdict == (len(made) <= 9), made
        verdicts.append(verdict)
    assert 0.5 < np.mean(verdicts) < 0.95
    assert not legal([[], [0] * 12]).any() and len(legal([])) == 0


@pytest.mark.parametrize("operator", [exchange, insertion, deletion, mutation])
def test_mutants_differ_and_many_are_legal(operator):
    rng = np.random.default_rng(1)
    mutants = [operator(made, rng) for made in GENOMES]
    assert np.mean([a != b for a, b in zip(mutants, GENOMES, strict=True)]) > 0.9
    assert legal(mutants).mean() > 0.4


def test_crossover_exchanges_whole_branches():
    rng = np.random.default_rng(0)
    mother, father = molecule(BIPHENYL), molecule(BENZANILIDE)
    found = born(lambda: crossover(mother, father, rng), 200)
    # The father's branch amide-phenyl on the mother's first ring makes the father; no child has two amides.
    assert Chem.CanonSmiles(BENZANILIDE) in found
    assert all(text.count("O") <= 1 for text in found)
    known = {*replay(padded([mother])).fragment[0], *replay(padded([father])).fragment[0]}
    for text in found:
        assert set(replay(parse(text)).fragment[0]) <= known


def test_deletion_by_hand():
    """Of benzanilide: the amide goes and the rings meet, or the last ring goes; closing an acyl means methyl."""
    parent, rng = molecule(BENZANILIDE), np.random.default_rng(0)
    assert born(lambda: deletion(parent, rng), 60) == {Chem.CanonSmiles(s) for s in (BIPHENYL, "CC(=O)Nc1ccccc1")}


def test_insertion_and_deletion_undo_each_other():
    rng = np.random.default_rng(0)
    biphenyl = molecule(BIPHENYL)
    assert Chem.CanonSmiles(BENZANILIDE) in born(lambda: insertion(biphenyl, rng), 600)


def test_exchange_keeps_what_hangs_below():
    """The amide of benzanilide for another linker, or an end ring for another: one fragment differs."""
    rng = np.random.default_rng(0)
    parent = molecule(BENZANILIDE)
    linked = [m for m in (exchange(parent, rng) for _ in range(400)) if len(m) == len(parent) and legal([m])[0]]
    assert {sum(a != b for a, b in zip(m, parent, strict=True)) for m in linked} <= {0, 1}
    assert {next((i for i in range(len(m)) if m[i] != parent[i]), None) for m in linked} >= {0, 1, 2}
