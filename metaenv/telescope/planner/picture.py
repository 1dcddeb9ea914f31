"""A plan as a picture: the altitudes of its targets over the night, with their visits, the moon and the twilight."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metaenv.canvas import GREY, INK, ORANGE, SKY_BLUE, VERMILION, Chart, Pixels, shortened
from metaenv.telescope.planner.constraints import SUN_DEG
from metaenv.telescope.sim.ephemeris import (
    Vector,
    airmass,
    apparent,
    horizontal,
    illuminated_fraction,
    moon,
    moon_phase_angle,
    moon_topocentric,
    sidereal_time,
    sun,
)
from metaenv.telescope.sim.julian_dates import iso, julian_date
from metaenv.typing import Floats

if TYPE_CHECKING:
    from metaenv.telescope.planner.plan import NightPlan

COLOURS = (SKY_BLUE, ORANGE, "#2FCB9A", "#F0E442", VERMILION, "#E58FC0", "#FFFFFF")  # told apart on a dark ground
SHADES = {-0.8: "#8FA6C4", SUN_DEG["civil"]: "#5F7799", SUN_DEG["nautical"]: "#3B4F72",
          SUN_DEG["astronomical"]: "#22314F", -90.0: "#0E1830"}  # fmt: skip
"""Colour of the sky while the sun stands higher than so many degrees; the first is the day."""
MOON, LIMIT = "#F7F3DC", "#FF8FA3"
PLOT = (58, 66, 640, 460)  # left, top, width, least height, in pixels
ROW, ENTRY, ENTRIES = 15, 346, 60  # pixels a line of the legend, its width, and lines in a column of it
LONGEST_TWILIGHT_H = 1.6  # that is drawn on either side of the night
SHOWN_AIRMASS = (1.0, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0)
CROWD = 12  # exposures above which the courses of targets are drawn fainter


def night_picture(plan: NightPlan) -> NDArray[np.uint8]:
    """(height, width, 3): see `metaenv.telescope.planner.plan.NightPlan.picture`."""
    n = len(plan)
    columns = max(1, -(-n // ENTRIES))
    lines = min(n, ENTRIES)
    left, top, width, height = PLOT
    height = max(height, ROW * lines + 22)
    canvas = Pixels(left + width + 44 + ENTRY * columns, top + height + 66)
    place = np.radians(plan.latitude_deg), np.radians(plan.longitude_deg)
    dusk, dawn = (float(julian_date(t)) for t in (plan.dusk, plan.dawn))
    shown = np.arange(dusk - LONGEST_TWILIGHT_H / 24, dawn + LONGEST_TWILIGHT_H / 24, 2 / 1440)
    sun_deg = _altitude(sun(shown), shown, place)
    night = (shown >= dusk) & (shown <= dawn) | (sun_deg < -0.8)
    jd, sun_deg = shown[night], sun_deg[night]
    chart = Chart(canvas, (left, top, width, height), (float(jd[0]), float(jd[-1])), (0.0, 90.0))
    _draw_sky(chart, jd, sun_deg)
    _draw_axes(chart, jd)
    for degrees in {_lowest(plan), plan.constraints.max_altitude_deg} - {90.0}:
        _draw_course(chart, np.array(chart.x), np.array([degrees, degrees]), LIMIT, dashed=True)
    lst = sidereal_time(jd, np.array(place[1]))
    moon_deg = _altitude(moon_topocentric(moon(jd), lst, np.array(place[0])), jd, place)
    lit = float(illuminated_fraction(moon_phase_angle(sun(jd), moon(jd))).mean())
    _draw_course(chart, jd, moon_deg, MOON, dashed=True)
    _draw_visits(chart, plan, jd, place)
    canvas.words(left, 22, f"{_plain(plan.site)}, night of {plan.date}", 17)
    told = f"{n} exposure{'s' * (n != 1)} by {plan.policy}, worth {plan.worth:.2f}; {plan.instrument.split(':')[0]}"
    canvas.words(left, 42, _plain(told), 13, GREY)
    up = f"moon, {lit:.0%} lit" + ("" if (moon_deg > 0).any() else ", down")
    for x, colour, text in (
        (left, MOON, up),
        (left + 210, LIMIT, "limits"),
        (left + 300, SHADES[-6.0], "civil"),
        (left + 370, SHADES[-12.0], "nautical"),
        (left + 465, SHADES[-18.0], "astronomical twilight"),
    ):
        canvas.box(x, top + height + 47, 14, 10, colour, GREY if colour == MOON else "")
        canvas.words(x + 20, top + height + 57, text, 12, GREY)
    _draw_legend(canvas, plan, left + width + 44, top)
    return canvas.array()


def _altitude(direction: Vector, jd: Floats, place: tuple[float, float]) -> Floats:
    """Degrees, of a direction on the equator of date."""
    lst = sidereal_time(jd, np.array(place[1]))
    return np.degrees(np.arcsin(np.clip(horizontal(direction, lst, np.array(place[0])).z, -1, 1)))


def _draw_sky(chart: Chart, jd: Floats, sun_deg: Floats) -> None:
    left, top, width, height = chart.place
    marks = np.array(sorted(SHADES))
    shade = np.searchsorted(marks, sun_deg, side="left").clip(1, len(marks)) - 1
    ends = [0, *(np.flatnonzero(np.diff(shade)) + 1).tolist(), len(jd) - 1]
    for i, j in pairwise(ends):
        a, b = (chart.at(float(jd[k]), 0.0)[0] for k in (i, j))
        chart.canvas.box(round(a), top, round(b) - round(a), height, SHADES[float(marks[shade[i]])])
    chart.canvas.words(left, top - 8, "altitude / deg", 12, GREY)
    chart.canvas.words(left + width, top - 8, "airmass", 12, GREY, "right")


def _draw_axes(chart: Chart, jd: Floats) -> None:
    left, top, width, height = chart.place
    canvas = chart.canvas
    for degrees in range(0, 91, 10):
        y = chart.at(0.0, degrees)[1]
        canvas.trail([(left, y), (left + width, y)], "#33445F")
        canvas.words(left - 8, y + 5, str(degrees), 12, GREY, "right")
    degrees = np.arange(5.0, 90.05, 0.05)
    mass = airmass(np.sin(np.radians(degrees)))
    for x in SHOWN_AIRMASS:
        y = chart.at(0.0, float(degrees[np.argmin(np.abs(mass - x))]))[1]
        canvas.box(left + width, y, 5, 1, GREY)
        canvas.words(left + width + 9, y + 5, f"{x:.1f}", 12, GREY)
    for hour in range(int(np.ceil(jd[0] * 24 - 12)), int(np.floor(jd[-1] * 24 - 12)) + 1):  # whole hours of UTC
        when = (hour + 12) / 24
        x = chart.at(when, 0.0)[0]
        canvas.trail([(x, top), (x, top + height)], "#33445F")
        canvas.words(x, top + height + 17, iso(when + 1e-6)[11:13], 12, GREY, "middle")
    canvas.words(left + width / 2, top + height + 35, "UTC / h", 12, GREY, "middle")


def _lowest(plan: NightPlan) -> float:
    """Altitude in degrees that the constraints ask for."""
    degrees = np.arange(1.0, 90.0, 0.01)
    least = degrees[np.argmax(airmass(np.sin(np.radians(degrees))) <= plan.constraints.max_airmass)]
    return max(plan.constraints.min_altitude_deg, float(least))


def _draw_course(
    chart: Chart, jd: Floats, degrees: Floats, colour: str, lowest: float = 0.0, dashed: bool = False
) -> None:
    """Draw a line where it is above an altitude."""
    x = np.linspace(jd[0], jd[-1], 160) if dashed else jd
    y = np.interp(x, jd, degrees)
    for i in range(0, len(x) - 1, 2 if dashed else 1):
        if y[i] >= lowest and y[i + 1] >= lowest:
            chart.canvas.trail([chart.at(float(x[k]), float(y[k])) for k in (i, i + 1)], colour, 2 if dashed else 1)


def _draw_visits(chart: Chart, plan: NightPlan, jd: Floats, place: tuple[float, float]) -> None:
    """Draw the targets' courses, over them the visits, and over these their numbers."""
    middle, few = np.array(0.5 * (jd[0] + jd[-1])), np.append(jd[:-1:4], jd[-1])
    strength, lowest = (0.55, 0.0) if len(plan) <= CROWD else (0.25, _lowest(plan))
    visits = []
    for i, e in enumerate(plan):
        direction = apparent(15.0 * _radians(e.ra), _radians(e.dec), middle)
        _draw_course(chart, few, _altitude(direction, few, place), _faint(_colour(i), strength), lowest)
        when = np.linspace(float(julian_date(e.utc)), float(julian_date(e.end)), 8)
        altitude = _altitude(direction, when, place)
        visits.append([chart.at(*point) for point in zip(when.tolist(), altitude.tolist(), strict=True)])
    for i, points in enumerate(visits):
        chart.canvas.line(points, _colour(i), 5.0)
    for i, points in enumerate(visits):
        y = min(y for _, y in points) - 5 if i % 2 else max(y for _, y in points) + 14
        chart.canvas.words((points[0][0] + points[-1][0]) / 2, y, str(i + 1), 11, "#FFFFFF", "middle")


