"""Adam Santoro, Sergey Bartunov, Matthew Botvinick, Daan Wierstra, Timothy Lillicrap, "MANN".

"Meta-Learning with Memory-Augmented Neural Networks", ICML 2016, http://proceedings.mlr.press/v48/santoro16.html; the
longer version, whose equations are cited here, is "One-shot Learning with ...", https://arxiv.org/abs/1605.06065.

A recurrent controller reads samples with their labels one after the other and keeps them in an external memory. It
reads by content: softmax over the cosine similarities of a key with all memory slots. It writes by least recently used
access: the key is added where the memory was last read, which updates what is known, or to the slot that was used
least, which adds something new (equations 20 to 23, as re-implementations number them). The weights of the network stay
as they are; what is learned of a task is in the memory.

Labels come in one of two ways (`MANNConfig.labels`). In the paper they are "shifted": each sample comes with the label
of the sample before, the network predicts the label of each sample as it comes, and accuracy is reported by
presentation, because the first time that a class is seen it can only be guessed (`MANN.by_presentation`). By default
they come "together": samples of the support set come with their own label and queries with none, as for the other
learners. Either way `adapt` reads the support set, and each query is then presented as the next sample without being
written, so that queries do not see each other.

Three choices fill gaps that the paper leaves. Reading precedes writing, as a sample would find its own key otherwise.
Each of several heads writes to a slot of its own: the first to the slot used least, the second to the next. Keys have a
strength that the controller sets (Graves, Wayne and Danihelka 2014, equation 5, https://arxiv.org/abs/1410.5401), as
cosines in [-1, 1] alone could hardly prefer one of 128 slots. Anomalies are learned like classes, from episodes with
anomalous queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from metaenv.limits import Count, Share
from metaenv.supervised.data.episodes import EpisodeBatch, FrozenEpisodes
from metaenv.supervised.data.problem import one_hot, squeeze_output, task_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.sequence import label_input, reading_order
from metaenv.supervised.learners.support_statistics import Normalize, normaliser
from metaenv.supervised.predictor import Adapted, inference

ONE_BY_ONE = "samples that come one by one have no support set to normalise by; use normalize='none'"
SMALL = 1e-6  # a slot shorter than this counts as empty (chosen; keys are in [-1, 1])


@dataclass(frozen=True)
class MANNConfig(LearnerConfig):
    """Settings of `MANN`. The sizes are those usually quoted for the paper's Omniglot, not checked against it."""

    labels: Literal["together", "shifted"] = "together"
    """Whether a sample comes with its own label, or with that of the sample before, as in the paper. "shifted" learns
    far more slowly: with five clusters in 16 dimensions, "together" classifies 98 % of the tenth presentations after
    19,000 episodes; after 25,000, "shifted" has only learned which labels have not come yet (the paper trains on
    100,000)."""
    normalize: Normalize = "none"
    """"support" standardises the features of all samples of a task by the mean and standard deviation of its support
    set; pictures are not learned without (see `metaenv.supervised.learners.support_statistics`)."""
    slots: Count = 128
    """Slots of the memory ("N"). A support set may be longer, as slots are used again."""
    width: Count = 40
    """Numbers in a slot and in a key ("M")."""
    heads: Count = 4
    """Reads and writes at each step ("n")."""
    controller: Count = 200
    """Units of the LSTM controller."""
    usage_decay: Share = 0.99
    """Factor on a slot's usage at each step ("gamma" in equation 20)."""


@dataclass(frozen=True)
class MemoryState:
    """What has been read of each task."""

    memory: Tensor  # (tasks, slots, width)
    usage: Tensor  # (tasks, slots), large where the memory was read or written lately
    read_weights: Tensor  # (tasks, heads, slots) of the last reading
    read: Tensor  # (tasks, heads * width), what the last reading found
    hidden: Tensor  # (tasks, controller)
    cell: Tensor  # (tasks, controller)


