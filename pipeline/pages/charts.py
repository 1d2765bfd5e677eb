"""Charts as inline SVG: matplotlib draws the shapes, and the page's style sheet colours them, in light and in dark."""

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from pipeline.pages.numbers import plain

if TYPE_CHECKING:  # importing matplotlib takes a second; it is imported when the first chart is drawn
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH_PX, HEIGHT_PX, ROW_PX = 440, 260, 26
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 52, 16, 12, 40
FAN_HEIGHT_PX = 200
MAX_POINTS = 240
RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.autolimit_mode": "round_numbers",
    "axes.xmargin": 0,
    "axes.ymargin": 0,
    "font.size": 12,
    "figure.dpi": 72,  # so that points are the SVG's pixels
}


@dataclass(frozen=True)
class Line:
    """A named line."""

    name: str
    points: list[tuple[float, float]]  # ascending x


@dataclass(frozen=True)
class Measurement:
    """A value measured on `count` images."""

    count: int
    value: float
    plus_minus: float


@dataclass(frozen=True)
class Extrapolation:
    """Measurements at several counts, and the straight line fitted to them against 1/count."""

    name: str
    points: list[Measurement]
    at_infinity: float
    slope: float


@dataclass(frozen=True)
class Fan:
    """What was measured at steps 0, 1, …, and what is forecast for the steps after them, with nested intervals."""

    past: list[float]  # not a number where nothing was measured
    low: list[float]  # of the past's interval
    high: list[float]
    ahead: list[float]
    bands: list[tuple[list[float], list[float]]]  # lower and upper ends, the widest first


