"""The two front doors, Snakemake and DVC, kept in one state. The Snakefile calls these; nothing else does.

Snakemake executes, DVC versions. After a run Snakemake's door commits to DVC what the run finished, and touches the outputs,
since DVC links large files anew. When DVC (or git) has put older outputs back, their times tell Snakemake that they are stale;
so when dvc.lock or params.yaml is one not seen before and DVC says that all is as recorded, the outputs are touched once, too.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from pipeline.errors import ParamsError, SourceError
from pipeline.params import STAGES, CollectParams, load_params
from pipeline.sources.folder import picture_paths
from pipeline.store.files import write_json
from pipeline.store.tracking import INVOCATION_VARIABLE, PARENT, SPOOLS, Tracker

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

PARAMS_FILE = Path("params.yaml")
LOCK_FILE = Path("dvc.lock")
FORGOTTEN_FILE = Path("forgotten.csv")
KNOWN_FOLDER = Path("data/known")
STATE_FILE = Path(".scratch/doors.json")
NESTED = "ATELIER_NESTED"  # set for the snakemake calls made here, which must not start over

# The packages that decide what a stage computes, beside its own module; `store` and `params` only carry it.
ROOMS = {
    "collect": ("sources",),
    "fetch": ("sources",),
    "inspect": ("images",),
    "dedup": ("images",),
    "curate": ("images", "reporting"),
    "augment": ("images",),
    "reference": ("gan", "images", "metrics"),
    "train": ("gan", "images"),
    "evaluate": ("gan", "images", "metrics"),
    "report": ("images", "metrics", "reporting"),
    "export": ("exporting", "gan", "metrics"),
}


def code_of(stage: str) -> list[str]:
    """Source files that decide what `stage` computes."""
    rooms = [path for room in ROOMS[stage] for path in Path("pipeline", room).rglob("*") if path.is_file()]
    code = [path for path in rooms if "__pycache__" not in path.parts]
    return [f"pipeline/{stage}.py", *sorted(map(str, code))]


def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded; asked without torch, which takes seconds."""
    return Path("/dev/nvidiactl").exists()


def versioning_off() -> str | None:
    """Why nothing is versioned here, or None where DVC is at work."""
    if not Path(".git").exists():
        return "this copy has no .git (git init, dvc init -f to switch it on)"
    if not Path(".dvc/config").exists():
        return "this copy has no .dvc (dvc init to switch it on)"
    return None


def _called_by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


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


