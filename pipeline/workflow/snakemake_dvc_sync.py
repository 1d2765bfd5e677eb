"""Snakemake and DVC kept in one state. The Snakefile calls this module.

Snakemake executes, DVC versions. After a run Snakemake's hooks commit the finished stages to DVC. Then they touch the outputs,
because DVC links large files anew, with a new time. Outputs that DVC (or git) has restored look stale to Snakemake by their
times, so they are also touched, once, when dvc.lock or params.yaml has changed and DVC reports that all is as recorded.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import psutil

from pipeline.errors import AtelierError, InputError, unusable_file
from pipeline.params import STAGES, load_params
from pipeline.storage import running
from pipeline.storage.files import write_json, write_text
from pipeline.storage.git import git
from pipeline.tracking.spools import COSTS
from pipeline.tracking.tracker import INVOCATION_VARIABLE, PARENT, SPOOLS, Tracker
from pipeline.workflow import experiment_copies, job_resources, recovery, source_files, versioning
from pipeline.workflow.versioning import LOCK_FILE, NESTED, versioning_off

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

PARAMS_FILE = Path("params.yaml")
STATE_FILE = Path(".scratch/snakemake_dvc_sync.json")
LISTS_FOLDER = Path(".scratch/lists")
SHARDED = ("fetch", "inspect")  # stages with a job a shard, which the rules STAGE_all ask for
SNAKEMAKE_FOLDER = Path(".snakemake")
EXPERIMENT_NAME = "DVC_EXP_NAME"  # set by `dvc exp run`
# Options with which snakemake runs no job.
READ_ONLY_OPTIONS = {
    "--dag",
    "--detailed-summary",
    "--filegraph",
    "--lint",
    "--list-rules",
    "--rulegraph",
    "--summary",
    "--unlock",
}


def _exit_with(message: str) -> NoReturn:
    sys.stderr.write(f"{' '.join(message.splitlines())}\n")  # a path may hold a line break
    sys.exit(1)


def _check_writable(folder: Path) -> None:
    """Raise OSError, which names `folder`, when no file can be created in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        error.filename = os.fspath(folder)
        raise


def _called_by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


def _is_read_only(workflow: "Workflow") -> bool:
    """Whether this snakemake runs no job; then it neither commits, nor unlocks, nor ends processes."""
    return bool(workflow.output_settings.dryrun or READ_ONLY_OPTIONS.intersection(sys.argv))


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in (LOCK_FILE, PARAMS_FILE):
        digest.update(path.read_bytes() if path.exists() else b"\0")
    return digest.hexdigest()


