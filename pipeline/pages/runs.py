"""The content of runs.html: the scores of several runs, grouped by passport, and what each run changed and cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.metrics.passport import why_not_comparable
from pipeline.metrics.score_kinds import KINDS, kind_of
from pipeline.pages.charts import interval_chart
from pipeline.pages.numbers import label_and_meaning, plain, sorted_names, with_digits_of
from pipeline.pages.page import LabelledPicture, Pairs, Table
from pipeline.pages.pictures import fit_budget, strip

SHOWN_CHARACTERS = 16  # of a hash
MAX_CHANGES = 40
ROW_PIXELS = 1_500_000  # of a run's images together; larger ones are shrunk to keep the page small
COST_LABELS = {
    "cost_wall_s": "seconds",
    "cost_cpu_s": "CPU seconds",
    "cost_peak_mb": "peak MB",
    "cost_machine_energy_j": "joules",
}
MetricsEntry = Mapping[str, Any]  # of metrics.json


@dataclass(frozen=True)
class Line:
    """One run's value of a score, and how it compares with the newest run's."""

    run: str
    value: str
    plus_minus: str
    verdict: str


@dataclass(frozen=True)
class Group:
    """Comparable values of one score, newest first, and why they cannot be compared with those of the first group."""

    plot: Markup
    lines: list[Line]
    differences: list[str]


@dataclass(frozen=True)
class ComparedScore:
    """One score over all runs."""

    name: str
    label: str
    meaning: str
    groups: list[Group]


@dataclass(frozen=True)
class ShownRun:
    """A run: its short name, where it is stored, and what it changed since the next older one."""

    name: str
    when: str
    stored_in: list[str]
    changes: Pairs
    more_changes: int


@dataclass(frozen=True)
class RunsPage:
    """The content of runs.html."""

    title: str
    version: str
    pictures: list[LabelledPicture]
    runs: list[ShownRun]
    numbers: list[ComparedScore]
    costs: list[Table]
    seeds: Table | None = None  # runs that differ in their seed alone, taken together


def verdict(name: str, value: float, plus_minus: float, other: float, other_plus_minus: float) -> str:
    """How `value` compares with `other`: equal within both ± together, or better or worse if the score has a direction."""
    if abs(value - other) <= plus_minus + other_plus_minus:
        return "no difference beyond ±"
    kind = kind_of(name)
    if kind not in KINDS or kind == "diversity":
        return "higher" if value > other else "lower"
    return "better" if (value > other) == KINDS[kind].higher_is_better else "worse"


def _shorten_hashes(reason: str) -> str:
    return " ".join(f"{word[:SHOWN_CHARACTERS]}…" if len(word) > 2 * SHOWN_CHARACTERS else word for word in reason.split(" "))


def _group(name: str, entries: list[tuple[str, MetricsEntry]], first: MetricsEntry) -> Group:
    """A group of `entries` (run, entry), newest first, with equal passports; `first` is the passport of the first group."""
    newest, lines = entries[0][1], []
    for run, entry in entries:
        older = verdict(name, entry["value"], entry["plus_minus"], newest["value"], newest["plus_minus"])
        value, plus_minus = with_digits_of(entry["value"], entry["plus_minus"]), plain(entry["plus_minus"], 1)
        lines.append(Line(run, value, plus_minus, "" if entry is newest else older))
    plot = interval_chart(name, [(run, entry["value"], entry["plus_minus"]) for run, entry in entries])
    return Group(plot, lines, [_shorten_hashes(reason) for reason in why_not_comparable(newest["passport"], first)])


def compare(runs: list[tuple[str, Mapping[str, MetricsEntry]]]) -> list[ComparedScore]:
    """Every score of `runs` (name, metrics.json), newest first, grouped by passport, in the report's order."""
    groups_of: dict[str, list[list[tuple[str, MetricsEntry]]]] = {}
    for run, metrics in runs:
        for name, entry in metrics.items():
            if "value" not in entry:
                continue
            groups = groups_of.setdefault(name, [])
            comparable = (group for group in groups if not why_not_comparable(group[0][1]["passport"], entry["passport"]))
            if group := next(comparable, None):
                group.append((run, entry))
            else:
                groups.append([(run, entry)])
    return [
        ComparedScore(
            name,
            *label_and_meaning(kind_of(name)),
            [_group(name, group, groups_of[name][0][0][1]["passport"]) for group in groups_of[name]],
        )
        for name in sorted_names(groups_of)
    ]


def changes(params: Mapping[str, str], older: Mapping[str, str]) -> Pairs:
    """(key, "before → now") for each difference, among the keys that both have."""
    return [(key, f"{older[key]} → {params[key]}") for key in sorted(params.keys() & older.keys()) if params[key] != older[key]]


def shown_changes(params: Mapping[str, str], older: Mapping[str, str] | None) -> tuple[Pairs, int]:
    """The first MAX_CHANGES changes, and the number of further ones."""
    found = [] if older is None else changes(params, older)
    return found[:MAX_CHANGES], max(0, len(found) - MAX_CHANGES)


def cost_table(run: str, costs: Mapping[str, Mapping[str, float]], stages: tuple[str, ...]) -> Table:
    """The costs of each stage that ran, and their sum (of the peaks, the maximum)."""
    columns = [cost for cost in COST_LABELS if any(cost in costs.get(stage, {}) for stage in stages)]
    cells = [
        [stage, *(f"{costs[stage][cost]:,.0f}" if cost in costs[stage] else "–" for cost in columns)]
        for stage in stages
        if costs.get(stage)
    ]
    totals = []
    for cost in columns:
        values = [costs[stage][cost] for stage in stages if cost in costs.get(stage, {})]
        totals.append(max(values) if cost == "cost_peak_mb" else sum(values))
    header = ["stage", *(COST_LABELS[cost] for cost in columns)]
    return Table(f"What {run} cost", header, [*cells, ["all", *(f"{value:,.0f}" for value in totals)]])


def row_of_categories(name: str, cells: NDArray[np.uint8], per_category: int) -> LabelledPicture:
    """The first images of each category, from `cells` (rows, columns, H, W, C), in one row, shrunk to ROW_PIXELS."""
    shown = cells[:, :per_category].reshape(-1, *cells.shape[2:])
    alt = f"{name}: {len(shown)} generated images, {per_category} per category"
    return LabelledPicture(name, strip(fit_budget(shown, ROW_PIXELS), len(shown), alt))
