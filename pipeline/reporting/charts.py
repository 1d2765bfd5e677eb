"""Line charts as inline SVG that takes its colours from the page, so that one drawing serves light and dark."""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 12, 40
MAX_POINTS = 240


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    points: list[tuple[float, float]]  # ascending x


def short_number(value: float) -> str:
    """`value` in at most five characters: 0.25, 12.5, 120k, 1.5M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def round_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Ascending multiples of 1, 2 or 5 times a power of ten, the first at or below `low`, the last at or above `high`."""
    if low == high:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(times for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * n, 12) for n in range(first, last + 1)]


def thinned(points: list[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """`points` as means of at most `limit` runs of neighbours."""
    size = -(-len(points) // limit)
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]


def line_chart(title: str, lines: list[Line], x_label: str) -> Markup:
    """An SVG of `lines` over x from 0, without points that are not finite. Lines differ by dash as well as by colour."""
    drawn = [Line(line.name, [p for p in line.points if all(map(math.isfinite, p))]) for line in lines]
    drawn = [Line(line.name, thinned(line.points)) for line in drawn if line.points]
    if not drawn:
        return Markup("")
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    y_ticks = round_ticks(min(ys), max(ys))
    first, last = min(0, *xs), max(*xs, 1)
    x_ticks = [x for x in round_ticks(first, last) if x <= last]

    def x_at(x: float) -> float:
        return LEFT + (x - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM)

    rows = [
        f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_at(y):.1f}" y2="{y_at(y):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y_at(y) + 4:.1f}" text-anchor="end">{short_number(y)}</text>'
        for y in y_ticks
    ]
    columns = [
        f'<text class="tick" x="{x_at(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short_number(x)}</text>'
        for x in x_ticks
    ]
    paths = [
        f'<polyline class="line line-{n}" points="{" ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line.points)}"/>'
        for n, line in enumerate(drawn)
    ]
    ends = "; ".join(f"{line.name} ends at {short_number(line.points[-1][1])}" for line in drawn)
    body = "".join([*rows, *columns, *paths])
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {ends}.")}">{body}'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text></svg>'
    )
