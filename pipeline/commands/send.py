"""Log recorded events to MLflow: those of a running invocation, or those that earlier ones left."""

import argparse
import logging
import sys
import threading
import warnings
from pathlib import Path

from pipeline.errors import AtelierError, InputError
from pipeline.metrics.passport import compare_with_champion
from pipeline.storage.files import process_exists
from pipeline.tracking.follow import follow, send_unsent
from pipeline.tracking.mlflow_store import UnavailableError, relocate
from pipeline.tracking.spools import COSTS
from pipeline.tracking.tracker import SPOOLS

log = logging.getLogger(__name__)


def _log_failed_thread(failure: threading.ExceptHookArgs) -> None:
    """Log in one line why a thread of MLflow's ended, such as the one that measures the machine."""
    name = failure.thread.name if failure.thread else "a thread"
    log.warning("MLflow: %s ended: %s: %s", name, failure.exc_type.__name__, failure.exc_value)


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline send`."""
    command.add_argument("--follow", metavar="INVOCATION", help="this invocation, as it runs")
    command.add_argument("--until", type=Path, metavar="FILE", help="with --follow: the end is when this file appears")
    command.add_argument("--process-id", type=int, help="with --follow: or when this process is gone")
    command.add_argument(
        "--costs",
        type=Path,
        default=COSTS,
        metavar="FOLDER",
        help=f"with --follow: Snakemake's benchmarks of its jobs (default: {COSTS})",
    )
    command.add_argument(
        "--relocate",
        action="store_true",
        help="after the project's folder was copied or moved: have mlflow.db point to the artifacts here",
    )


def _refuse_unending(options: argparse.Namespace) -> None:
    """Raise InputError unless the options say which invocation is followed, and until when."""
    if options.until is None or options.process_id is None:
        raise InputError("--follow: needs --until FILE and --process-id NUMBER, or it would never end")
    if not 1 <= options.process_id < 2**31:
        raise InputError(f"--process-id {options.process_id}: is no process; give its number")
    if Path(options.follow).name != options.follow or options.follow in ("", ".."):
        raise InputError(f"--follow {options.follow}: give the name of a folder in {SPOOLS}")


def run(options: argparse.Namespace) -> None:
    """Log everything to MLflow. Raises AtelierError when MLflow cannot take it now."""
    warnings.simplefilter("ignore")  # of libraries, on the terminal of a run that is well
    threading.excepthook = _log_failed_thread
    try:
        if options.relocate:
            old = relocate()
            sys.stdout.write(f"mlflow.db points here instead of to {old}\n" if old else "mlflow.db points here already\n")
        if options.follow is not None:
            _refuse_unending(options)
            follow(
                SPOOLS / options.follow,
                lambda: options.until.exists() or not process_exists(options.process_id),
                compare_with_champion,
                costs=options.costs,
            )
        else:
            send_unsent(compare_with_champion)
    except UnavailableError as error:
        kept = f"the recorded events stay in {SPOOLS}, and `python -m pipeline send` logs it"
        raise AtelierError(f"MLflow: {error}; {kept}") from None
