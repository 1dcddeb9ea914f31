"""Objects by name: from a registry of strings "module:attribute", or by such a string itself."""

from __future__ import annotations

from collections.abc import Mapping
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
