"""What DVC and git do here: where results are versioned, what DVC cannot version, and why a commit failed."""

import fcntl
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.workflow import versioning
from pipeline.workflow.versioning import printable, recorded_stages, unversionable, versioning_off


def _git(*arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a new git repository with one commit."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "DVC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _git("init", "--quiet")
    _git("commit", "--quiet", "--allow-empty", "--message", "start")
    return folder


def _with_dvc(folder: Path) -> Path:
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return folder


def test_a_repository_and_a_subfolder_of_one_are_versioned(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_with_dvc(repository / "sub"))
    assert versioning_off() is None
    monkeypatch.chdir(_with_dvc(repository))
    assert versioning_off() is None
    (repository / "without its own").mkdir()
    monkeypatch.chdir(repository / "without its own")
    assert versioning_off() is None, "DVC finds the .dvc of the folder above"


def test_a_worktree_and_a_submodule_are_versioned(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _git("worktree", "add", "--quiet", str(tmp_path / "worktree"))
    _git("clone", "--quiet", str(repository), str(tmp_path / "outer"))
    monkeypatch.chdir(tmp_path / "outer")
    _git("submodule", "add", "--quiet", str(repository), "inner")
    for folder in (tmp_path / "worktree", tmp_path / "outer/inner"):
        assert (folder / ".git").is_file()
        monkeypatch.chdir(_with_dvc(folder))
        assert versioning_off() is None


def test_what_is_missing_is_named_with_advice_that_does_no_harm(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "(dvc init " in str(versioning_off())
    (repository / "sub").mkdir()
    monkeypatch.chdir(repository / "sub")
    assert "dvc init --subdir" in str(versioning_off())
    monkeypatch.chdir(_with_dvc(tmp_path / "a copy"))
    assert "(git init " in str(versioning_off()), "dvc init -f would reset .dvc"
    (tmp_path / "an archive").mkdir()
    monkeypatch.chdir(tmp_path / "an archive")
    assert "git init && dvc init" in str(versioning_off())
    _git("clone", "--quiet", "--bare", str(repository), str(tmp_path / "bare"))
    monkeypatch.chdir(tmp_path / "bare")
    assert "bare" in str(versioning_off())


@pytest.mark.usefixtures("repository")
def test_dvc_without_git_is_versioned_where_its_configuration_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _with_dvc(tmp_path / "alone")
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    monkeypatch.chdir(folder)
    assert versioning_off() is None


def test_gits_refusal_is_named_and_dvc_goes_on(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_dvc(repository)
    assert versioning.git_refusal() is None
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert f"safe.directory '{repository}'" in str(versioning.git_refusal())
    assert versioning_off() is None
    monkeypatch.setenv("PATH", str(repository))
    assert "git cannot be started" in str(versioning.git_refusal())
    assert versioning.git("rev-parse", "HEAD") == ""
    assert versioning_off() is None


@pytest.fixture
def pictures(repository: Path) -> Path:
    """A folder in which DVC can version everything, odd things among them."""
    folder = _with_dvc(repository) / "pictures"
    (folder / "dress").mkdir(parents=True)
    (folder / "dress/a.png").write_bytes(b"1")
    (folder / "dress/new\nline.png").write_bytes(b"2")
    (folder / "dress/link.png").symlink_to("a.png")
    (folder / "dress/outside.png").symlink_to(repository / ".dvc/config")
    (folder / "dress/up").symlink_to("..")
    (folder / "hat").symlink_to("dress")
    return folder


def test_regular_files_and_links_to_them_can_be_versioned(pictures: Path) -> None:
    assert list(unversionable(pictures)) == []
    assert list(unversionable(pictures / "not there")) == []


def test_what_dvc_cannot_version_is_found_with_the_reason(pictures: Path) -> None:
    dress = pictures / "dress"
    (dress / "dangling.png").symlink_to("nowhere.png")
    (dress / "loop.png").symlink_to("loop.png")
    os.mkfifo(dress / "pipe.jpg")
    (dress / "pipe link.jpg").symlink_to("pipe.jpg")
    (dress / "zero.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(dress / "socket.png"))
    (dress / os.fsdecode(b"caf\xe9.png")).write_bytes(b"3")
    (dress / os.fsdecode(b"fol\xe9der")).mkdir()
    nowhere, irregular, name = "a link that leads nowhere", "not a regular file", "a name that is not UTF-8"
    assert {printable(path.name): why for path, why in unversionable(pictures)} == {
        "caf\\xe9.png": name,
        "fol\\xe9der": name,
        "dangling.png": nowhere,
        "loop.png": nowhere,
        "pipe.jpg": irregular,
        "pipe link.jpg": irregular,
        "zero.jpg": irregular,
        "socket.png": irregular,
    }
    assert [why for _, why in unversionable(dress / "pipe.jpg")] == [irregular]
    assert [why for _, why in unversionable(dress / "loop.png")] == [nowhere]


def test_a_path_too_long_to_be_opened_is_found() -> None:
    path = Path("data/pictures", *["d" * 200] * 25)
    assert [found for found, _ in unversionable(path)] == [path]


def test_unreadable_files_and_folders_are_found(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Path.iterdir

    def forbidden(path: Path) -> Any:
        if path.name == "dress":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "a.png")
    assert [(path.name, why) for path, why in unversionable(pictures)] == [("a.png", "a file that cannot be read")]
    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert [(path.name, why) for path, why in unversionable(pictures)] == [("dress", "a folder that cannot be read")]


def test_names_are_printed_on_one_line() -> None:
    assert printable(Path(os.fsdecode(b"caf\xe9/\xc3\xa9\n\x1b[1m.png"))) == "caf\\xe9/é\\n\\x1b[1m.png"


PARAMS = {"source": {"path": "pictures"}}
PIPELINE = """\
stages:
  collect: {cmd: "true", deps: ["${source.path}"], outs: [manifest.parquet]}
  report: {cmd: "true", deps: [manifest.parquet]}
"""


def test_the_stages_that_dvc_cannot_record_are_named_unless_dvcignore_leaves_the_file_out(pictures: Path) -> None:
    versioning.PIPELINE_FILE.write_text(PIPELINE)
    assert versioning.unrecordable_stages(PARAMS) == {}
    os.mkfifo(pictures / "dress/pipe.jpg")
    (pictures / os.fsdecode(b"caf\xe9.png")).write_bytes(b"3")
    reasons = versioning.unrecordable_stages(PARAMS)
    assert set(reasons) == {"collect"}
    assert "pictures/caf\\xe9.png" in reasons["collect"]
    assert "1 more" in reasons["collect"]
    Path(".dvcignore").write_text("*.jpg\ncaf?.png\n")
    assert versioning.unrecordable_stages(PARAMS) == {}
    assert versioning.is_as_recorded() is False, "and DVC, too, reads the folder without waiting for the pipe"


@pytest.mark.parametrize(
    "content", ["", "stages: [", "stages: {a: 1}", 'stages: {a: {deps: ["${no.such}"]}}', "stages: {a: {deps: [{b: 1}]}}"]
)
@pytest.mark.usefixtures("repository")
def test_a_damaged_pipeline_file_is_named(content: str) -> None:
    versioning.PIPELINE_FILE.write_text(content)
    with pytest.raises(InputError) as caught:
        versioning.unrecordable_stages(PARAMS)
    assert "dvc.yaml" in str(caught.value)


LOCK = """schema: '2.0'
stages:
  collect:
    cmd: snakemake
    outs:
    - path: data/manifest.parquet
      hash: md5
      md5: 1f69c66028c35037e8bf67e5bc4ceb6a
      size: 10
"""


def test_the_stages_that_dvc_has_recorded_are_read_from_its_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recorded_stages() == set()
    Path("dvc.lock").write_text(LOCK)
    assert recorded_stages() == {"collect"}


@pytest.mark.parametrize(
    "content", ["", "\0" * 100, "<<<<<<< HEAD\n", LOCK[:-5], LOCK[: LOCK.index("      md5")], "stages: 5\n", "stages: {a: 1}\n"]
)
def test_a_damaged_lock_file_of_dvc_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(content)
    with pytest.raises(InputError, match=r"dvc\.lock"):
        recorded_stages()


def test_results_of_code_that_has_moved_are_told_from_those_of_this_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not versioning.recorded_code_is_gone()
    Path("dvc.lock").write_text("stages: {train: {deps: [{path: pipeline/train.py}, {path: data/train}]}}\n")
    assert versioning.recorded_code_is_gone()
    Path("pipeline").mkdir()
    Path("pipeline/train.py").touch()
    assert not versioning.recorded_code_is_gone()


def test_a_failed_commit_says_why(repository: Path) -> None:
    _with_dvc(repository)
    versioning.PIPELINE_FILE.write_text('stages: {report: {cmd: "true", outs: [page.html]}}\n')
    assert "page.html" in str(versioning.commit(["report"]))
    Path("page.html").write_text("page")
    Path(".dvc/tmp").mkdir(exist_ok=True)
    with Path(".dvc/tmp/lock").open("a+") as file:  # as another DVC command does
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "nable to acquire lock" in str(versioning.commit(["report"]))
    assert versioning.commit(["report"]) is None
    assert "page.html" in versioning.LOCK_FILE.read_text()
    assert versioning.commit([]) is None


def test_a_command_that_failed_without_a_word_still_gives_a_reason() -> None:
    assert "3" in versioning.reason_of(subprocess.CompletedProcess([], 3, "", "\n"))
    assert versioning.reason_of(subprocess.CompletedProcess([], 1, "", "Building\nERROR: the cause\n\nmore")) == "the cause"
