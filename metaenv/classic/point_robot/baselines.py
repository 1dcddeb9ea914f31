"""Baselines for SparsePointRobot: a sweep, posterior sampling, and the best walk that never learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.point_robot.env import (
    EPISODE_STEPS,
    GOAL_RADIUS,
    STEP,
    distance,
    goals_of,
    sparse_reward,
)
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Bools, Floats
from metaenv.vector import Observations

ANGLES = 2000  # places on the circle that a belief tells apart (chosen); costs at most 0.03 of an episode's return
ROUNDING = 1e-6  # of a place in float32
SWEEP_RADIUS = 0.9  # of the search; best on training goals among 0.82, 0.85, 0.9, 0.95 and 1
FINE = 200  # turns tried for each step of the sweep (chosen)
GRID, REACH = 0.02, 5  # spacing of the places of a fixed walk, and how many of them a step reaches (chosen)
CELLS = 60  # places to each side of the origin: up to 1.2


class CircleBelief:
    """Which goals on the unit circle agree with all rewards so far, for n robots.

    Attributes:
        goals: (ANGLES, 2) the places told apart, from angle 0 counterclockwise.
        allowed: (n, ANGLES) whether each may still be the goal.
        found: (n,) whether a reward was ever seen.
    """

    def __init__(self, n: int) -> None:
        self.goals = on_circle(2 * np.pi * np.arange(ANGLES) / ANGLES)
        self.allowed = np.ones((n, ANGLES), bool)
        self.found = np.zeros(n, bool)
        self._tolerance = np.pi / ANGLES + ROUNDING  # half the distance between neighbours

    def update(self, places: Floats, reward: Floats) -> None:
        """Learn that the robots were paid ``reward`` (n,) at ``places`` (n, 2)."""
        self.found |= reward > 0
        open_rows = np.flatnonzero(self.allowed.sum(axis=1) > 1)
        away = distance(places[open_rows, None], self.goals)
        seen = np.where(reward > 0, 1.0 - reward, np.inf)[open_rows, None]
        agrees = np.where(np.isfinite(seen), np.abs(away - seen), GOAL_RADIUS - away) <= self._tolerance
        left = self.allowed[open_rows] & agrees
        # Goals elsewhere agree with nothing; what was believed before then stays.
        self.allowed[open_rows] = np.where(left.any(axis=1, keepdims=True), left, self.allowed[open_rows])

    def first(self) -> Floats:
        """(n, 2) the allowed goal of the smallest angle."""
        return self.goals[self.allowed.argmax(axis=1)]

    def sample(self, rng: np.random.Generator) -> Floats:
        """(n, 2) one of the allowed goals, on the upper half circle, where the family's goals are, if any is."""
        upper = self.allowed & (np.arange(ANGLES) <= ANGLES // 2)
        pool = np.where(upper.any(axis=1, keepdims=True), upper, self.allowed)
        return self.goals[np.where(pool, rng.random(pool.shape), -1).argmax(axis=1)]

    def contradicts(self, goals: Floats) -> Bools:
        """(n,) whether one of `goals` (n, 2), each a place told apart, is allowed no longer."""
        index = np.round(np.arctan2(goals[:, 1], goals[:, 0]) * ANGLES / (2 * np.pi)).astype(np.intp) % ANGLES
        return ~self.allowed[np.arange(len(goals)), index]


def on_circle(angles: Floats, radius: float = 1.0) -> Floats:
    """Places (..., 2) at the given angles."""
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def towards(places: Floats, goals: Floats) -> Floats:
    """The actions (n, 2) that bring ``places`` as near to ``goals`` as one step can, along each axis."""
    return np.clip((goals - places) / STEP, -1, 1)


class WalkingPolicy(ABC):
    """Walks towards the targets that a subclass chooses. All trials are at the same step."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin."""
        self.steps = 0
        """How many were made in this trial."""

    def act(self, observation: Observations) -> NDArray[Any]:
        """Towards this step's targets."""
        self.places = observation[:, :2].astype(np.float64)
        return towards(self.places, self.targets())

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Count the step."""
        self.steps += 1

    @abstractmethod
    def targets(self) -> Floats:
        """(n, 2) where each robot is to go, or (2,) for all."""


class FixedWalk(WalkingPolicy):
    """The same walk in every episode, blind to every reward.

    Args:
        walk: (EPISODE_STEPS, 2) where to go in each step.
    """

    def __init__(self, walk: Floats) -> None:
        self.walk = walk

    def targets(self) -> Floats:
        """The next place of the walk."""
        return self.walk[self.steps % EPISODE_STEPS]


class BeliefPolicy(WalkingPolicy):
    """Keeps the exact belief about the goal."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin: every goal is possible."""
        super().start(env, rng)
        self.belief = CircleBelief(env.num_envs)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Learn what the places just reached have paid."""
        super().observe(action, reward)
        self.belief.update(self.places + STEP * action, reward)


class ArcSweep(BeliefPolicy):
    """Sweep the circle until a reward is seen; then walk to where the rewards say that the goal is, and stay.

    One reward tells the distance to the goal, so that two places on the circle remain; the next one decides.
    """

    def targets(self) -> Floats:
        """The goal that agrees with the rewards, or the next place of the sweep."""
        plan = sweep_plan(SWEEP_RADIUS)
        episode, step = divmod(self.steps, EPISODE_STEPS)
        return np.where(self.belief.found[:, None], self.belief.first(), plan[episode % len(plan), step])


class PosteriorSampling(BeliefPolicy):
    """Each episode, draw a goal that agrees with all rewards so far and walk there; draw again once it is refuted.

    This is how PEARL explores, here with the exact posterior (Thompson, Biometrika 25, 1933).
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin, each with a goal drawn from all."""
        super().start(env, rng)
        self._rng, self._drawn = rng, self.belief.sample(rng)

    def targets(self) -> Floats:
        """The goals drawn."""
        stale = (self.steps % EPISODE_STEPS == 0) | self.belief.contradicts(self._drawn)
        if stale.any():
            self._drawn = np.where(stale[:, None], self.belief.sample(self._rng), self._drawn)
        return self._drawn


@lru_cache(maxsize=8)
def sweep_plan(radius: float) -> Floats:
    """Walks (episodes, 20, 2) that together come within the goals' radius of the whole unit circle.

    Each walks straight to a circle of ``radius`` and then as fast as it can along it; the next one goes on where
    it has ended.
    """
    # A robot on the inner circle sees goals up to this angle to both sides (law of cosines), less a margin.
    half_view = float(np.arccos((1 + radius**2 - GOAL_RADIUS**2) / (2 * radius))) - ROUNDING
    plan: list[Floats] = []
    angle = half_view
    while angle - half_view < 2 * np.pi:
        walk, end = _sweep(angle, radius)
        plan.append(walk)
        angle = end + 2 * half_view
    return np.stack(plan)


def _sweep(angle: float, radius: float) -> tuple[Floats, float]:
    """One walk (20, 2) to the circle at ``angle`` and on along it, and the angle where it ends."""
    turns = np.linspace(0, 2 * STEP / radius, FINE)
    place, walk = np.zeros(2), []
    for _ in range(EPISODE_STEPS):
        if np.allclose(place, on_circle(np.array(angle), radius)):
            near = np.abs(on_circle(angle + turns, radius) - place).max(axis=1) <= STEP
            angle += float(turns[near].max())
        place = place + np.clip(on_circle(np.array(angle), radius) - place, -STEP, STEP)
        walk.append(place)
    return np.stack(walk), angle


@lru_cache(maxsize=1)
def best_fixed_walk() -> Floats:
    """(20, 2) the places of the best blind walk for training goals, among all walks on a grid.

    Blind, each place has a value of its own, the mean reward there over the goals, and dynamic programming over
    places and steps finds the walk with the highest sum.
    """
    axis = GRID * np.arange(-CELLS, CELLS + 1)
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).astype(np.float64)  # (cells, cells, 2)
    goals = goals_of("train").matrix()
    value = sparse_reward(distance(places[:, :, None], goals)).mean(axis=2)
    ahead = [value]  # the most that can be had from this place on; the last step first
    while len(ahead) < EPISODE_STEPS:
        ahead.append(value + _neighbourhoods(ahead[-1]).max(axis=(2, 3)))
    here, walk = (CELLS, CELLS), []
    for future in reversed(ahead):
        best = np.unravel_index(_neighbourhoods(future)[here].argmax(), (2 * REACH + 1, 2 * REACH + 1))
        here = (here[0] + int(best[0]) - REACH, here[1] + int(best[1]) - REACH)
        walk.append(places[here])
    return np.stack(walk)


def _neighbourhoods(values: Floats) -> Floats:
    """(cells, cells, 11, 11) the values within reach of one step of each place; -inf beyond the grid."""
    padded = np.pad(values, REACH, constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, (2 * REACH + 1, 2 * REACH + 1))


def baselines() -> dict[str, Policy]:
    """The best fixed walk and two policies that adapt."""
    return {
        "best fixed walk": FixedWalk(best_fixed_walk()),
        "posterior sampling": PosteriorSampling(),
        "arc sweep, then stay": ArcSweep(),
    }
