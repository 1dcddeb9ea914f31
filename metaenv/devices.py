"""Which device torch computes on: a GPU where there is one, unless the processor is asked for.

What is the same on every device: the tasks, the environments' noise, first weights, minibatches, and each random number
that an agent or a learner draws, because all of them are drawn on the CPU. What is not: rounding. The same seed on
another device therefore begins with the same numbers to about six digits, and goes its own way once a choice has turned
out differently. On the CPU the same seed gives the same result bit for bit; a GPU does not promise that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
"""The names that `resolve_device` and ``--device`` take; "cuda:1" names one of several GPUs."""
VARIABLE = "METAENV_DEVICE"
"""Environment variable that says what "auto" is. ``--device`` sets it, so that worker processes know it, too."""


def check_name(device: str) -> str:
    """The name, if it is one of `DEVICES` or such as "cuda:1". It needs no torch.

    Raises:
        ValueError: another name.
    """
    kind, colon, number = device.partition(":")
    if device not in DEVICES and not (kind == "cuda" and colon and number.isdecimal()):
        raise ValueError(f"expected a device among {', '.join(DEVICES)}, or such as cuda:1, got {device!r}")
    return device


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device that is meant.

    Args:
        device: "cpu"; "cuda" or "cuda:1"; or "auto", which is what the variable METAENV_DEVICE names, and without it
            "cuda" if torch finds a CUDA device, else "cpu".

    Raises:
        ValueError: another name, or torch finds no such device.
    """
    import torch

    name = check_name(str(device))
    if name == "auto":
        name = check_name(os.environ.get(VARIABLE, "auto"))
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if found else "cpu"
    chosen = torch.device(name)
    if chosen.type == "cuda" and (chosen.index or 0) >= found:
        many = f"{found} CUDA device{'s' * (found != 1)}" if found else "no CUDA device"
        raise ValueError(f"expected one of auto, cpu{', cuda' * bool(found)}, got {name!r} but torch finds {many}")
    return chosen


def device_name(device: torch.device) -> str:
    """The name of the card, or "cpu"."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
