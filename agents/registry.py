"""Every agent by its name. Looking a name up imports that agent's module only.

To add one: a subclass of `metaenv.agents.base.Agent` and a line here, or, for one of your own, nothing:
``metaenv train lab.agent:MyAgent ENV``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaenv.imports import named

if TYPE_CHECKING:
    from metaenv.agents.base import Agent

AGENTS: dict[str, str] = {"rl2": "metaenv.agents.rl2:RL2", "pearl": "metaenv.agents.pearl:PEARL"}
"""By name, "module:Class"."""


def agent_class(name: str) -> type[Agent]:
    """The class of this name in `AGENTS`, or of "module:Class".

    Raises:
        ValueError: there is none, or it is no agent; the message says which there are.
    """
    from metaenv.agents.base import Agent

    found = named("agent", name, AGENTS)
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ValueError(f"expected a subclass of metaenv.agents.base.Agent, got {name!r}, which is {found!r}")
    return found


def agent_of(settings: Any) -> str:
    """The name of the agent that these settings are for.

    Raises:
        ValueError: they are for none in `AGENTS`.
    """
    for name in AGENTS:
        if type(settings) is agent_class(name).config_class:
            return name
    raise ValueError(
        f"expected settings of one of the agents {', '.join(AGENTS)}, got {type(settings).__name__}; for an agent of "
        "your own, name it as algorithm='module:Class' too"
    )
