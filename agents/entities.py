"""Policies over items: observations that list things of one kind, of which an action picks one.

The network treats the list as a set (Zaheer et al. 2017, "Deep Sets", https://arxiv.org/abs/1703.06114): every item
goes through the same layer, the memory sees their mean, and an item's logit is the scalar product of its embedding
with a query from the memory. To reorder the items reorders the actions' probabilities and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

TRIAL_NUMBERS = 3
"""Numbers behind the previous action in a trial's observation: reward, flag and progress."""


class Seen(NamedTuple):
    """What `ItemEncoder` makes of observations (T, N, o)."""

    summary: Tensor
    """(T, N, summary_size) for the memory."""
    embeddings: Tensor
    """(T, N, items, item_size)."""


class ItemView:
    """Where items lie in an observation, and which of them an action picks.

    The observation (..., d) begins with the items: features x items numbers, a feature after the other. Action
    ``j * items + i`` does thing j to item i; the last ``n_actions % items`` actions concern no item.

    Args:
        layout: features of an item, and number of items.
        n_actions: of the environment.
    """

    def __init__(self, layout: tuple[int, int], n_actions: int) -> None:
        self.features, self.items = layout
        self.end = self.features * self.items
        self.n_actions = n_actions
        self.kinds, self.others = divmod(n_actions, self.items)
        self.picked_size = self.features + self.kinds + self.others

    def listed(self, observations: Tensor) -> Tensor:
        """(..., items, features)."""
        rows = observations[..., : self.end].unflatten(-1, (self.features, self.items))
        return rows.transpose(-1, -2).contiguous()

    def picked(self, listed: Tensor, actions: Tensor) -> Tensor:
        """The item (zeros for none), what is done to it, and the actions without an item: (..., picked_size).

        Args:
            listed: (..., items, features).
            actions: (..., n_actions) one-hot, or zeros for none.
        """
        things = actions[..., : self.kinds * self.items].unflatten(-1, (self.kinds, self.items))
        item = (things.sum(-2).unsqueeze(-2) @ listed).squeeze(-2)
        return torch.cat([item, things.sum(-1), actions[..., self.kinds * self.items :]], -1)


class ItemEncoder(nn.Module):
    """Reads the observation of a trial: items, the rest of the environment's, previous action and three numbers more.

    Args:
        view: of the environment's observation.
        observation_size: of the trial.
        item_size: width of an item's embedding.
    """

    def __init__(self, view: ItemView, observation_size: int, item_size: int) -> None:
        super().__init__()
        self.view = view
        self.embedding = nn.Linear(view.features, item_size)
        self.summary_size = observation_size - view.end - view.n_actions + view.picked_size + item_size

    def forward(self, observations: Tensor) -> Seen:
        """Embed (T, N, o). The summary has the item that the previous action picked as it is now."""
        view, action = self.view, observations.shape[-1] - TRIAL_NUMBERS - self.view.n_actions
        listed = view.listed(observations)
        embeddings = silu(self.embedding(listed))
        before, previous, trial = observations[..., view.end :].split(
            [action - view.end, view.n_actions, TRIAL_NUMBERS], -1
        )
        summary = torch.cat([before, trial, view.picked(listed, previous), embeddings.mean(-2)], -1)
        return Seen(summary, embeddings)


class ItemHead(nn.Module):
    """Logits (T, N, n_actions) from the features of the memory (T, N, f) and the items' embeddings."""

    def __init__(self, feature_size: int, item_size: int, view: ItemView) -> None:
        super().__init__()
        self.kinds = view.kinds
        self.query = nn.Linear(feature_size, view.kinds * item_size)
        self.other = nn.Linear(feature_size, view.others) if view.others else None
        self.bias = nn.Parameter(torch.zeros(view.kinds))

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """Logits of doing thing j to item i, then those of the actions that concern no item."""
        query = self.query(features).unflatten(-1, (self.kinds, -1))
        logits = (query @ embeddings.transpose(-1, -2) + self.bias.unsqueeze(-1)).flatten(-2)
        return logits if self.other is None else torch.cat([logits, self.other(features)], -1)


class ItemNetwork(nn.Module):
    """From an observation, and what stands behind it, to a number for every action: actors and critics over items.

    Args:
        view: of the observation, with which the input begins.
        input_size: of the observation and what follows it.
        sizes: widths of the layers between the summary and the query.
        item_size: width of an item's embedding.
    """

    def __init__(self, view: ItemView, input_size: int, sizes: Sequence[int], item_size: int) -> None:
        super().__init__()
        self.view = view
        self.embedding = nn.Linear(view.features, item_size)
        widths = [input_size - view.end + item_size, *sizes]
        self.layers = nn.Sequential(*(part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())))
        self.head = ItemHead(widths[-1], item_size, view)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_actions) for inputs (n, input_size)."""
        embeddings = silu(self.embedding(self.view.listed(x)))
        summary = torch.cat([x[..., self.view.end :], embeddings.mean(-2)], -1)
        return self.head(self.layers(summary), embeddings)
