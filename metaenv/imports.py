"""Imports at the last moment: objects by name, "module:attribute", and packages whose names are imported when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from metaenv.errors import nearest


def named(what: str, name: str, known: Mapping[str, str]) -> Any:
    """The object that a name stands for; its module is imported only now.

    Args:
        what: kind of object, for messages: "agent", "learner", "family".
        name: one of ``known``, or "module:attribute" of one's own, such as ``lab.agent:MyAgent``.
        known: "module:attribute" by name.

    Raises:
        ValueError: there is none of this name; the message says what was looked for and which there are.
    """
    if name not in known and ":" not in name:
        raise ValueError(f"no {what} {name!r}.{nearest(name, known)} Or give one of your own as module:Class.")
    module, _, attribute = known.get(name, name).partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(
            f"no module {error.name!r} for the {what} {name!r}; is the folder that holds it on PYTHONPATH?"
        ) from error
    if not hasattr(found, attribute):
        raise ValueError(f"no {what} {attribute!r} in the module {module}.{nearest(attribute, _classes(found))}")
    return getattr(found, attribute)


def _classes(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type)]


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
