"""Compare this run with earlier ones, from DVC and MLflow, on one page."""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.errors import InputError
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels
from pipeline.pages import runs
from pipeline.pages.page import LabelledPicture, render_html
from pipeline.pages.pictures import split_sheet
from pipeline.pages.seeds import over_seeds
from pipeline.params import STAGES, Params, load_params, with_defaults
from pipeline.storage.files import output_file, refuse_output
from pipeline.tracking import past_runs as recorded
from pipeline.tracking.flat_params import flat, names_of_dicts
from pipeline.tracking.mlflow_store import reason_of
from pipeline.tracking.past_runs import PastRun

log = logging.getLogger(__name__)

FREE_FORM = names_of_dicts(Params)

TEMPLATE = Path(__file__).parent / "templates" / "runs.html.j2"

DEFAULT_PAGE, DEFAULT_LIMIT, MAX_LIMIT = Path("reports/runs.html"), 12, 1000
PER_CATEGORY = 2
COST_TABLES = 6


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline compare`."""
    command.add_argument("--page", type=Path, default=DEFAULT_PAGE, help=f"file to write (default: {DEFAULT_PAGE})")
    command.add_argument(
        "--limit",
        type=int,
        default=DEFAULT_LIMIT,
        help=f"number of commits, of experiments and of MLflow runs to read, 1 to {MAX_LIMIT} (default: {DEFAULT_LIMIT})",
    )


def flat_params(content: Any) -> dict[str, str]:
    """All parameters of a params.yaml, defaults included, as text by dotted name."""
    return {
        name: str(value) for name, value in flat(with_defaults(content if isinstance(content, dict) else {}), FREE_FORM).items()
    }


def found_runs(limit: int) -> list[PastRun]:
    """The current run, then earlier ones, newest first, each result once."""
    earlier = recorded.of_revisions(limit, flat_params) + recorded.of_experiments(limit, flat_params)
    try:
        earlier += recorded.of_mlflow(limit)
    except Exception as error:  # MLflow, its database or the network may raise anything; DVC's runs remain
        log.warning("MLflow's runs are left out: %s", reason_of(error))
    found = recorded.here(flat_params) + sorted(earlier, key=lambda run: run.when, reverse=True)
    damaged = [run for run in found if not _are_metrics(run.metrics)]
    for run in damaged:
        log.warning("%s: left out, because its metrics.json was not written by evaluate", ", ".join(run.names))
    return recorded.merged([run for run in found if run not in damaged])


def _are_metrics(metrics: object) -> bool:
    """Whether `metrics` has the form of metrics.json: entries by name; an entry with a value also has its ± and passport."""
    return isinstance(metrics, dict) and all(
        isinstance(entry, dict)
        and (
            "value" not in entry
            or (_is_number(entry["value"]) and _is_number(entry.get("plus_minus")) and isinstance(entry.get("passport"), dict))
        )
        for entry in metrics.values()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def picture_of(name: str, run: PastRun) -> LabelledPicture | None:
    """The run's first samples in a row; None if it has no sample sheet or does not record their size."""
    try:
        height, width = int(run.params["augment.height"]), int(run.params["augment.width"])
        [sheet] = sandboxed_pixels([run.grid or b""], alpha=True)  # untrusted: MLflow's server, or a commit, may hold anything
        if isinstance(sheet, SandboxFailure):
            raise ValueError(sheet.reason)
        return runs.row_of_categories(name, split_sheet(sheet, height, width), PER_CATEGORY)
    except (KeyError, ValueError) as error:
        log.warning("%s: no pictures (%s)", name, error if isinstance(error, ValueError) else f"parameter {error} is missing")
        return None


def run(options: argparse.Namespace) -> None:
    """Write the page. Raises InputError if there is no run to show, or the page cannot be written."""
    if not 1 <= options.limit <= MAX_LIMIT:
        raise InputError(f"--limit {options.limit}: must be 1 to {MAX_LIMIT}")
    refuse_output(options.page)
    found = found_runs(options.limit)
    if not found:
        raise InputError("no run to show: no reports/metrics.json here, in DVC or in MLflow; run `snakemake` first")
    names = [f"Run {len(found) - place}" for place in range(len(found))]
    rows = []
    for place, (name, past) in enumerate(zip(names, found, strict=True)):
        older = found[place + 1].params if place + 1 < len(found) else None
        rows.append(runs.ShownRun(name, past.when, past.names, *runs.shown_changes(past.params, older)))
    pictures = [picture_of(name, past) for name, past in zip(names, found, strict=True)]
    costs = [runs.cost_table(name, past.costs, STAGES) for name, past in zip(names, found, strict=True) if past.costs]
    page = runs.RunsPage(
        title=load_params(Path("params.yaml")).report.title,
        version=__version__,
        pictures=[picture for picture in pictures if picture],
        runs=rows,
        numbers=runs.compare([(name, past.metrics) for name, past in zip(names, found, strict=True)]),
        costs=costs[:COST_TABLES],
        seeds=over_seeds([(name, past.params, past.metrics) for name, past in zip(names, found, strict=True)]),
    )
    with output_file(options.page) as partial:
        partial.write_text(render_html(page, TEMPLATE), encoding="utf-8")
    sys.stdout.write(f"{options.page}: {len(found)} runs\n")
