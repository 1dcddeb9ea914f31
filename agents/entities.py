"""Set encoder and pointer head: for observations that list entities of one kind, one of which an action chooses.

The list is encoded as a set (Zaheer et al. 2017, "Deep Sets", https://arxiv.org/abs/1703.06114): the same layer embeds
every entity, the rest of the network receives the mean of the embeddings, and an entity's logit is the scalar product
of its embedding with a query (a pointer head, after Vinyals et al. 2015, https://arxiv.org/abs/1506.03134). Reordering
the entities reorders the probabilities of the actions and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from metaenv.agents.hypernetwork import head_linear

TRIAL_NUMBERS = 3
"""Numbers behind the previous action in a trial's observation: reward, flag and progress."""


class EncodedSet(NamedTuple):
    """What `SetEncoder` makes of observations (T, N, o)."""

    summary: Tensor
    """(T, N, summary_size), the input of the recurrent cell."""
    embeddings: Tensor
    """(T, N, entities, entity_size)."""
    report: Tensor | None = None
    """(T, N, report_size), the mean products of the numbers of a reported list's entries."""


class EntityLayout:
    """Where entities lie in an observation, and which of them an action chooses.

    The observation (..., d) begins with the entities: features x entities numbers, one feature after the other. Action
    ``j * n + i`` applies verb j to entity i; the last ``n_actions % n`` actions concern no entity.

    Args:
        layout: features of an entity, and the number n of entities.
        n_actions: number of actions of the environment.
    """

    def __init__(self, layout: tuple[int, int], n_actions: int) -> None:
        self.features, self.n_entities = layout
        self.end = self.features * self.n_entities
        self.n_actions = n_actions
        self.n_verbs, self.n_others = divmod(n_actions, self.n_entities)
        self.choice_size = self.features + self.n_verbs + self.n_others

    def entities(self, observations: Tensor) -> Tensor:
        """The entities (..., n, features) of observations (..., d)."""
        rows = observations[..., : self.end].unflatten(-1, (self.features, self.n_entities))
        return rows.transpose(-1, -2).contiguous()

    def choice(self, entities: Tensor, actions: Tensor) -> Tensor:
        """The chosen entity (zeros if there is none), the verb, and the actions without entity: (..., choice_size).

        Args:
            entities: (..., n, features).
            actions: (..., n_actions) one-hot, or zeros for no action.
        """
        split = self.n_verbs * self.n_entities
        chosen = actions[..., :split].unflatten(-1, (self.n_verbs, self.n_entities))
        entity = (chosen.sum(-2).unsqueeze(-2) @ entities).squeeze(-2)
        return torch.cat([entity, chosen.sum(-1), actions[..., split:]], -1)


def product_count(report: tuple[int, int]) -> int:
    """Length of `mean_products` of a list."""
    return report[0] * (report[0] + 1) // 2


def mean_products(listed: Tensor, report: tuple[int, int]) -> Tensor:
    """The mean products of any two features of an entry of a reported list, (..., p).

    They do not depend on the order of the entries, and are what a linear regression of one feature on others needs to
    know.

    Args:
        listed: (..., features * entries), one feature of all entries after the other.
        report: number of features and of entries.
    """
    entries = listed.unflatten(-1, report).transpose(-1, -2)
    first, second = torch.triu_indices(report[0], report[0], device=listed.device)
    return (entries.transpose(-1, -2) @ entries)[..., first, second] / report[1]


class SetEncoder(nn.Module):
    """Encodes a trial's observation: entities, the rest of the environment's, previous action and three numbers more.

    Args:
        layout: of the environment's observation.
        observation_size: length of the trial's observation.
        entity_size: width of an entity's embedding.
        report: features of an entry and number of entries, where before the previous action the trial reports a list,
            as it does the entities. It is summed up by `mean_products`.
    """

    def __init__(
        self, layout: EntityLayout, observation_size: int, entity_size: int, report: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.layout, self.report, self.report_size = layout, report, 0
        self.embedding = nn.Linear(layout.features, entity_size)
        self.summary_size = observation_size - layout.end - layout.n_actions + layout.choice_size + entity_size
        if report is not None:
            self.summary_size -= report[0] * report[1]
            self.report_size = product_count(report)

    def forward(self, observations: Tensor) -> EncodedSet:
        """Encode (T, N, o). The summary shows the entity that the previous action chose as it is now."""
        layout, action = self.layout, observations.shape[-1] - TRIAL_NUMBERS - self.layout.n_actions
        entities = layout.entities(observations)
        embeddings = silu(self.embedding(entities))
        rest, previous, trial = observations[..., layout.end :].split(
            [action - layout.end, layout.n_actions, TRIAL_NUMBERS], -1
        )
        products = None
        parts = [trial, layout.choice(entities, previous), embeddings.mean(-2)]
        if self.report is not None:
            rest, listed = rest.tensor_split([-self.report[0] * self.report[1]], -1)
            products = mean_products(listed, self.report)
        return EncodedSet(torch.cat([rest, *parts], -1), embeddings, products)


class PointerHead(nn.Module):
    """Logits (..., n_actions) from features (..., f) and the embeddings of the entities (..., n, entity_size).

    Where `memory_size` is not 0, the features begin with a memory that makes the weights (`HyperLinear`).
    """

    def __init__(self, feature_size: int, entity_size: int, layout: EntityLayout, memory_size: int = 0) -> None:
        super().__init__()
        self.n_verbs = layout.n_verbs
        self.query = head_linear(memory_size, feature_size, layout.n_verbs * entity_size)
        self.other = head_linear(memory_size, feature_size, layout.n_others) if layout.n_others else None
        self.bias = nn.Parameter(torch.zeros(layout.n_verbs))

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """Logits of applying verb j to entity i, then those of the actions that concern no entity."""
        query = self.query(features).unflatten(-1, (self.n_verbs, -1))
        products = (embeddings @ query.transpose(-1, -2)).transpose(-1, -2)
        logits = (products + self.bias.unsqueeze(-1)).flatten(-2)
        return logits if self.other is None else torch.cat([logits, self.other(features)], -1)


class SetNetwork(nn.Module):
    """One number for every action, from an observation and what follows it: actors and critics over entities.

    Args:
        layout: of the observation, with which the input begins.
        input_size: length of the observation and what follows it.
        sizes: widths of the layers between the summary and the query.
        entity_size: width of an entity's embedding.
    """

    def __init__(self, layout: EntityLayout, input_size: int, sizes: Sequence[int], entity_size: int) -> None:
        super().__init__()
        self.layout = layout
        self.embedding = nn.Linear(layout.features, entity_size)
        widths = [input_size - layout.end + entity_size, *sizes]
        self.layers = nn.Sequential(*(part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())))
        self.head = PointerHead(widths[-1], entity_size, layout)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_actions) for inputs (n, input_size)."""
        embeddings = silu(self.embedding(self.layout.entities(x.detach())))
        summary = torch.cat([x[..., self.layout.end :], embeddings.mean(-2)], -1)
        return self.head(self.layers(summary), embeddings)
