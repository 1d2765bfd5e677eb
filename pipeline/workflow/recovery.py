"""What a killed snakemake leaves behind, its lock and the jobs that it had started, cleared away before the next run."""

import shutil
import sys
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.running import Registration, other_registrations

RUN = "snakemake"  # the name under which a run registers; jobs register under theirs
SNAKEMAKE_LOCKS = Path(".snakemake/locks")
ORPHAN_PATIENCE_S = 120.0  # a training ends the step that it is in, and saves


def is_free() -> bool:
    """Whether no other snakemake is at work in this folder, and none has left a lock."""
    runs = [registration for registration in other_registrations() if registration.name == RUN]
    return not any(map(_may_be_alive, runs)) and not _is_locked()


def _may_be_alive(run: Registration) -> bool:
    # The locks of another machine may not be seen here, so its runs count as alive.
    return run.holds_its_lock() or not run.is_local


def _is_locked() -> bool:
    return any(SNAKEMAKE_LOCKS.glob("*.lock"))


def clear_up() -> bool:
    """Whether no other snakemake is at work in this folder; if so, nothing of a killed one is left.

    Jobs of a killed run are ended: they would write the same outputs as the next run's, which go on from what they saved.
    Raises InputError where a job cannot be ended. A lock is removed only when its owner is known to be dead.
    """
    registrations = other_registrations()
    runs = [registration for registration in registrations if registration.name == RUN]
    jobs = [registration for registration in registrations if registration.name != RUN]
    alive = list(filter(_may_be_alive, runs))
    for job in jobs:
        if not job.holds_its_lock():
            job.forget()
        elif job.invocation not in {run.invocation for run in alive}:
            _end_orphan(job)
    dead = [run for run in runs if run not in alive]
    if _is_locked():
        _handle_lock(alive, dead)
    for run in dead:
        run.forget()
    return not alive


def forget_runs_elsewhere() -> None:
    """Forget the runs of other machines whose locks are not seen here: `snakemake --unlock` says that they are dead."""
    for registration in other_registrations():
        if not registration.holds_its_lock():
            registration.forget()


def _end_orphan(job: Registration) -> None:
    where = "" if job.is_local else f" on {job.host}"
    if job.is_local and job.stop(ORPHAN_PATIENCE_S):
        job.forget()
        sys.stderr.write(f"{job.name}: ended process {job.process_id}, which a killed run had left behind\n")
        return
    raise InputError(
        f"{job.name}: process {job.process_id}{where}, left behind by a killed run, is still writing the same output;"
        " end it, then run the same command again"
    )


def _handle_lock(alive: list[Registration], dead: list[Registration]) -> None:
    """Remove Snakemake's lock where only dead runs can have left it; else say whose it is."""
    if not alive and dead:
        shutil.rmtree(SNAKEMAKE_LOCKS)
        sys.stderr.write("unlocked: the run that held this folder was killed; this one goes on from there\n")
        return
    if not alive:
        told = "a snakemake that cannot be identified holds this folder; if none is running, type: snakemake --unlock"
    elif alive[0].is_local:
        told = f"another snakemake (process {alive[0].process_id}) is running in this folder; wait until it has ended"
    else:
        told = (
            f"a snakemake on {alive[0].host} (process {alive[0].process_id}) may be running in this folder;"
            " if it is not, type: snakemake --unlock"
        )
    sys.stderr.write(f"locked: {told}\n")
