"""One stage as a command: its paths are options, its parameters are its section of params.yaml.

The options are the keyword-only parameters of the stage's `run`: `Path` takes one path, `list[Path]` one or more, or `@FILE`,
which holds one on each line, and `bool` is a switch, which an environment variable sets as well, because Snakemake writes the
command.
"""

import argparse
import importlib
import inspect
import json
import logging
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.commands.params import settings_of
from pipeline.errors import InputError, StoppedError, unusable_file
from pipeline.params import load_params, parse_params, parse_section
from pipeline.section import Section, Setting
from pipeline.stages.train.params import TrainParams
from pipeline.storage import running
from pipeline.tracking.flat_params import flat, names_of_dicts
from pipeline.tracking.progress import TerminalHandler
from pipeline.tracking.tracker import Tracker, spool_of_job

PARAMS_FILE = Path("params.yaml")
SWITCHES = {
    "resume_anyway": "resume a stopped training although its parameters, data, code or torch changed; the card records it",
}


def _stage_function(stage: str) -> Callable[..., None]:
    function: Callable[..., None] = importlib.import_module(f"pipeline.stages.{stage}.run").run
    return function


def _options(function: Callable[..., None]) -> dict[str, Any]:
    """The names and types of the function's keyword-only parameters, which are options of the command."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    return {each.name: hints[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY and each.name != "track"}


class _Paths(argparse.Action):
    """One or more paths; `@FILE` stands for those that FILE lists, for a command line holds only some thousands of them."""

    def __call__(self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, _name: Any = None) -> None:
        paths: list[Path] = []
        for value in values:
            if not value.startswith("@"):
                paths.append(Path(value))
                continue
            try:
                paths += map(Path, Path(value[1:]).read_text(encoding="utf-8").splitlines())
            except (OSError, ValueError) as error:
                parser.error(f"argument {self.option_strings[0]}: {value[1:]}: not a readable list of paths ({error})")
        setattr(options, self.dest, paths)


def _settings(content: str | None) -> list[Setting]:
    """The keys of params.yaml that a report lists: all but those of export, which comes after it. Raises ParamsError."""
    params = load_params(PARAMS_FILE) if content is None else parse_params(json.loads(content) | {"export": {}})
    return [setting for setting in settings_of(params) if not setting.key.startswith("export.")]


def configure(command: argparse.ArgumentParser, stage: str, *, without_paths: bool) -> None:
    """Add the options of `stage`; with `without_paths` its paths may be left out."""
    command.add_argument("--params", help="the stage's section as JSON (default: its section of ./params.yaml)")
    command.add_argument("--log", type=Path, help="file to log to, besides the terminal")
    for name, kind in _options(_stage_function(stage)).items():
        option = f"--{name.replace('_', '-')}"
        if kind is bool:
            variable = f"ATELIER_{name.upper()}"
            text = f"{SWITCHES[name]} (also {variable}=1)"
            command.add_argument(option, action="store_true", default=os.environ.get(variable) == "1", help=text)
        elif kind == list[Setting]:
            command.add_argument(option, help="all sections but export as JSON, which the page lists (default: ./params.yaml)")
        else:
            many = {"nargs": "+", "action": _Paths} if kind == list[Path] else {"type": Path}
            command.add_argument(option, **many, required=not without_paths)
    if stage == "train":
        command.add_argument("--dry-run", action="store_true", help="print what the training would take, and do not train")
    if stage == "trends":
        command.add_argument("--series", type=Path, help="forecast this CSV file alone: dates first, then a column a series")
        command.add_argument("--external", type=Path, help="CSV file of external signals for --series, dates first")
        command.add_argument("--horizon", type=int, default=52, help="steps to forecast --series (default: 52)")
        command.add_argument("--out", type=Path, help="CSV file for the forecasts of --series")


class _LogFile(logging.FileHandler):
    """A log file whose write errors, such as a full disk, are ignored; the terminal still shows every line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass


def _is_first_process() -> bool:
    """Whether this process is the only one of its command, or the first that torchrun started: the one that writes files."""
    return os.environ.get("RANK", "0") == "0"


def _started_by_torchrun() -> bool:
    return "WORLD_SIZE" in os.environ


def _configure_logging(path: Path | None) -> None:
    handlers: list[logging.Handler] = [TerminalHandler()]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(path, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True
    )
    # Only ours: at this level libraries log every node of a network.
    logging.getLogger("pipeline").setLevel(logging.INFO if _is_first_process() else logging.WARNING)


def run(options: argparse.Namespace) -> int:
    """Exit status of the stage `options.command`: 0, or that of torchrun where the training uses several processes.

    Raises what the stage raises.
    """
    if getattr(options, "dry_run", False):
        _print_dry_run(options)
        return 0
    if getattr(options, "series", None) is not None:
        _forecast_file(options)
        return 0
    stage: str = options.command
    _configure_logging(options.log if _is_first_process() else None)
    params = parse_section(stage, options.params) if options.params else getattr(load_params(PARAMS_FILE), stage)
    spool = spool_of_job(options.log) if _is_first_process() else None
    if not _started_by_torchrun():
        if spool is not None:
            running.register(spool.stem, spool.parent.name)
        if isinstance(params, TrainParams) and params.processes > 1:
            from pipeline.gan.processes import launch_torchrun

            _configure_logging(None)  # the first of the processes writes the file
            return launch_torchrun(params.processes, "pipeline", options.arguments)
    function = _stage_function(stage)
    given = {
        name: _settings(getattr(options, name)) if kind == list[Setting] else getattr(options, name)
        for name, kind in _options(function).items()
    }
    _run_tracked(stage, lambda track: function(params, **given, track=track), params, spool)
    return 0


def _run_tracked(stage: str, run_stage: Callable[[Tracker], Any], params: Section, spool: Path | None) -> None:
    """Call `run_stage`, and record in `spool` its parameters, its machine and how it ended."""
    track = Tracker(spool)
    track.tags({"host": platform.node(), "device": "cpu"})  # a stage that computes on another device overwrites it
    track.params(flat(params.model_dump(mode="json"), names_of_dicts(type(params))))
    try:
        run_stage(track)
    except BaseException as error:
        with suppress(OSError):  # a full disk, which is the error already
            track.close("KILLED" if isinstance(error, StoppedError) else "FAILED")
        raise
    try:
        track.close("FINISHED")
    except OSError as error:  # the outputs are whole; hours of work must not fail over a missing entry in MLflow
        logging.getLogger(stage).warning("finished, but its end is not recorded for MLflow: %s", unusable_file(error, spool))


def _forecast_file(options: argparse.Namespace) -> None:
    _configure_logging(options.log)
    if options.out is None:
        raise InputError("--series needs --out, the CSV file to write")
    forecast_file = importlib.import_module("pipeline.stages.trends.series_file").forecast_file
    forecast_file(options.series, options.external, options.horizon, options.out)


def _print_dry_run(options: argparse.Namespace) -> None:
    _configure_logging(options.log)
    params = load_params(PARAMS_FILE)
    section = parse_section("train", options.params) if options.params else params.train
    shape = (params.augment.height, params.augment.width, params.augment.packed_channels)
    dry_run = importlib.import_module("pipeline.stages.train.run").dry_run
    sys.stdout.write(dry_run(section, shape, options.train or Path("data/train")))
