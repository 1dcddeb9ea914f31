"""Settings of runs: written as JSON, read back with a check of every name and type, and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tyro

from metaenv.agents.base import Agent
from metaenv.agents.registry import agent_class, agent_of
from metaenv.controls import EpisodesAsTrials
from metaenv.errors import nearest
from metaenv.files import read_toml
from metaenv.limits import Count, CountOrZero, check_limits
from metaenv.registry import parsed
from metaenv.runs.folder import RunError
from metaenv.trial import Shows, VectorTrial, make_trials

T = TypeVar("T")


@dataclass(frozen=True)
class TrainConfig:
    """One training run of an agent."""

    env: Annotated[str, tyro.conf.Suppress] = "MaterialsSynthesis-v1"
    """Name of the environment; `metaenv envs` lists them."""
    steps: Count = 1_000_000
    """Environment steps to train for, counted over all sub-environments."""
    num_envs: Count = 1024
    """Trials played at once."""
    seed: CountOrZero = 0
    """Of weights, actions, tasks and noise."""
    tasks: Count | None = None
    """Number of training tasks, drawn once and the same for every run; by default new ones are drawn without end."""
    episodes: Count | None = None
    """Episodes of a trial; the environment's own number by default."""
    hide_history: bool = False
    """Hide what the trial remembers: the control that cannot adapt."""
    shows: Shows = "trial"
    """What the trial shows of what came before: "episode" forgets all at each episode's end, and the agent learns as if
    each episode were a trial of its own; "start" shows nothing after the first observation."""
    eval_every: CountOrZero = 0
    """Steps between evaluations on tasks of the split "validation", which also keep the best policy beside the final
    one, in best.pt; 0 for none. The training is the same with and without."""
    eval_tasks: Count = 100
    """Number of these tasks."""
    observe_task: bool = False
    """Show the true task: the oracle-conditioned ceiling, no meta-learner."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the environment as pairs, for example `--settings variant full noise_factor 2`."""
    agent: Annotated[Any, tyro.conf.Suppress] = None
    """Settings of the agent, an instance of its `Agent.config_class`; the defaults if None."""
    algorithm: Annotated[str, tyro.conf.Suppress] = ""
    """The agent: a name of `metaenv.agents.registry.AGENTS`, or "module:Class". By default the one whose settings are
    given, or "rl2"."""

    def __post_init__(self) -> None:
        check_limits(self)
        if not self.algorithm:
            object.__setattr__(self, "algorithm", "rl2" if self.agent is None else agent_of(self.agent))
        if self.agent is None:
            object.__setattr__(self, "agent", self.agent_class.config_class())
        if self.settings:
            checked = with_files(self.settings, lambda given: make_trials(self.env, 1, **given))
            object.__setattr__(self, "settings", checked)

    @property
    def agent_class(self) -> type[Agent]:
        """The class of the agent."""
        return agent_class(self.algorithm)

    @property
    def title(self) -> str:
        """The agent's name in tables."""
        return self.agent_class.title

    def make_agent(self, env: VectorTrial | EpisodesAsTrials, device: str = "auto") -> Agent:
        """A new agent for the training trials, on a device as `metaenv.devices.resolve_device` takes it."""
        make: Any = self.agent_class
        return make(env, self.agent, seed=self.seed, device=device)

    def make_env(self, **overrides: Any) -> VectorTrial:
        """The training trials; of another split where ``overrides`` say so, with all of its tasks."""
        given: dict[str, Any] = {**parsed(self.settings), **overrides}
        if self.tasks is not None and given.get("split", "train") == "train":
            given["tasks"] = self.tasks
        return make_trials(
            self.env, given.pop("num_envs", self.num_envs), self.episodes, **self.trial_options(), **given
        )

    def make_training_env(self) -> VectorTrial | EpisodesAsTrials:
        """What the agent learns on: the training trials, or their episodes where it forgets between them."""
        return EpisodesAsTrials(self.make_env()) if self.shows == "episode" else self.make_env()

    def trial_options(self) -> dict[str, Any]:
        """How the agent's trials differ from those of the baselines."""
        return {"hide_history": self.hide_history, "observe_task": self.observe_task, "shows": self.shows}

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, as JSON has them."""
        return plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the settings") -> TrainConfig:
        """The settings that `to_dict` gave.

        Raises:
            RunError: an unknown name or a value of another type; the message begins with ``where``.
        """
        name = values.get("algorithm", "rl2")
        try:
            kind = agent_class(name if isinstance(name, str) else repr(name)).config_class
        except ValueError as error:
            raise RunError(f"{where}: {error}") from error
        agent = read(kind, values.get("agent", {}), where, "agent.")
        others = {key: value for key, value in values.items() if key != "agent"}
        return read(cls, {**others, "agent": agent, "algorithm": name}, where)


def plain(settings: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: with lists for tuples."""
    return json.loads(json.dumps(asdict(settings)))


