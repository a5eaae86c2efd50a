"""Panels as one SVG: what Grafana would draw, without Grafana."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from typing import Any, Final

CELL: Final = 44
ROW: Final = 26
LEGEND: Final = 15
COLOURS: Final = ("#3274d9", "#e0752d", "#56a64b", "#b877d9", "#e02f44", "#1fa7a0", "#d0a000", "#7a7a7a")


@dataclass(frozen=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Frame:
    """Where a panel lies, in pixels, and the time that it shows."""

    x: float
    y: float
    w: float
    h: float
    began: float
    ended: float


def picture(panels: Sequence[tuple[dict[str, Any], Sequence[Series]]], began: float, ended: float) -> str:
    height = max(_frame(panel, began, ended).y + _frame(panel, began, ended).h for panel, _ in panels) + 8
    drawn = "\n".join(_panel(panel, series, _frame(panel, began, ended)) for panel, series in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * CELL + 8} {height:.0f}" '
        f'font-family="sans-serif" font-size="10">\n<rect width="100%" height="100%" fill="#f4f5f5"/>\n'
        f"{drawn}\n</svg>\n"
    )


def _frame(panel: dict[str, Any], began: float, ended: float) -> Frame:
    at = panel["gridPos"]
    return Frame(at["x"] * CELL + 8, at["y"] * ROW + 8, at["w"] * CELL - 8, at["h"] * ROW - 8, began, ended)


def _panel(panel: dict[str, Any], series: Sequence[Series], frame: Frame) -> str:
    place = f'x="{frame.x + 6:.0f}" y="{frame.y + 14:.0f}"'
    title = f'<text {place} font-weight="bold">{escape(panel["title"])}</text>'
    if panel["type"] == "row":
        return title
    box = (
        f'<rect x="{frame.x:.0f}" y="{frame.y:.0f}" width="{frame.w:.0f}" height="{frame.h:.0f}" '
        'fill="#fff" stroke="#ddd"/>'
    )
    return "\n".join([box, title, *_graph(series, frame, panel["fieldConfig"]["defaults"]["unit"])])


def _graph(series: Sequence[Series], frame: Frame, unit: str) -> list[str]:
    top = max((value for each in series for _, value in each.points), default=0) or 1
    left, base, width, room = frame.x + 44, frame.y + frame.h - 34, frame.w - 52, frame.h - 62
    marks = [_mark(left, base - room * part, width, shown(top * part, unit)) for part in (0, 0.5, 1)]
    lines, span = [], frame.ended - frame.began
    for index, (each, colour) in enumerate(zip(series, cycle(COLOURS), strict=False)):
        path = " ".join(
            f"{left + width * (at - frame.began) / span:.1f},{base - room * value / top:.1f}"
            for at, value in each.points
        )
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        lines.append(_legend(each.name, colour, index, frame))
    return [*marks, *lines]


def _mark(x: float, y: float, width: float, text: str) -> str:
    return (
        f'<line x1="{x:.0f}" x2="{x + width:.0f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
        f'<text x="{x - 4:.0f}" y="{y + 3:.1f}" text-anchor="end" fill="#666">{escape(text)}</text>'
    )


def _legend(name: str, colour: str, index: int, frame: Frame) -> str:
    """Two lines of three; what is more has its line in the graph alone."""
    if index > 5:
        return ""
    x, y = frame.x + 8 + (index % 3) * (frame.w - 12) / 3, frame.y + frame.h - 20 + (index // 3) * LEGEND
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}">{escape(name[:15])}</text>'


def shown(value: float, unit: str) -> str:
    """`0.25 s`, `1.2 MB`."""
    if unit in {"bytes", "Bps"}:
        for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} B"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s" and 0 < value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g}{' s' if unit == 's' else ''}"