class MANN(Learner):
    """Memory-augmented neural network; see the module's docstring.

    The support set is read in an order that the seed draws, and the order matters a little.
    """

    config_class = MANNConfig
    config: MANNConfig
    network: _Memory

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        settings = self.config
        if settings.labels not in ("together", "shifted"):
            raise ValueError(f"expected labels 'together' or 'shifted', got {settings.labels!r}")
        if settings.labels == "shifted" and settings.normalize != "none":
            raise ValueError(f"{ONE_BY_ONE}, with labels='shifted'")
        if settings.heads > settings.slots:
            raise ValueError(f"expected a slot for each of {settings.heads} heads, got {settings.slots} slots")
        return _Memory(backbone, features, self.problem.n_outputs, settings)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        order = reading_order(support_y.shape[1], self.seed)
        embedded, labels = self._embed(support_x[:, order]), label_input(self.problem, support_y[:, order])
        normal = normaliser(self.config.normalize, embedded)
        z = normal(embedded)
        state, last = self.network.empty(len(z)), torch.zeros_like(labels[:, 0])
        for z_t, y_t in zip(z.unbind(1), labels.unbind(1), strict=True):
            _, state = self.network.step(self._token(z_t, y_t, last), state)
            last = y_t
        return lambda x: squeeze_output(self.problem.kind, self._ask(normal(self._embed(x)), state, last))

    def _token(self, z: Tensor, label: Tensor, label_before: Tensor) -> Tensor:
        """A sample (tasks, features) as the network reads it; the last number is 1 for a query that has no label."""
        shown = label_before if self.config.labels == "shifted" else label
        return torch.cat([z, shown, torch.zeros_like(z[:, :1])], -1)

    def _ask(self, z: Tensor, state: MemoryState, last: Tensor) -> Tensor:
        """Outputs (tasks, queries, n_outputs) for queries (tasks, queries, features), each as the next sample."""
        flag = torch.full_like(z[..., :1], float(self.config.labels == "together"))
        shown = last if self.config.labels == "shifted" else torch.zeros_like(last)
        tokens = torch.cat([z, shown[:, None].expand(-1, z.shape[1], -1), flag], -1)
        return self.network.look(tokens, state).output

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """The query loss, or with shifted labels the loss of all predictions, support set first."""
        if self.config.labels == "together":
            return super()._meta_loss(batch)
        x, y = batch.samples()
        return task_loss(self.problem.kind, self._as_it_comes(x, y), y)

    def _as_it_comes(self, x: Tensor, y: Tensor) -> Tensor:
        """The prediction of each sample of a sequence from the samples before it, as `Problem` says; x and y scaled."""
        z, labels = self._embed(x), label_input(self.problem, y)
        state, last, predictions = self.network.empty(len(z)), torch.zeros_like(labels[:, 0]), list[Tensor]()
        for z_t, y_t in zip(z.unbind(1), labels.unbind(1), strict=True):
            output, after = self.network.step(self._token(z_t, y_t, last), state)
            if self.config.labels == "together":  # the step above was told the label
                output = self._ask(z_t[:, None], state, last)[:, 0]
            predictions.append(output)
            state, last = after, y_t
        return squeeze_output(self.problem.kind, torch.stack(predictions, 1))

    def by_presentation(self, episodes: FrozenEpisodes, at: Sequence[int] = (1, 2, 5, 10)) -> dict[int, float]:
        """Accuracy when a class is presented for the first, second, … time: Table 1 of the paper.

        All samples of an episode are one sequence, in random order. Those of the paper have 5 classes of 10 samples:
        ``Episodes(data, n_shot=9, n_query=1, n_way=5)``, with a learner made with ``labels="shifted"``.

        Args:
            episodes: of classification.
            at: which presentations.

        Returns:
            Share of samples that were classified correctly, by presentation.

        Raises:
            ValueError: the problem is not a classification, or no class comes so often.
        """
        if self.problem.kind != "classification":
            raise ValueError(f"expected a classifier, as classes are presented, got a learner of {self.problem.kind}")
        if episodes.problem != self.problem:
            raise ValueError(f"expected episodes of {self.problem}, got {episodes.problem}")
        if self.config.normalize != "none":
            raise ValueError(ONE_BY_ONE)
        right, counts = list[Tensor](), list[Tensor]()
        for batch in episodes.batches():
            x, y = batch.to(self.device).samples()
            order = reading_order(y.shape[1], self.seed)
            x, y = x[:, order], y[:, order]
            with inference(self.network):
                right.append((self._as_it_comes(self.scaling.x(x), y).argmax(-1) == y).cpu())
            counts.append(presentation(y).cpu())
        all_right, count = torch.cat(right), torch.cat(counts)
        often = int(count.max())
        if not at or min(at) < 1 or max(at) > often:
            raise ValueError(f"expected presentations from 1 to {often}, got {tuple(at)}; draw longer episodes")
        return {n: all_right[count == n].float().mean().item() for n in at}


def presentation(y: Tensor) -> Tensor:
    """How often the class of each sample has come so far, the sample included, in sequences (tasks, steps)."""
    return one_hot(y, int(y.max()) + 1).cumsum(1).gather(-1, y[..., None])[..., 0].long()


# READING AND WRITING, FOR A BATCH OF TASKS


