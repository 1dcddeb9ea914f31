"""Packages that import their modules when a name is first used, so that importing the package itself stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` of a package (PEP 562).

        __getattr__, __dir__ = lazy_exports(__name__, {"metaenv.agents.rl2": ["RL2", "RL2Config"]})

    Args:
        package: name of the package.
        modules: the names that the package exports, by the module that defines them.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module_of[name]), name)

    return find, lambda: sorted(module_of)
