"""A bandit as a picture, in numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Floats

HEIGHT, ARM_WIDTH, GAP = 120, 24, 8  # pixels
PAPER, BAR, PAID, UNPAID = (255, 255, 255), (188, 200, 214), (44, 123, 79), (190, 80, 60)


def bandit_frame(probabilities: Floats, arm: int, paid: float) -> NDArray[np.uint8]:
    """Arms as bars as high as their hidden probability; the pulled one green if it paid, else red.

    Returns:
        (120, 8 + 32 * n_arms, 3) uint8.
    """
    width = GAP + (ARM_WIDTH + GAP) * len(probabilities)
    frame = np.full((HEIGHT, width, 3), PAPER, np.uint8)
    for i, p in enumerate(probabilities):
        left = GAP + i * (ARM_WIDTH + GAP)
        top = HEIGHT - 1 - round(float(p) * (HEIGHT - GAP))
        frame[top:, left : left + ARM_WIDTH] = BAR if i != arm else (PAID if paid else UNPAID)
    return frame
