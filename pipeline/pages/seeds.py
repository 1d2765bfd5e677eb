"""Scores of runs that differ in their seed alone, taken together: mean ± standard deviation over the seeds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.metrics.passport import why_not_comparable
from pipeline.pages.numbers import plain, sorted_names, with_digits_of
from pipeline.pages.page import Table

SEED = "train.seed"
Run = tuple[str, Mapping[str, str], Mapping[str, Mapping[str, Any]]]  # name, flat parameters, metrics.json


def same_but_for_the_seed(params: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether all parameters that both have are equal, but for the seed of the training."""
    return all(params[key] == other[key] for key in params.keys() & other.keys() if key != SEED)


def groups_of_seeds(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of each recipe that was trained with two seeds or more, one run a seed: of several, the first."""
    groups: list[dict[str, Run]] = []
    for run in runs:
        _, params, _ = run
        if SEED not in params:
            continue
        same = (group for group in groups if all(same_but_for_the_seed(params, member) for _, member, _ in group.values()))
        if (group := next(same, None)) is None:
            groups.append(group := {})
        group.setdefault(params[SEED], run)
    return [list(group.values()) for group in groups if len(group) > 1]


def _labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """What tells each group from the others: the parameters in which they differ, or the names of its runs."""
    params = [group[0][1] for group in groups]
    shared = set.intersection(*(set(each) for each in params)) - {SEED}
    differing = [key for key in sorted(shared) if len({each[key] for each in params}) > 1]
    labels = [", ".join(f"{key.partition('.')[2]} {each[key]}" for key in differing) for each in params]
    return [
        f"{label or ', '.join(name for name, _, _ in group)} ({len(group)} seeds)"
        for label, group in zip(labels, groups, strict=True)
    ]


def _mean_and_deviation(name: str, group: Sequence[Run], passport: Mapping[str, Any]) -> str:
    entries = [metrics[name] for _, _, metrics in group if "value" in metrics.get(name, {})]
    values = [entry["value"] for entry in entries if not why_not_comparable(entry["passport"], passport)]
    if len(values) < 2:
        return "–"
    deviation = statistics.stdev(values)
    return f"{with_digits_of(statistics.fmean(values), deviation)} ± {plain(deviation, 1)}"


def over_seeds(runs: Sequence[Run]) -> Table | None:
    """A row a score, a column a recipe; None where no recipe was trained with two seeds.

    A value whose passport is not that of the first run shown is left out, since it cannot be compared.
    """
    groups = groups_of_seeds(runs)
    if not groups:
        return None
    passports: dict[str, Mapping[str, Any]] = {}
    for _, _, metrics in (run for group in groups for run in group):
        for name, entry in metrics.items():
            if "value" in entry:
                passports.setdefault(name, entry["passport"])
    cells = [
        [name, *(_mean_and_deviation(name, group, passports[name]) for group in groups)] for name in sorted_names(passports)
    ]
    return Table("Mean ± standard deviation over seeds", ["score", *_labels(groups)], cells)
