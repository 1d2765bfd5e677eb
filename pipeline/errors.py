"""Every error a user can cause. Each prints as one line that names the file, row or key, and says what to do."""

import difflib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

MAX_LISTED = 20

# Errors of the system that are the user's to mend: a full or failing disk, permissions, a file where a folder should be.
UNUSABLE_FILE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EIO,
    }
)


class AtelierError(Exception):
    """Base of all errors that are shown without a traceback."""

    exit_status = 1


class ParamsError(AtelierError):
    """params.yaml has a key that is unknown, missing, of the wrong type or out of range."""


class SourceError(AtelierError):
    """A source of pictures cannot be read or is not what it claims to be."""


class InputError(AtelierError):
    """A stage was given a file that is missing, damaged or from another configuration."""


class TrainingError(AtelierError):
    """Training cannot go on: out of memory, disk full, diverged."""


class DivergedError(TrainingError):
    """A loss, score, gradient or weight is not a finite number."""


class StoppedError(AtelierError):
    """SIGTERM or SIGINT asked a stage to stop, and it saved what it had: the same command goes on from there."""

    exit_status = os.EX_TEMPFAIL  # 75; tells a preempted job, to be started again, from a failed one


class ExportError(AtelierError):
    """The exported model does not draw what torch draws."""


def known_names(name: str, known: Sequence[str]) -> str:
    """The end of a message on an unknown `name`: the nearest of `known` where one is near, then all or the first few."""
    by_lower = {one.lower(): one for one in reversed(known)}
    near = difflib.get_close_matches(name.lower()[:200], by_lower, n=1)
    listed = ", ".join(known[:MAX_LISTED]) + (f" and {len(known) - MAX_LISTED} more" if len(known) > MAX_LISTED else "")
    return (f"did you mean {by_lower[near[0]]}? " if near else "") + f"known are {listed}"


def unusable_file(error: OSError, fallback: Path | None = None) -> str:
    """One line about a file that cannot be read or written; `fallback` is named where the system does not say which."""
    where = error.filename or fallback or "a file"
    reason = error.strerror or type(error).__name__
    return f"{where}: {reason}; make room or correct its permissions, then run the same command again"
