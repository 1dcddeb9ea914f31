"""Imports run downwards only, those inside functions included, and no modules import each other in a circle."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS: tuple[tuple[str, ...], ...] = (
    ("version", "errors", "limits", "files", "delimited", "typing", "imports", "interrupts", "stats", "markdown",
     "ids"),
    ("rng", "parameters", "tasks", "task_sets", "frozen", "layout", "actions", "registry"),
    ("vector", "env"),
    ("trial", "trial_state", "gym_trials", "wrappers", "policies", "controls", "sb3"),
    ("plots", "canvas", "evaluation", "testing", "pages", "checkpoints", "threads", "devices"),
    ("baselines",),
    ("classic", "materials", "molecules", "telescope"),
    ("agents", "supervised"),
    ("runs",),
    ("experiments",),
    ("cli", "__main__"),
)  # fmt: skip
"""From the bottom to the top, as in docs/design.md. A room is a file or a folder directly under metaenv/."""

INDEPENDENT = [{"classic", "materials", "molecules", "telescope"}, {"agents", "supervised"}]
"""Rooms on one floor that know nothing of each other."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found: dict[str, Path] = {}
    linked = ("agents", "supervised")
    for folder, name in ((ROOT / "metaenv", "metaenv"), *((ROOT / n, f"metaenv.{n}") for n in linked)):
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            if name == "metaenv" and parts[0] in linked:
                continue
            found[".".join((name, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


@cache
def imports(name: str) -> list[tuple[str, int]]:
    """What a module imports from the package, with the line; imports for type checkers alone do not count."""
    return list(_imports(name))


def _imports(name: str) -> Iterator[tuple[str, int]]:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in MODULES else node.module), node.lineno


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def floor_of(name: str) -> int:
    found = [floor for floor, rooms in enumerate(LAYERS) if room(name) in rooms]
    assert found, f"{name} has no layer: add it to LAYERS here and in docs/design.md"
    return found[0]


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"metaenv"}))
def test_a_module_imports_from_its_own_layer_or_from_below(name: str) -> None:
    for imported, line in imports(name):
        where = f"{name}:{line} imports {imported}"
        assert imported != "metaenv", f"{where}: import from the module that defines it"
        assert floor_of(imported) <= floor_of(name), f"{where}, which lies above it"
        for rooms in INDEPENDENT:
            if {room(name), room(imported)} <= rooms:
                assert room(name) == room(imported), f"{where}: these two know nothing of each other"


def test_no_modules_import_each_other_in_a_circle() -> None:
    # A package's own file collects what its modules define; what a module imports from it is found by the test above.
    graph = {name: {i for i, _ in imports(name)} - {name} for name in MODULES.keys() - PACKAGES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name in done or name not in graph:
            return
        for other in sorted(graph[name]):
            visit(other, (*path, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_the_layers_are_those_of_the_design_page() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    for rooms in LAYERS:
        for one in rooms:
            if any(room(name) == one for name in MODULES):
                assert f"`{one}`" in page, f"docs/design.md does not say where {one} belongs"
