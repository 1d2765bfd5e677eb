"""What DVC and git do here: whether results are versioned, what DVC cannot version, and the commands that record results."""

import errno
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.storage.git import git

PIPELINE_FILE = Path("dvc.yaml")
LOCK_FILE = Path("dvc.lock")
EARLIER_CODE = (
    "the results here were made by an earlier version of the code, whose files have moved: every stage runs again; "
    "to keep results that are up to date, stop and run `snakemake --touch`"
)
NESTED = "ATELIER_NESTED"  # set for the commands run here: a nested snakemake must not synchronise again
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
ERROR_LINE = re.compile(r"(?:ERROR|fatal): (.*)")  # as DVC and git write it
CHECKED_FOR_IGNORE = 1000  # paths on one command line


def run_nested(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished command `python -m ARGUMENTS`, with its output as text."""
    command = [sys.executable, "-m", *arguments]
    environment = os.environ | {NESTED: "1"}
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False)


def reason_of(failed: subprocess.CompletedProcess[str]) -> str:
    """The line in which a failed command says why."""
    lines = [line.strip() for line in [*failed.stderr.splitlines(), *failed.stdout.splitlines()] if line.strip()]
    errors = [match[1] for line in lines if (match := ERROR_LINE.match(line))]
    return errors[0] if errors else lines[-1] if lines else f"exit status {failed.returncode}, without a word"


def git_refusal() -> str | None:
    """Why git does not answer in a folder that DVC can use, and what to do; None where it answers."""
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "rev-parse"], env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"git cannot be started ({error.strerror}); install it, so that runs name their commit"
    if "dubious ownership" in done.stderr:
        return f"{reason_of(done)}; allow it with: git config --global --add safe.directory '{_git_root() or Path.cwd()}'"
    return None


def _git_root() -> Path | None:
    """The work tree around this folder. DVC finds it so, even without git's program or its consent."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)


def versioning_off() -> str | None:
    """Why nothing is versioned here, and how to switch it on; None where DVC is at work.

    The project may be a subfolder of a larger repository, a worktree or a submodule.
    """
    here, root = Path.cwd(), _git_root()
    around = [here, *here.parents]
    above = around[: around.index(root) + 1] if root is not None else around
    dvc_root = next((folder for folder in above if (folder / ".dvc").is_dir()), None)
    if root is None:
        if dvc_root is not None and run_nested("dvc", "config", "core.no_scm").stdout.strip().lower() == "true":
            return None
        if git("rev-parse", "--is-bare-repository") == "true":
            return "this is a bare repository; clone it, and run the clone"
        return f"this copy is in no git repository ({'git init' if dvc_root else 'git init && dvc init'} switches it on)"
    if dvc_root is None:
        return f"this copy has no .dvc ({'dvc init' if root == here else 'dvc init --subdir'} switches it on)"
    return None


def commit(stages: list[str]) -> str | None:
    """Record the results of `stages` in dvc.lock; returns why DVC did not, in one line, or None."""
    if not stages:
        return None
    # Without --quiet, which hides the reason as well.
    done = run_nested("dvc", "commit", "--force", *stages)
    return None if done.returncode == 0 else reason_of(done)


def recorded_stages() -> set[str]:
    """The stages whose results dvc.lock records. Raises InputError where it is damaged."""
    try:
        content = LOCK_FILE.read_bytes()
        outputs = {name: entry["outs"] for name, entry in yaml.safe_load(content)["stages"].items()}
        if content.endswith(b"\n") and all("md5" in output for outs in outputs.values() for output in outs):
            return set(outputs)
    except FileNotFoundError:
        return set()
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
        pass
    cure = f"restore it (git checkout {LOCK_FILE}), or delete it, and the next snakemake records the results anew"
    raise InputError(f"{LOCK_FILE}: damaged, so that DVC does not know these results; {cure}")


def recorded_code_is_gone() -> bool:
    """Whether dvc.lock, which is not damaged, records results of source files that this version of the code does not have."""
    stages = yaml.safe_load(LOCK_FILE.read_bytes())["stages"] if LOCK_FILE.exists() else {}
    paths = [dep["path"] for entry in stages.values() for dep in entry.get("deps", []) if "path" in dep]
    return any(path.startswith("pipeline/") and not Path(path).exists() for path in paths)


def is_as_recorded() -> bool:
    """Whether DVC says that every stage is up to date."""
    return run_nested("dvc", "status", "--quiet").returncode == 0


def printable(path: Path | str) -> str:
    """`path` on one line of UTF-8: bytes and characters that cannot be shown become backslash escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def versioned_paths(params: Mapping[str, Any], kinds: Sequence[str] = ("deps", "outs", "metrics")) -> dict[str, list[Path]]:
    """The paths of these `kinds` of each stage of dvc.yaml, whose `${…}` refer to `params`. Raises InputError."""
    try:
        stages = yaml.safe_load(PIPELINE_FILE.read_text(encoding="utf-8"))["stages"]
        return {
            name: [Path(_resolved(path, params)) for kind in kinds for path in stage.get(kind, [])]
            for name, stage in stages.items()
        }
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{PIPELINE_FILE}: not as DVC wants it; `dvc status` says what is wrong") from None


def _resolved(path: str, params: Mapping[str, Any]) -> str:
    def value_of(reference: re.Match[str]) -> str:
        value: Any = params
        for key in reference[1].split("."):
            value = value[key]
        return str(value)

    return REFERENCE.sub(value_of, path)


def unversionable(path: Path) -> Iterator[tuple[Path, str]]:
    """(file or folder, why) for everything at or below `path` that makes DVC fail or wait forever.

    As in DVC, links to files are followed, and below `path` links to folders are left out.
    """
    try:
        kind = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            yield path, "a path too long to be opened"
        elif path.is_symlink():
            yield path, "a link that leads nowhere"
        return
    if stat.S_ISDIR(kind):
        yield from _unversionable_entries(path)
    elif not stat.S_ISREG(kind):
        yield path, "not a regular file"
    elif not os.access(path, os.R_OK):
        yield path, "a file that cannot be read"


def _unversionable_entries(folder: Path) -> Iterator[tuple[Path, str]]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        yield folder, "a folder that cannot be read"
        return
    for path in paths:
        if not _is_utf8(path.name):
            yield path, "a name that is not UTF-8"
        elif not (path.is_symlink() and path.is_dir()):
            yield from unversionable(path)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def ignored_by_dvc(paths: list[Path]) -> set[Path]:
    """Those of `paths` that .dvcignore makes DVC leave out."""
    command = [sys.executable, "-m", "dvc", "check-ignore", "--", *map(os.fspath, paths)]
    done = subprocess.run(command, env=os.environ | {NESTED: "1"}, capture_output=True, check=False)
    return {Path(os.fsdecode(line)) for line in done.stdout.splitlines()}


def unrecordable_stages(params: Mapping[str, Any]) -> dict[str, str]:
    """The stages that DVC cannot record, by what they read or write, each with a line that names it and says what to do."""
    by_stage = versioned_paths(params)
    found = {path: list(unversionable(path)) for path in {path for paths in by_stage.values() for path in paths}}
    bad = [path for entries in found.values() for path, _ in entries]
    ignored = ignored_by_dvc(bad[:CHECKED_FOR_IGNORE]) if bad else set()
    found = {path: [entry for entry in entries if entry[0] not in ignored] for path, entries in found.items()}
    return {stage: _unversionable_line(found[path]) for stage, paths in by_stage.items() for path in paths if found[path]}


def _unversionable_line(entries: list[tuple[Path, str]]) -> str:
    path, why = entries[0]
    more = f" (and {len(entries) - 1} more)" if len(entries) > 1 else ""
    return f"{printable(path)}: {why}, which DVC cannot version{more}; remove it or name it in .dvcignore"