def short_number(value: float) -> str:
    """`value` with three significant digits and a unit: 0.25, 12.5, 120k, 1.5M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def thin(points: list[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `limit` points, each the mean of consecutive `points`; the last one is kept as it is."""
    if len(points) <= limit:
        return points
    before, last = points[:-1], points[-1]
    size = -(-len(before) // (limit - 1))
    runs = [before[start : start + size] for start in range(0, len(before), size)]
    return [*((sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs), last]


@contextmanager
def _figure(height_px: int, label: str) -> Iterator["Figure"]:
    """A figure with one pair of axes, without frame, ticks or background; `label` is what screen readers say.

    The label also salts the SVG's ids: they are unique on the page, and the same in every run.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with rc_context({**RC, "svg.hashsalt": label}):
        figure = Figure((WIDTH_PX / 72, height_px / 72), label=label)
        figure.subplots_adjust(LEFT_PX / WIDTH_PX, BOTTOM_PX / height_px, 1 - RIGHT_PX / WIDTH_PX, 1 - TOP_PX / height_px)
        figure.patch.set_visible(False)
        axes = figure.add_subplot(frame_on=False)
        axes.tick_params(length=0, pad=8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        yield figure


def _svg(figure: "Figure", axis: "Axis") -> Markup:
    """`figure` as an SVG with a rule at each tick of `axis`; an artist's `gid` becomes its CSS class."""
    axis.set_ticks(axis.get_ticklocs())  # widens the axis to the outer ticks
    axis.grid(visible=True)
    for line in axis.get_gridlines():
        line.set_gid("rule")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    body = buffer.getvalue().partition("</defs>")[2]  # after metadata, and styles that would apply to the whole page
    body = re.sub(r"<defs>\s*<clipPath.*?</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r' (style="(?!font)|clip-path="|transform=")[^"]*"', "", body)
    body = re.sub(r"font-(size|family): [^;\"]*(; )?", "", body)
    body = re.sub(r'<g id="((rule|line|mark)[ -]?[^_"]*)"', r'<g class="\1"', body)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub(r"\s*(<g/>)?\s*(?=<)", "", body)
    size = f"{WIDTH_PX} {figure.get_figheight() * 72:.0f}"
    return Markup(f'<svg class="chart" viewBox="0 0 {size}" role="img" aria-label="{escape(figure.get_label())}">{body}')


def line_chart(title: str, lines: list[Line], x_label: str) -> Markup:
    """An SVG of `lines` over x from 0, without points that are not finite. Lines differ by dash as well as by colour."""
    finite = [Line(line.name, [point for point in line.points if all(map(math.isfinite, point))]) for line in lines]
    drawn = [Line(line.name, thin(line.points)) for line in finite if line.points]
    if not drawn:
        return Markup("")
    ends = "; ".join(f"{line.name} ends at {short_number(line.points[-1][1])}" for line in drawn)
    with _figure(HEIGHT_PX, f"{title}: {ends}.") as figure:
        axes = figure.axes[0]
        for n, line in enumerate(drawn):
            axes.plot(*zip(*line.points, strict=True), gid=f"line line-{n}", clip_on=False)
        xs = [x for line in drawn for x, _ in line.points]
        axes.set_xlim(min(0, *xs), max(1, *xs))
        axes.set_xlabel(x_label, loc="right")
        return _svg(figure, axes.yaxis)


def fan_chart(title: str, fan: Fan, ticks: list[tuple[int, str]]) -> Markup:
    """An SVG of shares in percent: a line with its interval, a dashed line with its bands; `ticks` name steps of the x axis."""
    with _figure(FAN_HEIGHT_PX, title) as figure:
        axes = figure.axes[0]
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.update_datalim([(0, 0)])
        past = range(len(fan.past))
        ahead = range(len(fan.past), len(fan.past) + len(fan.ahead))
        axes.fill_between(past, fan.low, fan.high, gid="mark-0 band", clip_on=False)
        for low, high in fan.bands:
            axes.fill_between(ahead, low, high, gid="mark-1 band", clip_on=False)
        axes.plot(past, fan.past, gid="line line-0", clip_on=False)
        axes.plot(ahead, fan.ahead, gid="line line-1", clip_on=False)
        axes.set_xlim(0, max(1, len(fan.past) + len(fan.ahead) - 1))
        axes.set_xticks([step for step, _ in ticks], [label for _, label in ticks])
        return _svg(figure, axes.yaxis)


def extrapolation_chart(title: str, lines: list[Extrapolation], x_label: str) -> Markup:
    """An SVG of measurements, with x spaced as 1/count, and of each line to infinitely many images.

    Measured values are dots with their ±; the ends of the lines are rings.
    """
    counts = sorted({point.count for line in lines for point in line.points}, reverse=True)
    last, descriptions = 1 / counts[-1], []
    for line in lines:
        measured = ", ".join(f"{short_number(point.value)} of {point.count:,}" for point in line.points)
        descriptions.append(f"{line.name} {measured}, {short_number(line.at_infinity)} of infinitely many")
    with _figure(HEIGHT_PX, f"{title}: {'; '.join(descriptions)}.") as figure:
        axes = figure.axes[0]
        axes.update_datalim([(0, 0)])  # the axis of values begins at 0 or below
        for n, line in enumerate(lines):
            axes.plot([0, last], [line.at_infinity, line.at_infinity + line.slope * last], gid=f"line line-{n}", clip_on=False)
            for point in line.points:
                ends = point.value - point.plus_minus, point.value + point.plus_minus
                axes.plot([1 / point.count] * 2, ends, gid=f"mark-{n}", clip_on=False)
                axes.plot(1 / point.count, point.value, "o", ms=7, gid=f"mark-{n}", clip_on=False)
            axes.plot(0, line.at_infinity, "o", ms=8, gid=f"mark-{n} open", clip_on=False)
        axes.set_xlim(0, last)
        axes.set_xticks([0, *(1 / count for count in counts)], ["∞", *map(short_number, counts)])
        axes.set_xlabel(x_label, loc="right")
        return _svg(figure, axes.yaxis)


def interval_chart(name: str, rows: list[tuple[str, float, float]]) -> Markup:
    """An SVG with a dot and its ± for each of `rows` (run, value, ±), the first at the top."""
    described = "; ".join(f"{run} {plain(value)} ± {plain(plus_minus, 1)}" for run, value, plus_minus in rows)
    with _figure(ROW_PX * len(rows) + TOP_PX + BOTTOM_PX, f"{name}: {described}.") as figure:
        axes = figure.axes[0]
        for y, (_, value, plus_minus) in enumerate(rows):
            axes.plot([value - plus_minus, value + plus_minus], [y, y], gid="line line-0", clip_on=False)
            axes.plot(value, y, "o", ms=8, gid="mark-0", clip_on=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [run for run, _, _ in rows])
        return _svg(figure, axes.xaxis)