def _state() -> dict[str, object]:
    try:
        state = json.loads(STATE_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _remember(**state: object) -> None:
    write_json(STATE_FILE, _state() | state)


def _pending() -> dict[str, list[str]]:
    """The outputs of each stage that an earlier run was to finish and that DVC has not recorded."""
    pending = _state().get("pending")
    if not isinstance(pending, dict):
        return {}
    return {stage: targets for stage, targets in pending.items() if stage in STAGES and isinstance(targets, list)}


def _commit(stages: list[str], unrecordable: Mapping[str, str]) -> list[str]:
    """Commit `stages` to DVC; returns those that DVC did not record, and prints why and what to do."""
    recordable = [stage for stage in stages if stage not in unrecordable]
    unrecorded: dict[str, list[str]] = {}  # by the reason
    for stage in stages:
        if stage in unrecordable:
            unrecorded.setdefault(unrecordable[stage], []).append(stage)
    if (failure := versioning.commit(recordable)) is not None:
        named = recordable if len(recordable) < len(STAGES) else []
        cure = f"the next snakemake tries again, or type: {' '.join(['dvc commit --force', *named])}"
        unrecorded[f"{failure.rstrip('.')}; {cure}"] = recordable
    for reason, left in unrecorded.items():
        names = ", ".join(left) if len(left) < len(STAGES) else "this run"
        sys.stderr.write(f"versioning: the results of {names} are complete, but DVC did not record them: {reason}\n")
    return [stage for left in unrecorded.values() for stage in left]


def _commit_pending(pending: Mapping[str, list[str]], unrecordable: Mapping[str, str]) -> None:
    """Commit those stages whose outputs, `pending`, are finished, but that DVC did not record."""
    stages = [stage for stage in STAGES if stage in pending and stage not in unrecordable]
    if not stages:
        return
    targets = sorted({target for stage in stages for target in pending[stage]})
    dry_run = versioning.run_nested("snakemake", "--dry-run", "--cores", "1", "--no-hooks", "--nolock", "--", *targets)
    if dry_run.returncode == 0 and "Nothing to be done" in dry_run.stdout + dry_run.stderr:
        left = _commit(stages, unrecordable)
        done = {*stages} - {*left}
        _remember(pending={stage: targets for stage, targets in {**_pending(), **pending}.items() if stage not in done})


def _touch_outputs(*options: str) -> None:
    """Mark every output as up to date for Snakemake, and store which dvc.lock and params.yaml this holds for."""
    touched = versioning.run_nested("snakemake", "--touch", "--cores", "1", "--no-hooks", "--quiet", *options, "--", "all")
    if touched.returncode != 0:
        sys.stderr.write(f"snakemake --touch failed: {versioning.reason_of(touched)}\n")
        return
    _remember(agreed=_fingerprint())


def _touch_restored() -> None:
    """Touch the outputs once where DVC says that all are as recorded, but the record is new to Snakemake."""
    if not LOCK_FILE.exists() or _state().get("agreed") == _fingerprint():
        return
    if versioning.is_as_recorded():
        _touch_outputs()


def _hundredths_after_boot(process: psutil.Process) -> int:
    """When `process` started, in 1/100 s after boot. As a time of day it would be another one once the clock has been set."""
    return round(100 * (process.create_time() - psutil.boot_time()))


def _invocation() -> str:
    """The name of this run; all the snakemakes that one `dvc repro` starts share one."""
    if _called_by_dvc():
        for ancestor in psutil.Process().parents():
            if any(Path(word).name == "dvc" for word in ancestor.cmdline()[:3]):
                return f"dvc-{ancestor.pid}-{_hundredths_after_boot(ancestor)}"
    return f"snakemake-{uuid.uuid4().hex[:12]}"


def _lock_tag() -> dict[str, str]:
    """The SHA-256 of dvc.lock as a tag: of the results that a run starts from, or has made."""
    return {"dvc_lock_sha256": hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()} if LOCK_FILE.exists() else {}


def _invocation_tags() -> dict[str, str]:
    experiment = os.environ.get(EXPERIMENT_NAME, "") if _called_by_dvc() else ""
    caller = f"experiment {experiment}" if experiment else "dvc repro" if _called_by_dvc() else "snakemake"
    tags = {
        "mlflow.runName": f"{caller} {time.strftime('%Y-%m-%d %H:%M')}",
        "dvc_experiment": experiment,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "host": platform.node(),
        **_lock_tag(),
        "mlflow.source.git.commit": git("rev-parse", "HEAD"),
        "git_changed": str(bool(git("status", "--porcelain", "--untracked-files=no"))).lower(),
    }
    return {name: value for name, value in tags.items() if value}


class SnakemakeSession:
    """The inputs and parameters that the Snakefile needs, and the work before and after its jobs."""

    def __init__(self, workflow: "Workflow") -> None:
        """Check params.yaml and bring Snakemake and DVC to one state.

        On an error, ends the process before any job starts, with one line that names the key or file.
        """
        # Rules call `python`; it must be that of the environment that holds this snakemake.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._workflow = workflow
        self._sender: subprocess.Popen[bytes] | None = None
        self._off: str | None = None
        self._project = experiment_copies.project_of(Path.cwd())  # of a copy, in which an experiment of DVC's queue runs
        try:
            self._read_inputs()
            if workflow.is_main_process:
                self._synchronise()
        except AtelierError as error:
            _exit_with(str(error))  # a WorkflowError would print three lines of Snakefile around the one that matters
        except OSError as error:
            _exit_with(unusable_file(error))

    def _read_inputs(self) -> None:
        self.params = load_params(PARAMS_FILE)
        collect = self.params.collect
        pictures, lists = source_files.pictures_of_folder(collect), source_files.files_of_lists(collect)
        folders = [collect.folder.path] if "folder" in collect.source else []
        self.folders = list(filter(source_files.is_plain, folders))
        self.lists = [str(path) for path in lists if source_files.is_plain(str(path))]
        # Snakemake does not see changes below a folder, and its time for a job grows with the square of the number of its
        # inputs, so ten thousand pictures cannot be inputs of their own.
        self.state_of_sources = source_files.state_of(
            [*pictures, *(path for path in lists if not source_files.is_plain(str(path)))]
        )
        self.known = source_files.known_tables()

    def _synchronise(self) -> None:
        """Clean up after killed runs, commit results that were not recorded, and bring Snakemake into agreement with DVC."""
        looks = _is_read_only(self._workflow)
        if NESTED in os.environ:
            if not looks:
                running.register(recovery.RUN, os.environ[INVOCATION_VARIABLE])
            return
        os.environ[INVOCATION_VARIABLE] = _invocation()
        self._off = versioning_off()
        unrecordable = self._unrecordable()
        for line in sorted({*unrecordable.values()}):
            sys.stderr.write(f"versioning: {line}\n")
        if "--unlock" in sys.argv:
            recovery.forget_runs_elsewhere()
        alone = recovery.is_free() if looks else self._take_over()
        if alone and self._commits:
            self._agree_with_dvc(unrecordable, looks=looks)

    def _agree_with_dvc(self, unrecordable: Mapping[str, str], *, looks: bool) -> None:
        try:
            recorded = versioning.recorded_stages()
        except InputError as error:  # the run goes on: its results are good without a record
            sys.stderr.write(f"versioning: {error}\n")
            return
        if versioning.recorded_code_is_gone():
            sys.stderr.write(f"versioning: {versioning.EARLIER_CODE}\n")
        if not looks:
            unrecorded = self._unrecorded(recorded)  # asked before pending stages are committed
            _commit_pending(_pending(), unrecordable)
            _commit_pending(unrecorded, unrecordable)
        if not unrecordable:
            _touch_restored()  # a dry run, too, is to say that what DVC has put back is up to date

    def _unrecorded(self, recorded: Set[str]) -> dict[str, list[str]]:
        """The targets of the stages that have outputs but no record, as when dvc.lock was deleted."""
        outputs = versioning.versioned_paths(self.params.model_dump(), ["outs", "metrics"])
        left = {stage: paths for stage, paths in outputs.items() if stage not in recorded and stage not in _pending()}
        there = [stage for stage, paths in left.items() if all(path.exists() for path in paths)]
        return {stage: [f"{stage}_all" if stage in SHARDED else stage] for stage in there}

    def _take_over(self) -> bool:
        """Register this run and clean up after killed ones. Returns whether no other run is active here."""
        if self._project is not None:
            experiment_copies.keep_spools_in(self._project)
        for folder in (SPOOLS, SNAKEMAKE_FOLDER):
            _check_writable(folder)
        running.register(recovery.RUN, os.environ[INVOCATION_VARIABLE])
        return recovery.clean_up()

    @property
    def _commits(self) -> bool:
        """Whether this run records its results; a run that DVC started leaves that to DVC."""
        return self._off is None and not _called_by_dvc()

    def _unrecordable(self) -> dict[str, str]:
        return versioning.unrecordable_stages(self.params.model_dump()) if self._commits else {}

    def section(self, stage: str) -> Callable[[object], str]:
        """The stage's section as JSON, which its job receives and Snakemake compares with that of the last run.

        It is returned by a function, because Snakemake does not expand braces in what functions return.
        """
        content = getattr(self.params, stage).model_dump_json()
        return lambda _: content

    def state_of_pictures(self, manifest: str) -> Callable[..., str]:
        """A digest of the pictures of a folder source that a shard has; `manifest` is the path of its rows, with {shard}."""
        if "folder" not in self.params.collect.source:
            return lambda _: ""
        return lambda wildcards: source_files.state_of_listed(Path(manifest.format(shard=wildcards.shard)))

    def listed(self, name: str, paths: list[str]) -> str:
        """A file with `paths` on its lines, which a rule names as `@FILE`, for a shell's command line ends at 128 KiB."""
        file, content = LISTS_FOLDER / f"{name}.txt", "".join(f"{path}\n" for path in paths)
        if self._workflow.is_main_process and not _is_read_only(self._workflow):
            try:
                if not file.exists() or file.read_text(encoding="utf-8") != content:
                    write_text(file, content)
            except OSError as error:
                _exit_with(unusable_file(error, LISTS_FOLDER))
        return str(file)

    def memory_mb(self, stage: str) -> Callable[..., int]:
        """Megabytes of memory that a job of `stage` asks a cluster for; more at each further attempt."""

        def of_job(_: object, attempt: int) -> int:
            needed = job_resources.memory_mb(stage, self.params)
            if stage == "train" and self._workflow.non_local_exec and self._workflow.is_main_process:
                needed = max(needed, job_resources.training_memory_mb(self.params))
            return needed * attempt

        return of_job

    def settings(self) -> Callable[[object], str]:
        """All sections that decide what the report shows, as JSON."""
        content = self.params.model_dump_json(exclude={"export"})
        return lambda _: content

    @property
    def shards(self) -> list[str]:
        """Names of the raw shards."""
        return [f"{shard:05d}" for shard in range(self.params.collect.shards)]

    def _stages(self) -> dict[str, bool]:
        """Each stage of this run, and whether all its jobs have finished or were up to date."""
        dag = self._workflow.dag
        done: dict[str, bool] = {}
        for job in dag.jobs:
            if job.rule.name in STAGES:
                finished = dag.finished(job) or not dag.needrun(job)
                done[job.rule.name] = done.get(job.rule.name, True) and finished
        return done

    def _in_part(self) -> set[str]:
        """The stages of which this run has the jobs of some shards only; the others may be missing or older."""
        jobs = Counter(job.rule.name for job in self._workflow.dag.jobs)
        return {stage for stage in SHARDED if 0 < jobs[stage] < len(self.shards)}

    def _outputs(self) -> dict[str, list[str]]:
        """The outputs of each stage in this run; of those in SHARDED the rule that asks for all shards."""
        outputs: dict[str, list[str]] = {}
        for job in self._workflow.dag.jobs:
            if job.rule.name in STAGES:
                outputs.setdefault(job.rule.name, []).extend(map(str, job.output))
        return {stage: [f"{stage}_all"] if stage in SHARDED else paths for stage, paths in outputs.items()}

    @property
    def _end_mark(self) -> Path:
        return SPOOLS / os.environ[INVOCATION_VARIABLE] / f"ended-{os.getpid()}"

    def started(self) -> None:
        """Store which stages this run is to commit, and start logging to MLflow."""
        try:
            if self._commits:
                _remember(pending=_pending() | self._outputs())
            track = Tracker(SPOOLS / os.environ[INVOCATION_VARIABLE] / f"{PARENT}.jsonl")
            track.tags(_invocation_tags())
        except OSError as error:
            _exit_with(unusable_file(error, SPOOLS))
        follow = ["--follow", os.environ[INVOCATION_VARIABLE], "--until", str(self._end_mark), "--process-id", str(os.getpid())]
        # In the project, whose mlflow.db and mlruns stay when DVC deletes the copy.
        send = [sys.executable, "-m", "pipeline", "send", *follow, "--costs", str(COSTS.absolute())]
        self._sender = subprocess.Popen(send, cwd=self._project)
        if self._off is not None:
            sys.stderr.write(f"versioning is off: {self._off}\n")
        elif not _called_by_dvc() and (refusal := versioning.git_refusal()) is not None:
            sys.stderr.write(f"git: {refusal}\n")

    def ended(self, status: Literal["FINISHED", "FAILED"]) -> None:
        """Commit the stages that this run finished to DVC, and wait until MLflow has logged them."""
        try:
            if self._commits:
                self._record_results()
            track = Tracker(SPOOLS / os.environ[INVOCATION_VARIABLE] / f"{PARENT}.jsonl")
            track.tags(_lock_tag())
            track.close(status)
            self._end_mark.touch()
        except OSError as error:  # return at once: without the mark the sender waits for this process to end
            sys.stderr.write(
                f"the results are complete, but the end of the run is not recorded for MLflow: {unusable_file(error, SPOOLS)}\n"
            )
            return
        if self._sender is not None:
            self._sender.wait()

    def _record_results(self) -> None:
        done = self._stages()
        in_part = self._in_part()
        finished = [stage for stage in STAGES if done.get(stage) and stage not in in_part]
        left = _commit(finished, self._unrecordable())
        outputs = self._outputs()
        kept = {stage: targets for stage, targets in _pending().items() if stage not in done or stage in in_part}
        _remember(pending=kept | {stage: outputs[stage] for stage in left})
        if len(finished) == len(STAGES) and not left:
            _touch_outputs("--nolock")  # DVC links large files anew, with a new time; the lock is this run's own
