"""Tell MLflow what stages have noted: beside a running invocation, or what earlier ones left untold."""

import argparse
import os
from pathlib import Path

from pipeline.errors import AtelierError
from pipeline.metrics.champion import verdict_on
from pipeline.store.sending import follow, send_untold
from pipeline.store.tracking import SPOOLS


def _is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline send`."""
    command.add_argument("--follow", metavar="INVOCATION", help="this invocation, as it runs")
    command.add_argument("--until", type=Path, metavar="FILE", help="with --follow: the end is when this file appears")
    command.add_argument("--process-id", type=int, help="with --follow: or when this process is gone")


def run(options: argparse.Namespace) -> None:
    """Send, and return when everything is told. Raises AtelierError where MLflow cannot be reached."""
    if options.follow:
        told = follow(SPOOLS / options.follow, lambda: options.until.exists() or _is_gone(options.process_id), verdict_on)
    else:
        told = send_untold(verdict_on)
    if not told:
        raise AtelierError(f"MLflow cannot be reached; nothing is lost, it waits in {SPOOLS}")
