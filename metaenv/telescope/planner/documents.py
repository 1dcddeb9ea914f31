"""A plan as an iCalendar file (RFC 5545)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaenv.telescope.planner.plan import NightPlan

_LINE = 75  # octets, without the end of the line (RFC 5545, 3.1)


def calendar(plan: NightPlan) -> str:
    """One event a visit, in UTC; times of the plan's own night stand for the time stamp, so that it is reproducible."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//metaenv//night plan//EN", "CALSCALE:GREGORIAN"]
    for e in plan.exposures:
        uid = hashlib.sha256(f"{plan.site}|{e.utc}|{e.target}".encode()).hexdigest()[:32]
        about = (
            f"RA {e.ra} Dec {e.dec} (J2000), V {e.magnitude:.2f}\n{e.repeats} x {e.exposure_s:.0f} s, SNR {e.snr:.1f}\n"
            f"altitude {e.alt_deg:.1f} deg, azimuth {e.az_deg:.1f} deg, airmass {e.airmass:.2f}, "
            f"moon {e.moon_deg:.0f} deg"
        )
        lines += [
            "BEGIN:VEVENT", f"UID:{uid}@metaenv", f"DTSTAMP:{_utc(plan.dusk)}", f"DTSTART:{_utc(e.utc)}",
            f"DTEND:{_utc(e.end)}", f"SUMMARY:{_escaped(e.target)}", f"LOCATION:{_escaped(plan.site)}",
            f"DESCRIPTION:{_escaped(about)}", "END:VEVENT",
        ]  # fmt: skip
    return "".join(_folded(line) for line in [*lines, "END:VCALENDAR"])


def _utc(iso: str) -> str:
    return iso.replace("-", "").replace(":", "") + "Z"


def _escaped(text: str) -> str:
    for old, new in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(old, new)
    return text


def _folded(line: str) -> str:
    """A line of at most 75 octets a piece; a character is never cut."""
    pieces, now = [], b""
    for character in line:
        octets = character.encode()
        if len(now) + len(octets) > _LINE - bool(pieces):
            pieces.append(now)
            now = b""
        now += octets
    return "\r\n ".join(p.decode() for p in [*pieces, now]) + "\r\n"