def _nested(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    environment = os.environ | {NESTED: "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _commit(stages: list[str]) -> None:
    if not stages:
        return
    told = _nested("dvc", "commit", "--force", "--quiet", *stages)
    if told.returncode != 0:
        sys.stderr.write(f"versioning: dvc commit failed, the results are whole but not recorded: {told.stderr.strip()}\n")


def _alive(process_id: object) -> bool:
    return isinstance(process_id, int) and Path(f"/proc/{process_id}").exists()


def _commit_what_an_ended_run_left() -> None:
    """Commit the stages of a run that finished its jobs but died before telling DVC."""
    pending = _state().get("pending")
    if not isinstance(pending, dict) or not pending.keys() >= {"process_id", "stages", "targets"}:
        return
    if _alive(pending["process_id"]):
        return
    dry_run = _nested("snakemake", "--dry-run", "--cores", "1", "--no-hooks", "--nolock", "--", *pending["targets"])
    if dry_run.returncode == 0 and "Nothing to be done" in dry_run.stdout + dry_run.stderr:
        _commit(pending["stages"])
    _remember(pending=None)


def _touch_outputs(*options: str) -> None:
    """Tell Snakemake that every output is as its inputs, parameters and code want it, and note for which record of DVC's."""
    touched = _nested("snakemake", "--touch", "--cores", "1", "--no-hooks", "--quiet", *options, "--", "all")
    if touched.returncode != 0:
        sys.stderr.write(f"snakemake --touch failed: {touched.stderr.strip()}\n")
        return
    _remember(agreed=_fingerprint())


def _agree_with_dvc() -> None:
    """Touch the outputs once where DVC says that all are as recorded, but the record is new to Snakemake."""
    if not LOCK_FILE.exists() or _state().get("agreed") == _fingerprint():
        return
    if _nested("dvc", "status", "--quiet").returncode == 0:
        _touch_outputs()


def _invocation() -> str:
    """A name for this call of a front door: one for all the snakemakes that one `dvc repro` starts."""
    if _called_by_dvc():
        for ancestor in psutil.Process().parents():
            if any(Path(word).name == "dvc" for word in ancestor.cmdline()[:3]):
                return f"dvc-{ancestor.pid}-{int(ancestor.create_time())}"
    return f"snakemake-{uuid.uuid4().hex[:12]}"


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return told.stdout.strip() if told.returncode == 0 else ""


def _lock_tag() -> dict[str, str]:
    """The record of results: before a run what it starts from, after one what it made."""
    return {"dvc_lock_sha256": hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()} if LOCK_FILE.exists() else {}


def _invocation_tags() -> dict[str, str]:
    caller = "dvc repro" if _called_by_dvc() else "snakemake"
    tags = {
        "mlflow.runName": f"{caller} {time.strftime('%Y-%m-%d %H:%M')}",
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "host": platform.node(),
        **_lock_tag(),
        "mlflow.source.git.commit": _git("rev-parse", "HEAD"),
        "git_changed": str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower(),
    }
    return {name: value for name, value in tags.items() if value}


def _state_of_pictures(params: CollectParams) -> str:
    """A digest of the names, sizes and times of a folder source's pictures.

    Snakemake sees no change below a folder; and its time for a job grows with the square of its inputs, so that ten thousand
    pictures cannot be listed one by one.
    """
    digest = hashlib.sha256()
    for path in picture_paths(Path(params.folder.path)) if "folder" in params.source else []:
        state = path.stat()
        digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _lists(params: CollectParams) -> list[str]:
    """The files of a manifest source."""
    if "manifest" not in params.source:
        return []
    from pipeline.sources.manifest import list_paths  # with an HTTP client, which other sources do not need

    return [str(path) for path in list_paths(Path(params.manifest.path))]


class Door:
    """Snakemake's door: what the Snakefile needs to know, and what has to happen before and after its jobs."""

    def __init__(self, workflow: "Workflow") -> None:
        """Check params.yaml and bring both doors to one state.

        Ends the process with one line that names the key, before any job starts, where params.yaml is wrong.
        """
        # Rules say `python`, whichever environment holds this snakemake.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._workflow = workflow
        self._sender: subprocess.Popen[bytes] | None = None
        try:
            self.params = load_params(PARAMS_FILE)
            self.folders = [self.params.collect.folder.path] if "folder" in self.params.collect.source else []
            self.state_of_pictures = _state_of_pictures(self.params.collect)
            self.lists = _lists(self.params.collect)
        except (ParamsError, SourceError) as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)  # a WorkflowError would print three lines of Snakefile around the one that matters
        if workflow.is_main_process and NESTED not in os.environ:
            os.environ[INVOCATION_VARIABLE] = _invocation()
            if not _called_by_dvc() and versioning_off() is None:
                _commit_what_an_ended_run_left()
                _agree_with_dvc()

    @property
    def sections(self) -> dict[str, str]:
        """Each stage's section as JSON: what its job is given, and what Snakemake compares with the last run."""
        return {stage: getattr(self.params, stage).model_dump_json() for stage in STAGES}

    @property
    def known(self) -> list[str]:
        """Tables of the pictures that earlier runs kept, and the folder's README, which is always there."""
        return sorted(str(path) for path in KNOWN_FOLDER.glob("[!.]*") if path.suffix in (".md", ".parquet"))

    @property
    def shards(self) -> list[str]:
        """Names of the raw shards."""
        return [f"{shard:05d}" for shard in range(self.params.fetch.shards)]

    def _stages(self) -> dict[str, bool]:
        """Each stage in this run, and whether all its jobs are finished or were up to date."""
        dag = self._workflow.dag
        done: dict[str, bool] = {}
        for job in dag.jobs:
            if job.rule.name in STAGES:
                finished = dag.finished(job) or not dag.needrun(job)
                done[job.rule.name] = done.get(job.rule.name, True) and finished
        return done

    def _outputs(self) -> list[str]:
        jobs = [job for job in self._workflow.dag.jobs if job.rule.name in STAGES]
        return sorted(str(output) for job in jobs for output in job.output)

    @property
    def _end_mark(self) -> Path:
        return SPOOLS / os.environ[INVOCATION_VARIABLE] / f"ended-{os.getpid()}"

    def started(self) -> None:
        """Note what this run is to commit, and start telling MLflow."""
        track = Tracker(SPOOLS / os.environ[INVOCATION_VARIABLE] / f"{PARENT}.jsonl")
        track.tags(_invocation_tags())
        follow = ["--follow", os.environ[INVOCATION_VARIABLE], "--until", str(self._end_mark), "--process-id", str(os.getpid())]
        self._sender = subprocess.Popen([sys.executable, "-m", "pipeline", "send", *follow])
        off = versioning_off()
        if off is not None:
            sys.stderr.write(f"versioning is off: {off}\n")
        elif not _called_by_dvc():
            stages = [stage for stage in STAGES if stage in self._stages()]
            _remember(pending={"process_id": os.getpid(), "stages": stages, "targets": self._outputs()})

    def ended(self, status: Literal["FINISHED", "FAILED"]) -> None:
        """Commit to DVC the stages that this run finished; wait until MLflow knows."""
        if not _called_by_dvc() and versioning_off() is None:
            done = self._stages()
            _commit([stage for stage in STAGES if done.get(stage)])
            _remember(pending=None)
            if all(done.get(stage) for stage in STAGES):
                _touch_outputs("--nolock")  # DVC links large files anew, with a new time; the lock is this run's own
        track = Tracker(SPOOLS / os.environ[INVOCATION_VARIABLE] / f"{PARENT}.jsonl")
        track.tags(_lock_tag())
        track.close(status)
        self._end_mark.touch()
        if self._sender is not None:
            self._sender.wait()
