"""Tell MLflow what stages have noted: beside a running invocation, or what earlier ones left untold."""

import argparse
from pathlib import Path

import psutil

from pipeline.errors import AtelierError, InputError
from pipeline.metrics.champion import verdict_on
from pipeline.store.sending import follow, send_untold
from pipeline.store.tracking import SPOOLS


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline send`."""
    command.add_argument("--follow", metavar="INVOCATION", help="this invocation, as it runs")
    command.add_argument("--until", type=Path, metavar="FILE", help="with --follow: the end is when this file appears")
    command.add_argument("--process-id", type=int, help="with --follow: or when this process is gone")


def _refuse_unending(options: argparse.Namespace) -> None:
    """Raise InputError unless the options say which invocation is followed, and until when."""
    if options.until is None or options.process_id is None:
        raise InputError("--follow: needs --until FILE and --process-id NUMBER, or it would never end")
    if not 1 <= options.process_id < 2**31:
        raise InputError(f"--process-id {options.process_id}: is no process; give its number")
    if Path(options.follow).name != options.follow or options.follow in ("", ".."):
        raise InputError(f"--follow {options.follow}: give the name of a folder in {SPOOLS}")


def run(options: argparse.Namespace) -> None:
    """Send, and return when everything is told. Raises AtelierError where MLflow cannot be reached."""
    if options.follow is not None:
        _refuse_unending(options)
        told = follow(
            SPOOLS / options.follow,
            lambda: options.until.exists() or not psutil.pid_exists(options.process_id),
            verdict_on,
        )
    else:
        told = send_untold(verdict_on)
    if not told:
        raise AtelierError(f"MLflow cannot be reached; nothing is lost, it waits in {SPOOLS}")
