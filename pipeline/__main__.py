"""`python -m pipeline STAGE …`: one stage as one command, with its paths as options and its section of params.yaml.

The options of a stage are the keyword parameters of its `run`: `Path` takes one path, `list[Path]` one or more. Commands that
are not stages (COMMANDS) bring their own options.
"""

import argparse
import importlib
import inspect
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast, get_type_hints

from pipeline.errors import UNUSABLE_FILE, AtelierError, StoppedError, unusable_file
from pipeline.imaging.sandbox import THREAD_VARIABLES
from pipeline.params import STAGES, load_params, parse_section
from pipeline.stages.train.params import TrainParams
from pipeline.storage import running
from pipeline.tracking.flat_params import flat, names_of_dicts
from pipeline.tracking.tracker import Tracker, spool_of_job

COMMANDS = (
    "compare",
    "forget",
    "generate",
    "params",
    "plots",
    "remember",
    "send",
    "show",
    "studio",
)  # each a module with `configure(parser)` and `run(options)`


def _add_stage(commands: Any, stage: str, run: Callable[..., None], *, dry: bool) -> None:
    command = commands.add_parser(stage, help=str(sys.modules[run.__module__].__doc__).splitlines()[0])
    command.add_argument("--params", help="the stage's section as JSON (default: its section of ./params.yaml)")
    command.add_argument("--log", type=Path, help="file to log to, beside the terminal")
    hints = get_type_hints(run)
    for name, parameter in inspect.signature(run).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and name != "track":
            many = hints[name] == list[Path]
            command.add_argument(f"--{name.replace('_', '-')}", type=Path, nargs="+" if many else None, required=not dry)
    if stage == "train":
        command.add_argument("--dry-run", action="store_true", help="print what the training would take, and do not train")
    command.set_defaults(run=run)


class _LogFile(logging.FileHandler):
    """Says nothing when it cannot be written, as on a full disk; the terminal still tells."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass


def _is_first() -> bool:
    """Whether this process is the only one of its command, or the first that torchrun started: the one that writes files."""
    return os.environ.get("RANK", "0") == "0"


def _log_to(path: Path | None) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(path, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True
    )
    level = logging.INFO if _is_first() else logging.WARNING
    logging.getLogger("pipeline").setLevel(level)  # libraries tell of every node of a network at that level


def _started_by_torchrun() -> bool:
    return "WORLD_SIZE" in os.environ


def _run_stage(stage: str, options: argparse.Namespace, arguments: list[str]) -> int:
    given = dict(vars(options))
    run, log, section = (given.pop(name) for name in ("run", "log", "params"))
    for of_the_command in ("command", "dry_run"):
        given.pop(of_the_command, None)
    _log_to(log if _is_first() else None)
    params = parse_section(stage, section) if section else getattr(load_params(Path("params.yaml")), stage)
    spool = spool_of_job(log) if _is_first() else None
    if spool is not None and not _started_by_torchrun():
        running.register(spool.stem, spool.parent.name)
    if isinstance(params, TrainParams) and params.processes > 1 and not _started_by_torchrun():
        from pipeline.gan.processes import launch_torchrun

        _log_to(None)  # the file is the first process's
        return launch_torchrun(params.processes, "pipeline", arguments)
    track = Tracker(spool)
    track.tags({"host": platform.node(), "device": "cpu"})  # a stage that computes elsewhere says so itself
    track.params(flat(params.model_dump(mode="json"), names_of_dicts(type(params))))
    try:
        run(params, **given, track=track)
    except BaseException as error:
        with suppress(OSError):  # a full disk, which is the error already
            track.close("KILLED" if isinstance(error, StoppedError) else "FAILED")
        raise
    try:
        track.close("FINISHED")
    except OSError as error:  # the outputs are whole, and hours of work must not fail over a note to MLflow
        logging.getLogger(stage).warning("finished, but MLflow is not told: %s", unusable_file(error, spool))
    return 0


def _dry_run(options: argparse.Namespace) -> None:
    _log_to(options.log)
    params = load_params(Path("params.yaml"))
    section = parse_section("train", options.params) if options.params else params.train
    shape = (params.augment.height, params.augment.width, params.augment.channels)
    dry_run = importlib.import_module("pipeline.stages.train.run").dry_run
    sys.stdout.write(dry_run(section, shape, options.train or Path("data/train")))


def main(arguments: list[str]) -> int:
    """Exit status of the command in `arguments`: 0, or after one line that says why 1, or 75 when a signal stopped it."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="One stage of the pipeline.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")
    # Only the stage asked for is imported: the others may need torch, which takes seconds.
    asked = next((word for word in arguments if word in STAGES + COMMANDS), None)
    for stage in STAGES:
        if stage == asked:
            run = importlib.import_module(f"pipeline.stages.{stage}.run").run
            _add_stage(commands, stage, run, dry=stage == "train" and "--dry-run" in arguments)
        else:
            commands.add_parser(stage)
    for name in COMMANDS:
        command = commands.add_parser(name)
        if name == asked:
            importlib.import_module(f"pipeline.commands.{name}").configure(command)
    options = parser.parse_args(arguments)
    try:
        if options.command in COMMANDS:
            importlib.import_module(f"pipeline.commands.{options.command}").run(options)
        elif getattr(options, "dry_run", False):
            _dry_run(options)
        else:
            return _run_stage(options.command, options, arguments)
    except AtelierError as error:
        logging.getLogger(options.command).error("%s", error)
        return error.exit_status
    except KeyboardInterrupt:
        logging.getLogger(options.command).error("interrupted")
        return 128 + signal.SIGINT
    except Exception as error:
        if isinstance(error, OSError) and error.errno in UNUSABLE_FILE:
            logging.getLogger(options.command).error("%s", unusable_file(error))
            return 1
        if isinstance(error, OSError) and error.filename and options.command in COMMANDS:
            reason = error.strerror or type(error).__name__
            logging.getLogger(options.command).error("%s: %s; see that it can be read and written", error.filename, reason)
            return 1
        # A defect: its traceback belongs into the stage's log file as well.
        logging.getLogger(options.command).exception("not foreseen; please report it with these lines")
        return 1
    return 0


if __name__ == "__main__":
    # Sums over threads round differently with their number, which Snakemake would otherwise set from --cores.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "2"))
    # A name that is not UTF-8, or a terminal that is not, costs single characters and no traceback.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