def read_weights(keys: Tensor, memory: Tensor, strength: Tensor) -> Tensor:
    """Softmax (tasks, n, slots) of the cosine similarities of keys (tasks, n, width) with the memory (section 3.1).

    The similarities are multiplied by a strength (tasks, n) first.
    """
    cosine = normalize(keys, dim=-1, eps=SMALL) @ normalize(memory, dim=-1, eps=SMALL).transpose(1, 2)
    return (strength[..., None] * cosine).softmax(-1)


def least_used(usage: Tensor, n: int) -> Tensor:
    """One-hot (tasks, n, slots) of the n slots of least usage, the first of equal ones first (equation 21)."""
    return one_hot(usage.detach().argsort(dim=-1, stable=True)[:, :n], usage.shape[-1])


def write_weights(gate: Tensor, read_before: Tensor, least: Tensor) -> Tensor:
    """Equation 22: a mixture of the last reading's weights and the least used slots, both (tasks, heads, slots).

    ``gate`` (tasks, heads) is sigmoid(alpha), the share of the last reading.
    """
    return gate[..., None] * read_before + (1 - gate[..., None]) * least


def written(memory: Tensor, weights: Tensor, keys: Tensor, least: Tensor) -> Tensor:
    """Equation 23: the memory (tasks, slots, width) with the least used slots set to zero and the keys added."""
    return memory * (1 - least.sum(1))[..., None] + weights.transpose(1, 2) @ keys


def next_usage(usage: Tensor, reads: Tensor, writes: Tensor, decay: float) -> Tensor:
    """Equation 20: usage (tasks, slots) decays, and grows by read and write weights (tasks, heads, slots)."""
    return decay * usage + reads.sum(1) + writes.sum(1)


class _Reading(NamedTuple):
    """What one reading of the memory gives, for each of some samples (tasks, samples, …)."""

    output: Tensor
    hidden: Tensor
    cell: Tensor
    keys: Tensor
    gate: Tensor
    weights: Tensor
    read: Tensor


class _Memory(nn.Module):
    """The backbone, the controller, its interface to the memory, and the output layer."""

    def __init__(self, backbone: nn.Module, features: int, labels: int, settings: MANNConfig) -> None:
        super().__init__()
        self.settings, found = settings, settings.heads * settings.width
        self.backbone = backbone
        self.controller = nn.LSTMCell(features + labels + 1 + found, settings.controller)
        self.interface = nn.Linear(settings.controller, settings.heads * (settings.width + 2))
        self.head = nn.Linear(settings.controller + found, labels)

    def empty(self, tasks: int) -> MemoryState:
        """The state of tasks of which nothing has been read."""
        s, new = self.settings, self.head.weight.new_zeros
        return MemoryState(
            memory=new(tasks, s.slots, s.width),
            usage=new(tasks, s.slots),
            read_weights=new(tasks, s.heads, s.slots),
            read=new(tasks, s.heads * s.width),
            hidden=new(tasks, s.controller),
            cell=new(tasks, s.controller),
        )

    def look(self, tokens: Tensor, state: MemoryState) -> _Reading:
        """Read for samples (tasks, samples, d), each as the next sample; nothing is written."""
        tasks, n = tokens.shape[:2]
        s = self.settings
        hidden, cell, before = (
            part[:, None].expand(-1, n, -1).flatten(0, 1) for part in (state.hidden, state.cell, state.read)
        )
        hidden, cell = self.controller(torch.cat([tokens.flatten(0, 1), before], -1), (hidden, cell))
        asked = self.interface(hidden).view(tasks, n * s.heads, s.width + 2)
        keys, strength, gate = asked[..., :-2].tanh(), 1 + softplus(asked[..., -2]), asked[..., -1].sigmoid()
        weights = read_weights(keys, state.memory, strength)
        read = (weights @ state.memory).view(tasks, n, -1)
        hidden, cell = hidden.view(tasks, n, -1), cell.view(tasks, n, -1)
        return _Reading(self.head(torch.cat([hidden, read], -1)), hidden, cell, keys, gate, weights, read)

    def step(self, token: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Read for a sample (tasks, d), then write: its prediction (tasks, outputs), and the state after it."""
        seen = self.look(token[:, None], state)
        least = least_used(state.usage, self.settings.heads)
        writes = write_weights(seen.gate, state.read_weights, least)
        memory = written(state.memory, writes, seen.keys, least)
        usage = next_usage(state.usage, seen.weights, writes, self.settings.usage_decay)
        read, hidden, cell = seen.read[:, 0], seen.hidden[:, 0], seen.cell[:, 0]
        return seen.output[:, 0], MemoryState(memory, usage, seen.weights, read, hidden, cell)
