"""Options for groups of settings that may be None, such as `RL2Config.teacher`, on a command line.

tyro makes subcommands of them. Here the group's first setting is given by the group's own name, and the others follow
it: ``--agent.teacher "Bayes-UCB" --agent.teacher.anneal-fraction 0.3``; ``--agent.teacher None`` leaves the group out.
"""

from __future__ import annotations

from dataclasses import field, fields, is_dataclass, make_dataclass
from typing import Annotated, Any, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from metaenv.agents.config import group_of

OPTIONS = ConstructorRegistry()
"""Use as a context manager around `tyro.cli`."""


@OPTIONS.struct_rule
def _with_optional_groups(info: StructTypeInfo) -> StructConstructorSpec | None:
    """How a dataclass with such groups is made of options; None for all other types."""
    kind, now = info.type, info.default
    if not is_dataclass(kind) or not isinstance(now, kind):
        return None
    hints = get_type_hints(kind, include_extras=True)
    # A group that is always there has options of its own already.
    groups = {name: group for name, hint in hints.items() if (group := group_of(hint)) and group is not hint}
    if not groups:
        return None
    flags = {name: _flags(group) for name, group in groups.items()}

    def make(**values: Any) -> Any:
        given = {name: _group(groups[name], values[name], getattr(now, name)) for name in groups}
        return kind(**{**values, **given})

    specs: list[StructFieldSpec] = []
    for f in fields(kind):
        value, hint = getattr(now, f.name), hints[f.name]
        if f.name in groups:
            hint = flags[f.name]
            value = hint() if value is None else hint(**vars(value))
        specs.append(StructFieldSpec(f.name, hint, value))
    return StructConstructorSpec(make, tuple(specs))


def _flags(group: type[Any]) -> type[Any]:
    """The group with a first setting that may be None and is named as the group; it inherits the documentation."""
    hints = get_type_hints(group)
    first, *others = fields(group)
    parts: list[tuple[str, Any, Any]] = [
        (first.name, Annotated[hints[first.name] | None, tyro.conf.arg(name="")], field(default=None)),
        *((f.name, hints[f.name], field(default=f.default)) for f in others),
    ]
    skip_checks = {"__post_init__": lambda self: None}
    return make_dataclass(group.__name__, parts, bases=(group,), namespace=skip_checks, frozen=True)


def _group(group: type[Any], flags: Any, now: Any) -> Any:
    """The group that was asked for, or None."""
    first, *others = fields(group)
    if getattr(flags, first.name) is not None:
        return group(**vars(flags))
    given = [f.name for f in others if now is None and getattr(flags, f.name) != f.default]
    if given:
        raise ValueError(
            f"Expected the {first.name} of the {group.__name__} as well as its {', '.join(given)}: the option that is "
            "named as the group."
        )
    return None