def _draw_legend(canvas: Pixels, plan: NightPlan, left: int, top: int) -> None:
    for i, e in enumerate(plan):
        x, y = left + ENTRY * (i // ENTRIES), top + ROW * (i % ENTRIES) + 20
        if i % ENTRIES == 0:
            for offset, text in ((172, "UTC"), (226, "airmass"), (266, "SNR"), (334, "moon/deg")):
                canvas.words(x + offset, top, text, 12, GREY, "right")
        canvas.box(x + 24, y - 8, 12, 8, _colour(i), GREY if _colour(i) == "#FFFFFF" else "")
        cells = (
            (20, str(i + 1)),
            (172, e.utc[11:16]),
            (226, f"{e.airmass:.2f}"),
            (266, f"{e.snr:.0f}"),
            (334, f"{e.moon_deg:.0f}"),
        )
        canvas.words(x + 42, y, shortened(_plain(e.target), 96, 12), 12)
        for offset, text in cells:
            canvas.words(x + offset, y, text, 12, INK, "right")


def _radians(sexagesimal: str) -> Floats:
    whole, minutes, seconds = (float(part) for part in sexagesimal.lstrip("+-").split(":"))
    size = np.radians(whole + minutes / 60 + seconds / 3600)
    return np.array(-size if sexagesimal.startswith("-") else size)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _faint(colour: str, share: float) -> str:
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(SHADES[-90.0][1:]), strict=True)
    return "#" + "".join(f"{round(b + share * (c - b)):02X}" for c, b in pairs)


def _plain(text: str) -> str:
    """In the letters that the font has."""
    letters = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if c.isascii() or c in "°±·…" else "?" for c in letters)
