"""Messages that say what was expected, what came and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from inspect import signature


class TaskError(ValueError):
    """A task, split or option that an environment cannot play."""


def nearest(name: str, options: Iterable[str]) -> str:
    """A hint such as `` Did you mean 'test'?`` (empty when nothing is close), then the list of options."""
    return nearest_of(name, {"Known": options})


def nearest_of(name: str, kinds: Mapping[str, Iterable[str]]) -> str:
    """`nearest` among options of several kinds: one that begins with the name, else the most alike of all.

    Args:
        name: what was asked for.
        kinds: what each list of options is called, such as "Environments", and the options. Where several begin
            with the name, the first kind is preferred.
    """
    known = {kind: sorted(options) for kind, options in kinds.items()}
    options = [option for some in known.values() for option in some]
    begun = ([o for o in some if name and o.lower().startswith(str(name).lower())] for some in known.values())
    close = next((difflib.get_close_matches(str(name), some, 1, 0.0) for some in begun if some), [])
    close = close or difflib.get_close_matches(str(name), options, 1, 0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return hint + "".join(f" {kind}: {', '.join(some)}." for kind, some in known.items())


NO_OPTIONS = ("self", "args", "kwargs", "options", "unknown", "family", "observation", "action_space")


class OptionError(TypeError, ValueError):
    """An environment has no option of that name."""


def unknown_option(kind: type, name: str) -> OptionError:
    """The error for an option that a class of environments does not have, with the nearest one that it has."""
    own = {p for c in kind.__mro__ if "__init__" in vars(c) for p in signature(vars(c)["__init__"]).parameters}
    return OptionError(f"{kind.__name__} has no option {name!r}.{nearest(name, own - {*NO_OPTIONS})}")


EXTRAS = {
    **dict.fromkeys(("torch", "stable_baselines3", "tyro", "rich", "tqdm", "scipy"), "agents"),
    **dict.fromkeys(("botorch", "gpytorch", "sklearn"), "baselines"),
    "matplotlib": "plots",
    "astropy": "astronomy",
    "ray": "cluster",
    "tensorboard": "tracking",
}
"""Which extra of the distribution brings a package."""


def install_hint(error: ImportError) -> str:
    """How to install what an import has not found."""
    extra = EXTRAS.get((error.name or "").partition(".")[0], "all")
    return f'pip install "metaenv-science[{extra}]"'
