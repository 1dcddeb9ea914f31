"""Break one line of the code at a time, and see whether a test notices.

    python tools/mutants.py study                   the mutants of tools/mutants.json, by hand, room by room
    python tools/mutants.py study --only A2 M11     some of them
    python tools/mutants.py check                   only see that each of them still fits its line
    python tools/mutants.py fresh --count 60 --seed 1

A mutant is one changed line: a sign, a term of a sum, a comparison, a constant. `study` takes them from a list; `fresh`
draws them with a seed from all lines that compute something. Each is tried in a copy of the repository, against the
tests that it names, or those that import its module, and then those of its room. Nothing in the working tree is
changed. A run takes hours; it is no part of the test suite.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".json")
SECONDS = 1800  # a test run that takes longer than this hangs, which is noticed too (chosen)
KEPT = (
    "metaenv", "agents", "supervised", "tests", "examples", "docs", "tools",
    "pyproject.toml", "README.md", "constraints.txt", "CHANGELOG.md", "LICENSE",
)  # fmt: skip

ROOMS = {
    "agents": ("tests/agents", "tests/runs"),
    "supervised": ("tests/supervised",),
    "metaenv/classic": ("tests/classic", "tests/golden"),
    "metaenv/materials": ("tests/materials", "tests/golden"),
    "metaenv/molecules": ("tests/molecules", "tests/golden"),
    "metaenv/telescope": ("tests/telescope", "tests/golden"),
    "metaenv/runs": ("tests/runs", "tests/test_cli.py"),
    "metaenv/experiments": ("tests/experiments", "tests/test_cli.py"),
    "metaenv": ("tests/golden", *sorted(f"tests/{p.name}" for p in (ROOT / "tests").glob("test_*.py"))),
}
"""Which tests are to notice a change, by the beginning of its path; the first that fits."""


@dataclass(frozen=True)
class Mutant:
    """One changed line."""

    id: str
    path: str
    old: str
    """What stands in the file, once."""
    new: str
    tests: tuple[str, ...] = ()
    """The tests to try first; the tests of the room follow."""

    def applied(self, text: str) -> str:
        """The file with the change.

        Raises:
            SystemExit: the old text does not stand there exactly once.
        """
        if text.count(self.old) != 1:
            raise SystemExit(
                f"{self.id}: expected {self.old!r} once in {self.path}, found it {text.count(self.old)} times"
            )
        return text.replace(self.old, self.new)

    def stages(self) -> list[tuple[str, ...]]:
        """The test runs that may notice it, one after the other."""
        room = next(tests for start, tests in ROOMS.items() if self.path.startswith(start))
        return [stage for stage in (self.tests or self.nearest(), room) if stage]

    def nearest(self) -> tuple[str, ...]:
        """The test files that import the changed module, short ones first: they notice most mutants, and soonest."""
        stem = self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        module = stem if stem.startswith("metaenv") else f"metaenv.{stem}"
        files = [p for p in (ROOT / "tests").rglob("test_*.py") if module in p.read_text(encoding="utf-8")]
        return tuple(str(p.relative_to(ROOT)) for p in sorted(files, key=lambda p: p.stat().st_size))


def study(only: Sequence[str]) -> list[Mutant]:
    """The mutants of the list, all or those that are named."""
    found = [Mutant(**{**entry, "tests": tuple(entry.get("tests", ()))}) for entry in json.loads(LIST.read_text())]
    if unknown := set(only) - {mutant.id for mutant in found}:
        raise SystemExit(f"expected names of {LIST.name}, got {', '.join(sorted(unknown))}")
    return [mutant for mutant in found if not only or mutant.id in only]


def fresh(count: int, seed: int) -> list[Mutant]:
    """Mutants drawn from all lines of the packages that compute something, evenly over the lines."""
    files = [p for top in ("metaenv", "agents", "supervised") for p in sorted((ROOT / top).rglob("*.py"))]
    files = [p for p in files if not any(part.is_symlink() for part in p.parents if part != ROOT)]
    places = [place for path in files for place in changes(path)]
    drawn = random.Random(seed).sample(places, count)
    return [Mutant(f"F{seed}-{i}", path, old, new) for i, (path, old, new) in enumerate(drawn)]


SWAPS: dict[type[ast.AST], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.Eq: "!=", ast.NotEq: "==", ast.And: "or", ast.Or: "and",
}  # fmt: skip


def changes(path: Path) -> Iterator[tuple[str, str, str]]:
    """Each change of one operator of a file: its path, the line and the line with the change."""
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp):
            pairs = [(node.left, node.op, node.right)]
        elif isinstance(node, ast.Compare):
            pairs = list(zip([node.left, *node.comparators], node.ops, node.comparators, strict=False))
        elif isinstance(node, ast.BoolOp):
            pairs = [(a, node.op, b) for a, b in zip(node.values, node.values[1:], strict=False)]
        else:
            continue
        for left, operator, right in pairs:
            row = (left.end_lineno or 0) - 1
            if (
                type(operator) not in SWAPS
                or right.lineno - 1 != row
                or any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (left, right))
            ):
                continue
            line = lines[row].encode()
            between = slice(left.end_col_offset or 0, right.col_offset)
            gap = line[between].decode()
            symbol = gap.strip(" ()")
            if not symbol or text.count(lines[row]) != 1:
                continue
            changed = line[: between.start] + gap.replace(symbol, SWAPS[type(operator)]).encode() + line[between.stop :]
            yield str(path.relative_to(ROOT)), lines[row], changed.decode()


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether no test notices the mutant; ``copy`` is a copy of the repository, which is put back afterwards."""
    path = copy / mutant.path
    text = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(text), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        for stage in mutant.stages():
            try:
                done = subprocess.run(
                    [*command, *stage], cwd=copy, env=environment, capture_output=True, timeout=SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                return False
            if done.returncode not in (0, 5):  # 5: no test was chosen
                return False
        return True
    finally:
        path.write_text(text, encoding="utf-8")


def copied(folder: Path) -> Path:
    """A copy of what the tests need, with the two links."""
    folder.mkdir()
    for name in KEPT:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, symlinks=True, ignore=ignore)
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def main() -> int:
    """Parse the command line, try the mutants and print those that survive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("study", "check", "fresh"))
    parser.add_argument("--only", nargs="*", default=[], help="ids of mutants of the study")
    parser.add_argument("--count", type=int, default=60, help="how many fresh ones")
    parser.add_argument("--seed", type=int, default=0, help="of the fresh ones")
    parser.add_argument("--workers", type=int, default=1, help="copies of the repository that are tested at once")
    given = parser.parse_args()
    mutants = fresh(given.count, given.seed) if given.what == "fresh" else study(given.only)
    for mutant in mutants:
        mutant.applied((ROOT / mutant.path).read_text(encoding="utf-8"))
    if given.what == "check":
        print(f"{len(mutants)} mutants fit their lines.")
        return 0
    alive: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        copies: Queue[Path] = Queue()
        for i in range(given.workers):
            copies.put(copied(Path(temporary) / str(i)))

        def attempt(mutant: Mutant) -> None:
            copy = copies.get()
            try:
                lives = survives(mutant, copy)
            finally:
                copies.put(copy)
            print(
                f"{mutant.id:8s} {'SURVIVES' if lives else 'noticed'}  {mutant.path}: {mutant.new.strip()}", flush=True
            )
            if lives:
                alive.append(mutant.id)

        with ThreadPoolExecutor(given.workers) as pool:
            list(pool.map(attempt, mutants))
    share = 1 - len(alive) / len(mutants)
    print(
        f"{len(mutants) - len(alive)} of {len(mutants)} noticed ({share:.0%}); survivors: {', '.join(alive) or 'none'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
