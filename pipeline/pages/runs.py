"""Runs side by side: numbers only beside numbers that were measured the same way, and what each run changed and cost. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.metrics.passport import why_not_comparable
from pipeline.metrics.scores import HIGHER_IS_BETTER
from pipeline.pages.charts import interval_chart
from pipeline.pages.numbers import MEANINGS, in_digits, kind_of, plain
from pipeline.pages.page import Named, Pairs, Table
from pipeline.pages.pictures import opaque, strip

SHOWN_CHARACTERS = 16  # of a hash
MAX_CHANGES = 40
COST_WORDS = {
    "cost_wall_s": "seconds",
    "cost_cpu_s": "CPU seconds",
    "cost_peak_mb": "peak MB",
    "cost_machine_energy_j": "joules",
}


@dataclass(frozen=True)
class Line:
    """One run's value of a number, and what it means beside the newest run's."""

    run: str
    value: str
    plus_minus: str
    verdict: str


@dataclass(frozen=True)
class Group:
    """Values of one number that may be compared, newest first; `apart` says why they stand apart from the first group's."""

    plot: Markup
    lines: list[Line]
    apart: list[str]


@dataclass(frozen=True)
class Compared:
    """A number over all runs."""

    name: str
    label: str
    meaning: str
    groups: list[Group]


@dataclass(frozen=True)
class ShownRun:
    """A run: its short name, where it is kept, and what it changed beside the next older one."""

    name: str
    when: str
    kept: list[str]
    changes: Pairs
    more_changes: int


@dataclass(frozen=True)
class RunsPage:
    """All that runs.html shows."""

    title: str
    version: str
    pictures: list[Named]
    runs: list[ShownRun]
    numbers: list[Compared]
    costs: list[Table]


def verdict(name: str, value: float, plus_minus: float, other: float, other_plus_minus: float) -> str:
    """What `value` is beside `other`: equal within both ± together, or better or worse where that can be said of `name`."""
    if abs(value - other) <= plus_minus + other_plus_minus:
        return "no difference beyond ±"
    kind = kind_of(name)
    higher = HIGHER_IS_BETTER.get("fd" if kind == "fid" else kind)
    if higher is None or kind == "diversity":
        return "higher" if value > other else "lower"
    return "better" if (value > other) == higher else "worse"


def _shortened(reason: str) -> str:
    return " ".join(f"{word[:SHOWN_CHARACTERS]}…" if len(word) > 2 * SHOWN_CHARACTERS else word for word in reason.split(" "))


def group_of(name: str, entries: list[tuple[str, Mapping[str, Any]]], first: Mapping[str, Any]) -> Group:
    """A group of `entries` (run, entry of metrics.json), newest first, of one passport; `first` is the first group's."""
    newest = entries[0][1]
    lines = []
    for place, (run, entry) in enumerate(entries):
        told = verdict(name, newest["value"], newest["plus_minus"], entry["value"], entry["plus_minus"]) if place else ""
        # Said of the older run: where the newest is better, that one was worse.
        turned = {"better": "worse", "worse": "better", "higher": "lower", "lower": "higher"}.get(told, told)
        lines.append(Line(run, in_digits(entry["value"], entry["plus_minus"]), plain(entry["plus_minus"], 1), turned))
    plot = interval_chart(name, [(run, entry["value"], entry["plus_minus"]) for run, entry in entries])
    return Group(plot, lines, [_shortened(reason) for reason in why_not_comparable(newest["passport"], first)])


def compared(runs: list[tuple[str, Mapping[str, Any]]]) -> list[Compared]:
    """Every number of `runs` (name, metrics.json), newest first, grouped by passport, in the report's order."""
    found: dict[str, list[list[tuple[str, Mapping[str, Any]]]]] = {}
    for run, metrics in runs:
        for name, entry in metrics.items():
            if "value" not in entry:
                continue
            groups = found.setdefault(name, [])
            fitting = (group for group in groups if not why_not_comparable(group[0][1]["passport"], entry["passport"]))
            group = next(fitting, None)
            if group is None:
                groups.append([(run, entry)])
            else:
                group.append((run, entry))
    order = list(MEANINGS)
    names = sorted(found, key=lambda name: (order.index(kind) if (kind := kind_of(name)) in order else len(order), name))
    return [
        Compared(
            name,
            *MEANINGS.get(kind_of(name), (name, "")),
            [group_of(name, group, found[name][0][0][1]["passport"]) for group in found[name]],
        )
        for name in names
    ]


def changes(params: Mapping[str, str], older: Mapping[str, str]) -> Pairs:
    """(key, "before → now") of what differs; keys that one of them lacks are left out, for they say nothing of a change."""
    return [(key, f"{older[key]} → {params[key]}") for key in sorted(params.keys() & older.keys()) if params[key] != older[key]]


def cost_table(run: str, costs: Mapping[str, Mapping[str, float]], stages: tuple[str, ...]) -> Table:
    """What each stage of a run cost, and all together; a stage that was up to date cost nothing and is left out."""
    columns = [cost for cost in COST_WORDS if any(cost in costs.get(stage, {}) for stage in stages)]
    cells = [
        [stage, *(f"{costs[stage][cost]:,.0f}" if cost in costs[stage] else "–" for cost in columns)]
        for stage in stages
        if costs.get(stage)
    ]
    sums = [
        max(values) if cost == "cost_peak_mb" else sum(values)
        for cost in columns
        for values in [[costs[stage][cost] for stage in stages if cost in costs.get(stage, {})]]
    ]
    words = ["stage", *(COST_WORDS[cost] for cost in columns)]
    return Table(f"What {run} cost", words, [*cells, ["all", *(f"{value:,.0f}" for value in sums)]])


def row_of_categories(name: str, cells: NDArray[np.uint8], per_category: int) -> Named:
    """The first pictures of each category, (rows, columns, H, W, C), in one row."""
    shown = cells[:, :per_category].reshape(-1, *cells.shape[2:])
    return Named(name, strip(opaque(shown), len(shown), f"{name}: {len(shown)} generated pictures, {per_category} a category"))


def shown_changes(params: Mapping[str, str], older: Mapping[str, str] | None) -> tuple[Pairs, int]:
    """The first changes, and how many more there are."""
    found = [] if older is None else changes(params, older)
    return found[:MAX_CHANGES], max(0, len(found) - MAX_CHANGES)