def read(cls: type[T], values: Any, where: str, prefix: str = "") -> T:
    """A dataclass from what `plain` gave, with every name and type checked.

    Args:
        cls: the dataclass; its annotations say what is expected.
        values: by the names of its fields; those with a default may be left out.
        where: the file that they come from.
        prefix: of names in messages.

    Raises:
        RunError: in one line, with the file and the name.
    """
    if not isinstance(values, Mapping):
        raise RunError(f"{where}: expected settings by name for {prefix.rstrip('.') or 'all'}, got {values!r}")
    hints = get_type_hints(cls)
    for name in values:
        if name not in hints:
            raise RunError(f"{where}: {cls.__name__} has no setting {name!r}.{nearest(str(name), hints)}")
    given = {name: _checked(hints[name], value, where, f"{prefix}{name}") for name, value in values.items()}
    try:
        return cls(**given)
    except TypeError as error:
        raise RunError(f"{where}: settings of {cls.__name__} are missing ({error}); was it edited?") from error
    except ValueError as error:  # values that do not go together
        raise RunError(f"{where}: {prefix.rstrip('.') or 'settings'}: {error}") from error


def _checked(hint: Any, value: Any, where: str, name: str) -> Any:
    """The value as its annotation has it; tuples come from lists."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in args:
            return None
        (hint, *others) = [arg for arg in args if arg is not NoneType]
        return _checked(Any if others else hint, value, where, name)
    if hint is Any:
        return tuple(value) if isinstance(value, list) else value
    if is_dataclass(hint):
        return read(cast(type[Any], hint), value, where, f"{name}.")
    if origin is dict and isinstance(value, dict):
        return {key: _checked(args[1], each, where, f"{name}.{key}") for key, each in value.items()}
    if origin is tuple and isinstance(value, list | tuple):
        kinds = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(kinds) == len(value):
            return tuple(_checked(kind, each, where, name) for kind, each in zip(kinds, value, strict=True))
    elif origin is Literal and any(value == option and type(value) is type(option) for option in args):
        return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    expected = f"one of {', '.join(map(repr, args))}" if origin is Literal else hint if origin else str(hint.__name__)
    raise RunError(f"{where}: expected {expected} for {name!r}, got {value!r}")


def differences(these: Mapping[str, Any], those: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Both values of every setting that differs, by its name with dots; None where one is missing."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*these, *those]):
        a, b = these.get(name), those.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found |= differences(a, b, f"{prefix}{name}.")
        elif a != b and not (a != a and b != b):  # NaN is no difference from NaN
            found[f"{prefix}{name}"] = (a, b)
    return found


def told(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """Such as ``steps is 2000 and not 900000; seed is 1 and not 0``."""
    return "; ".join(f"{name} is {a!r} and not {b!r}" for name, (a, b) in differing.items())


def with_files(settings: Mapping[str, str], check: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
    """The settings with what TOML files hold in place of their names, so that a run does not depend on the files.

    Args:
        settings: as typed. What takes the name of a file takes the dictionary that it holds, too.
        check: is called with the settings if one of them is a file, to refuse what the file says by its name.
    """
    files = {name: value for name, value in settings.items() if isinstance(value, str) and value.endswith(".toml")}
    if files:
        check(parsed(settings))
    return {**settings, **{name: json.dumps(read_toml(path), ensure_ascii=False) for name, path in files.items()}}
