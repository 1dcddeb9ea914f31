"""Settings that RL² and PEARL share, and how settings are read back from JSON or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from metaenv.errors import nearest
from metaenv.limits import NotNegative, Positive, Share, check_limits

C = TypeVar("C")


def check_one_head(entities: bool, action_features: bool) -> None:
    """Raise ValueError if a network is to choose actions in two ways."""
    if entities and action_features:
        raise ValueError(
            "Expected entities or action_features, not both: an action that chooses an entity has that entity's "
            "features. Set one of them to False."
        )


@dataclass(frozen=True)
class Teacher:
    """A baseline that helps in training, less and less, and never when the agent acts afterwards.

    It sees what the agent sees, not the hidden task. It needs discrete actions. Its action -1 is no advice.
    """

    name: str
    """Name of a baseline of the environment, such as "Bayes-UCB"; "None" trains without a teacher."""
    anneal_fraction: NotNegative = 0.5
    """Fraction of the training over which its help falls linearly to 0."""
    rollout_fraction: Share = 0.0
    """Fraction of the trials that the teacher plays, where it has advice, at the start of training."""

    def __post_init__(self) -> None:
        check_limits(self)

    def imitation(self, steps: int, total: int) -> float:
        """Weight of imitating it, 1 at first, after `steps` of `total` steps."""
        return linear_anneal(1.0, steps, total * self.anneal_fraction)

    def rollouts(self, steps: int, total: int) -> float:
        """Fraction of the trials that it plays after `steps` of `total` steps."""
        return linear_anneal(self.rollout_fraction, steps, total * self.anneal_fraction)


@dataclass(frozen=True)
class TaskPrediction:
    """An auxiliary loss: predict the hidden task's vector. A privileged signal, used in training only.

    It needs an environment with `task_vector()`.
    """

    coef: Positive
    """Weight of the loss; "None" trains without it."""
    loss: Literal["mse", "bce"] = "mse"
    """"mse" is the squared error. "bce" is the binary cross entropy, for vectors of indicators in [0, 1]; the
    prediction is then a probability for each of them."""
    feed_to_policy: bool = False
    """Whether policy and value also receive the prediction, without gradient, both in training and when acting."""

    def __post_init__(self) -> None:
        check_limits(self)


def anneal(start: float, end: float, progress: float) -> float:
    """Linear interpolation from `start` to `end`; `progress` in [0, 1]."""
    return start + (end - start) * progress


def linear_anneal(start: float, steps: int, last: float) -> float:
    """`start`, falling linearly to 0 between 0 and `last` steps, and 0 from then on."""
    return start * max(0.0, 1 - steps / last) if last > 0 else 0.0


def group_of(hint: Any) -> type[Any] | None:
    """The dataclass `D` in a field's type `D` or `D | None`; None for all other types."""
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and isinstance(kinds[0], type) and is_dataclass(kinds[0]) else None


def settings_from_dict(kind: type[C], values: Mapping[str, Any]) -> C:
    """The settings that `dataclasses.asdict` has made a dictionary of, groups of settings included.

    Raises:
        ValueError: there is a setting that `kind` does not have; the nearest name is suggested.
        TypeError: a setting without a default is missing.
    """
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    for name in values.keys() - known:
        raise ValueError(f"{kind.__name__} has no setting {name!r}.{nearest(name, known)}")
    return kind(**{name: _read(hints[name], value) for name, value in values.items()})


def _read(hint: Any, value: Any) -> Any:
    group = group_of(hint)
    if group is not None and isinstance(value, Mapping):
        return settings_from_dict(group, value)
    return tuple(value) if isinstance(value, list) else value
