"""`python -m pipeline COMMAND …`: a stage, or a command on what the stages made; `--help` lists them."""

import logging
import os
import select
import signal
import sys
from io import TextIOWrapper
from typing import cast

from pipeline.commands.parser import is_stage, parse
from pipeline.errors import UNUSABLE_FILE, AtelierError, unusable_file


def main(arguments: list[str]) -> int:
    """Exit status of the command in `arguments`: 0, 1 after one line that says why, 75 where a signal stopped it.

    128 + SIGPIPE, without a line, where the reader of its output has left before it was done, as `head` does.
    """
    try:
        options = parse(arguments)
        try:
            return options.run(options) or 0
        except (Exception, KeyboardInterrupt) as error:
            return _report(options.command, error)
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # nobody reads it, or the disk is full: what is left goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_has_left() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _report(command: str, error: BaseException) -> int:
    """Log `error` in one line where users can mend it, else with its traceback. Returns the exit status."""
    log = logging.getLogger(command)
    if isinstance(error, AtelierError):
        log.error("%s", error)
        return error.exit_status
    if isinstance(error, BrokenPipeError) and _reader_has_left():
        return 128 + signal.SIGPIPE
    if isinstance(error, KeyboardInterrupt):
        log.error("interrupted")
        return 128 + signal.SIGINT
    if isinstance(error, OSError) and error.errno in UNUSABLE_FILE:
        log.error("%s", unusable_file(error))
    elif isinstance(error, OSError) and error.filename and not is_stage(command):
        reason = error.strerror or type(error).__name__
        log.error("%s: %s; check that it can be read and written", error.filename, reason)
    else:
        # A defect of this program: the stage's log file gets the traceback, too.
        log.error("unexpected error; please report it with these lines", exc_info=error)
    return 1


if __name__ == "__main__":
    # Sums over threads round differently with their number, which Snakemake would otherwise set from --cores.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2"))
    # Characters that the terminal's encoding lacks become escapes, not a traceback.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
