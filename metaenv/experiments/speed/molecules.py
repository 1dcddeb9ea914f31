"""Steps and molecules per second of molecule design, beside the enumeration step of MolDQN in the same run.

MolDQN (Zhou, Kearnes, Li, Zare and Riley 2019, Sci. Rep. 9, 10752) moves by choosing among all molecules that are one
edit away: an atom more, a bond more or stronger, a bond weaker or gone. `neighbours` enumerates these by RDKit, written
here from section 2.1 of the paper; no reward is computed, which favours it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.experiments.speed.timing import rate
from metaenv.molecules.chem.assembly import random_actions
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.reference_molecules import real_molecules

SECONDS = 4.0  # of each measurement (chosen)
ATOMS = {"C": 4, "N": 3, "O": 2}  # that MolDQN adds, with their valences
MAX_ORDER = 3
HIT_RATE = 0.91  # of the cache in a training run: research with a task-conditioned PPO, 2 M steps
KNOWN = 400  # real molecules that a warm run makes again and again


def run() -> dict[str, float]:
    """Measure and print; steps and molecules a second by name."""
    results: dict[str, float] = {}
    print("MoleculeDesign, one process; steps and finished molecules a second\n")
    windows: dict[str, Any] = {"variant": "windows-3"}
    cases: list[tuple[str, int, dict[str, Any], float]] = [
        ("warm, 256 at once", 256, {}, 1.0),
        ("warm, 1024 at once", 1024, {}, 1.0),
        (f"{HIT_RATE:.0%} made before, 256 at once", 256, {}, HIT_RATE),
        ("all new, 256 at once", 256, {}, 0.0),
        ("windows-3, warm, 256 at once", 256, windows, 1.0),
        (f"windows-3, {HIT_RATE:.0%} made before, 256 at once", 256, windows, HIT_RATE),
        ("windows-3, all new, 256 at once", 256, windows, 0.0),
        ("windows-3, all new, additive score only", 256, windows | {"constraints": False}, 0.0),
    ]
    for name, n, settings, source in cases:
        steps, molecules = speed(MoleculeDesignVectorEnv(n, **settings), source)
        print(f"{name:<44}{steps:>10,.0f} steps{molecules:>10,.0f} molecules", flush=True)
        results |= {f"{name}, steps": steps, f"{name}, molecules": molecules}
    moves = enumeration_speed()
    print(f"{'MolDQN: enumerate the next molecules, no reward':<44}{moves:>10,.0f} steps")
    return results | {"MolDQN": moves}


def speed(env: MoleculeDesignVectorEnv, made_before: float) -> tuple[float, float]:
    """Steps and molecules a second.

    Args:
        env: in which a share ``made_before`` of the molecules are among `KNOWN` real ones, the others random.
        made_before: 0 to 1.
    """
    script = _Script(env, made_before, np.random.default_rng(0))
    for _ in range(40 if made_before else 2):
        script.step()
    finished: list[int] = []

    def work() -> int:
        finished.append(script.step())
        return env.num_envs

    steps = rate(work, SECONDS)
    return steps, steps * float(np.mean(finished)) / env.num_envs


class _Script:
    """Plays real molecules over again in some rows, and random ones in the others."""

    def __init__(self, env: MoleculeDesignVectorEnv, made_before: float, rng: np.random.Generator) -> None:
        self.env, self.made_before, self.rng = env, made_before, rng
        known = real_molecules(env.chemistry).actions
        self.sequences = known[:: len(known) // KNOWN]
        env.use_autoreset_mode(AutoresetMode.SAME_STEP)
        _, info = env.reset(seed=0)
        self.mask: NDArray[Any] = info["action_mask"]
        self.at = np.zeros(env.num_envs, np.intp)
        self.known = np.zeros(env.num_envs, bool)
        self.which = np.zeros(env.num_envs, np.intp)
        self._draw(np.arange(env.num_envs))

    def step(self) -> int:
        """One step of all rows; how many molecules it finished."""
        known = self.sequences[self.which, self.at].astype(np.int64)
        action = known if self.known.all() else np.where(self.known, known, random_actions(self.mask, self.rng))
        _, _, done, _, info = self.env.step(action)
        self.mask, self.at = info["action_mask"], np.where(done, 0, self.at + 1)
        if done.any():
            self._draw(np.flatnonzero(done))
        return int(done.sum())

    def _draw(self, rows: NDArray[np.intp]) -> None:
        self.known[rows] = self.rng.random(len(rows)) < self.made_before
        self.which[rows] = self.rng.integers(len(self.sequences), size=len(rows))


# MOLDQN


def enumeration_speed() -> float:
    """Random walks of 40 edits from methane, edits a second."""
    from rdkit import rdBase

    rdBase.DisableLog("rdApp.*")  # else RDKit tells of every edit that is no molecule
    rng = np.random.default_rng(0)

    def walk() -> int:
        smiles = "C"
        for _ in range(40):
            options = sorted(neighbours(smiles))
            smiles = options[int(rng.integers(len(options)))]
        return 40

    return rate(walk, SECONDS)


def neighbours(smiles: str) -> set[str]:
    """All molecules one edit away: an atom added, a bond added or strengthened, a bond weakened or removed."""
    from rdkit import Chem

    mol = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    free = [atom.GetTotalNumHs() for atom in mol.GetAtoms()]
    made = [*_with_an_atom(mol, free), *_with_another_bond(mol, free)]
    return {found for edited in made if (found := _canonical(edited))}


def _with_an_atom(mol: Any, free: list[int]) -> list[Any]:
    from rdkit import Chem

    made = []
    for i, room in enumerate(free):
        for symbol, valence in ATOMS.items():
            for order in range(1, min(room, valence, MAX_ORDER) + 1):
                edited = Chem.RWMol(mol)
                edited.AddBond(i, edited.AddAtom(Chem.Atom(symbol)), _bond(order))
                made.append(edited)
    return made


def _with_another_bond(mol: Any, free: list[int]) -> list[Any]:
    """A bond more, or one that is stronger, weaker or gone."""
    from rdkit import Chem

    made = []
    for i, j in combinations(range(len(free)), 2):
        bond = mol.GetBondBetweenAtoms(i, j)
        before = 0 if bond is None else int(bond.GetBondTypeAsDouble())
        for order in range(min(before + min(free[i], free[j]), MAX_ORDER) + 1):
            if order == before:
                continue
            edited = Chem.RWMol(mol)
            if bond is not None:
                edited.RemoveBond(i, j)
            if order:
                edited.AddBond(i, j, _bond(order))
            made.append(edited)
    return made


def _bond(order: int) -> Any:
    from rdkit import Chem

    return {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}[order]


def _canonical(mol: Any) -> str | None:
    """Canonical SMILES of a valid, connected molecule, else None."""
    from rdkit import Chem

    if Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    smiles = Chem.MolToSmiles(mol)
    return None if "." in smiles else smiles
