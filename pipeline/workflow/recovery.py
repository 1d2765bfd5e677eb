"""Cleanup after a killed snakemake: its lock, and the jobs that it had started."""

import shutil
import sys
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.running import Registration, other_registrations

RUN = "snakemake"  # the name under which a run registers; jobs register under theirs
SNAKEMAKE_LOCKS = Path(".snakemake/locks")
ORPHAN_PATIENCE_S = 120.0  # a training ends the step that it is in, and saves


def is_free() -> bool:
    """Whether no other snakemake is active in this folder, and none has left a lock."""
    runs = [registration for registration in other_registrations() if registration.name == RUN]
    return not any(map(_may_be_alive, runs)) and not _is_locked()


def _may_be_alive(run: Registration) -> bool:
    # The locks of another machine may not be visible here, so its runs count as alive.
    return run.holds_its_lock() or not run.is_local


def _is_locked() -> bool:
    return any(SNAKEMAKE_LOCKS.glob("*.lock"))


def clean_up() -> bool:
    """Clean up after killed runs; returns whether no other snakemake is active in this folder.

    Jobs of a killed run are ended, because they would write the same outputs as the next run's, which resume from what they
    saved. A lock is removed only when its owner is known to be dead. Raises InputError when a job cannot be ended.
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
    """Forget runs on other machines whose locks are not visible here; `snakemake --unlock` declares them dead."""
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
    """Remove Snakemake's lock if only dead runs can have left it; otherwise print whose it is."""
    if not alive and dead:
        shutil.rmtree(SNAKEMAKE_LOCKS)
        sys.stderr.write("unlocked: the run that held this folder was killed; this run resumes from there\n")
        return
    if not alive:
        reason = "a snakemake that cannot be identified holds this folder; if none is running, type: snakemake --unlock"
    elif alive[0].is_local:
        reason = f"another snakemake (process {alive[0].process_id}) is running in this folder; wait until it has ended"
    else:
        reason = (
            f"a snakemake on {alive[0].host} (process {alive[0].process_id}) may be running in this folder;"
            " if it is not, type: snakemake --unlock"
        )
    sys.stderr.write(f"locked: {reason}\n")
