"""Line charts as inline SVG that takes its colours from the page, so that one drawing serves light and dark."""

import math
from collections.abc import Mapping
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


@dataclass(frozen=True)
class Measured:
    """A value of so many pictures."""

    count: int
    value: float
    plus_minus: float


@dataclass(frozen=True)
class Extrapolated:
    """Values by count, and the line through them against 1 over the count."""

    name: str
    points: list[Measured]
    at_infinity: float
    slope: float

    @property
    def tops(self) -> list[float]:
        """Upper ends of what is drawn."""
        return [self.at_infinity, *(point.value + point.plus_minus for point in self.points)]


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


@dataclass(frozen=True)
class Axes:
    """Where numbers lie in a drawing; `low` and `high` are the ends of y."""

    first: float
    last: float
    low: float
    high: float

    def x_at(self, x: float) -> float:
        return LEFT + (x - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y_at(self, y: float) -> float:
        return HEIGHT - BOTTOM - (y - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def path(self, points: list[tuple[float, float]]) -> str:
        """`points` as SVG writes them."""
        return " ".join(f"{self.x_at(x):.1f},{self.y_at(y):.1f}" for x, y in points)


def _drawing(
    label: str, axes: Axes, x_ticks: Mapping[float, str], y_ticks: list[float], marks: list[str], x_label: str
) -> Markup:
    """An SVG of `marks` over a grid; `label` is what is read aloud."""
    rows = [
        f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{axes.y_at(y):.1f}" y2="{axes.y_at(y):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{axes.y_at(y) + 4:.1f}" text-anchor="end">{short_number(y)}</text>'
        for y in y_ticks
    ]
    columns = [
        f'<text class="tick" x="{axes.x_at(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{name}</text>'
        for x, name in x_ticks.items()
    ]
    body = "".join([*rows, *columns, *marks])
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{body}'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text></svg>'
    )


def line_chart(title: str, lines: list[Line], x_label: str) -> Markup:
    """An SVG of `lines` over x from 0, without points that are not finite. Lines differ by dash as well as by colour."""
    drawn = [Line(line.name, [p for p in line.points if all(map(math.isfinite, p))]) for line in lines]
    drawn = [Line(line.name, thinned(line.points)) for line in drawn if line.points]
    if not drawn:
        return Markup("")
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    y_ticks = round_ticks(min(ys), max(ys))
    axes = Axes(min(0, *xs), max(*xs, 1), y_ticks[0], y_ticks[-1])
    x_ticks = {x: short_number(x) for x in round_ticks(axes.first, axes.last) if x <= axes.last}
    paths = [f'<polyline class="line line-{n}" points="{axes.path(line.points)}"/>' for n, line in enumerate(drawn)]
    ends = "; ".join(f"{line.name} ends at {short_number(line.points[-1][1])}" for line in drawn)
    return _drawing(f"{title}: {ends}.", axes, x_ticks, y_ticks, paths, x_label)


def extrapolation_chart(title: str, lines: list[Extrapolated], x_label: str) -> Markup:
    """An SVG of values by how many pictures they are of, spaced as 1 over the count, and of each line's way to infinitely many.

    Measured values are dots with their ±, the ends of the lines rings.
    """
    y_ticks = round_ticks(min(0, *(line.at_infinity for line in lines)), max(top for line in lines for top in line.tops))
    counts = sorted({point.count for line in lines for point in line.points}, reverse=True)
    axes = Axes(0, 1 / counts[-1], y_ticks[0], y_ticks[-1])
    marks, told = [], []
    for n, line in enumerate(lines):
        ends = [(0.0, line.at_infinity), (axes.last, line.at_infinity + line.slope * axes.last)]
        marks.append(f'<polyline class="line line-{n}" points="{axes.path(ends)}"/>')
        for point in line.points:
            x, y = axes.x_at(1 / point.count), axes.y_at(point.value)
            bar = [axes.y_at(point.value + side * point.plus_minus) for side in (-1, 1)]
            marks.append(f'<line class="mark-{n}" x1="{x:.1f}" x2="{x:.1f}" y1="{bar[0]:.1f}" y2="{bar[1]:.1f}"/>')
            marks.append(f'<circle class="mark-{n}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
        marks.append(f'<circle class="mark-{n} open" cx="{axes.x_at(0):.1f}" cy="{axes.y_at(line.at_infinity):.1f}" r="4"/>')
        measured = ", ".join(f"{short_number(point.value)} of {point.count:,}" for point in line.points)
        told.append(f"{line.name} {measured}, {short_number(line.at_infinity)} of infinitely many")
    x_ticks = {0.0: "∞", **{1 / count: short_number(count) for count in counts}}
    return _drawing(f"{title}: {'; '.join(told)}.", axes, x_ticks, y_ticks, marks, x_label)
