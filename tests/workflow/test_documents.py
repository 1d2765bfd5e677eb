"""The documentation: commands parse, examples run, and the files that it names exist."""

import importlib
import re
import shlex
import textwrap
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import yaml
from dvc.cli.parser import get_main_parser
from snakemake.cli import get_argument_parser

from pipeline.__main__ import main
from pipeline.commands.parser import parse
from pipeline.params import STAGES, parse_params
from tests.support.garments import draw_wardrobe
from tests.support.project import ROOT
from tests.support.small_project import run_stage, write_project
from tests.support.studio_model import reading_graph, write_stand_in

READMES = [ROOT / "data/README.md", ROOT / "reports/README.md", *ROOT.glob("data/*/README.md")]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *READMES])
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"(?:pipeline|studio|tests|presets|profiles|benchmarks)/[\w./-]+\.(?:py|yaml|csv|html)")
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
# First words of commands that are checked wherever they appear, and of those that may appear in a block of commands.
CHECKED = ("python", "snakemake", "dvc", "make")
UNCHECKED = ("apptainer", "conda", "cp", "mlflow", "podman", "sha256sum", "source", "sudo")
RUN = (
    "forget",
    "generate",
    "params",
    "remember",
    "show manifest",
    "show schemas",
)  # with `python -m pipeline`, in a tiny project
LEFT_OUT = ("…", "...", "COMMAND", "[", "<")  # a command with one of these is a pattern


class Snippet(NamedTuple):
    """A piece of a document."""

    document: Path
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT).as_posix()}: {self.text.splitlines()[0]}"


def _blocks(language: str) -> list[Snippet]:
    """Every fenced block of `language`."""
    return [
        Snippet(document, textwrap.dedent(text))
        for document in DOCUMENTS
        for _, kind, text in FENCE.findall(document.read_text(encoding="utf-8"))
        if kind == language
    ]


def _lines(block: Snippet) -> Iterator[Snippet]:
    """The commands of a block, one on each line."""
    return (Snippet(block.document, line) for line in block.text.splitlines() if line.strip() and line[0] != "#")


def _commands() -> list[Snippet]:
    """Commands in fenced blocks, indented blocks and code spans."""
    found = [line for block in _blocks("bash") for line in _lines(block)]
    for document in DOCUMENTS:
        prose = FENCE.sub("", document.read_text(encoding="utf-8"))
        words = [*INDENTED.findall(prose), *SPAN.findall(INDENTED.sub("", prose))]
        found += [Snippet(document, text) for text in words if text.split()[0] in CHECKED and " " in text]
    return [each for each in found if not any(mark in each.text for mark in LEFT_OUT)]


def _words(command: str) -> list[str]:
    """The words of a command, without variables before it, what it is redirected to, and a comment."""
    words = shlex.split(command.partition(" > ")[0], comments=True)
    return [word for word in words if not re.match(r"[A-Z_]+=", word)]


def _check_pipeline(arguments: list[str]) -> None:
    parse(arguments)


class _ParsedError(Exception):
    """A benchmark has parsed its options."""


def _check_benchmark(name: str, arguments: list[str]) -> None:
    """Let the benchmark parse `arguments`, and stop it there."""
    parse_args = ArgumentParser.parse_args

    def parse_only(parser: ArgumentParser) -> None:
        parse_args(parser, arguments)
        raise _ParsedError

    with patch.object(ArgumentParser, "parse_args", parse_only), pytest.raises(_ParsedError):
        importlib.import_module(f"benchmarks.{name}").main()


def _check_python(arguments: list[str]) -> None:
    assert arguments[0] == "-m"
    name = arguments[1]
    if name == "pipeline":
        _check_pipeline(arguments[2:])
    elif name.startswith("benchmarks."):
        _check_benchmark(name.removeprefix("benchmarks."), arguments[2:])
    else:
        assert name == "pytest" or (ROOT / name.replace(".", "/")).with_suffix(".py").exists()


def _check_snakemake(arguments: list[str]) -> None:
    options = get_argument_parser().parse_args(arguments)
    assert {*options.targets, *(options.forcerun or ())} <= {*STAGES, "fetch_all", "inspect_all"}
    assert all((ROOT / profile).is_dir() for profile in [*(options.profile or ()), options.workflow_profile] if profile)


def _check_dvc(arguments: list[str]) -> None:
    options = get_main_parser().parse_args(arguments)
    if arguments[0] == "repro":
        assert {*options.targets} <= {*STAGES}


def _check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in arguments if "=" not in word} <= {*targets}


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "python": _check_python,
    "snakemake": _check_snakemake,
    "dvc": _check_dvc,
    "make": _check_make,
}


@pytest.mark.parametrize("command", _commands(), ids=str)
def test_every_command_has_the_options_and_targets_that_a_document_gives_it(
    command: Snippet, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in command.text.split("&&"):
        words = _words(part)
        if words[0] in CHECKS:
            try:
                CHECKS[words[0]](words[1:])
            except SystemExit as stopped:
                if stopped.code:  # it is 0 after --help and --version
                    pytest.fail(capsys.readouterr().err)
        else:
            assert words[0] in UNCHECKED


@pytest.fixture(scope="module")
def tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with curated pictures and a small exported model."""
    folder = tmp_path_factory.mktemp("project")
    with chdir(folder):
        draw_wardrobe(Path("data/pictures"), ["dress", "hat"], 12, seed=0, side_px=32)
        write_project()
        assert [stage for stage in STAGES[: STAGES.index("augment")] if run_stage(stage) != 0] == []
        write_stand_in(Path("models/export"), reading_graph())
        Path("docs").mkdir()
    return folder


@pytest.fixture
def project(tiny_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny project as the working folder."""
    monkeypatch.chdir(tiny_project)
    return tiny_project


def _runnable() -> list[Snippet]:
    lines = [line for block in _blocks("bash") for line in _lines(block)]
    return [line for line in lines if line.text.startswith(tuple(f"python -m pipeline {name}" for name in RUN))]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("command", _runnable(), ids=str)
def test_commands_run_as_documented(command: Snippet) -> None:
    assert main(_words(command.text)[3:]) == 0


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "example", [block for block in _blocks("python") if block.document.is_relative_to(ROOT / "docs")], ids=str
)
def test_python_examples_run(example: Snippet) -> None:
    exec(compile(example.text, str(example.document), "exec"), {"__name__": "example"})


def _merged(base: Any, changes: Any) -> Any:
    if isinstance(base, dict) and isinstance(changes, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in changes.items()}}
    return changes


@pytest.mark.parametrize("example", _blocks("yaml"), ids=str)
def test_yaml_examples_are_valid_parameters_or_the_file_that_they_name(example: Snippet) -> None:
    content = yaml.safe_load(example.text)
    if named := re.match(r"# (\S+\.yaml)\n", example.text):
        assert content == yaml.safe_load((ROOT / named[1]).read_text(encoding="utf-8"))
    else:
        params = _merged(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")), content)
        params["fetch"]["web"] = params["collect"]["web"]  # by an anchor, in params.yaml
        parse_params(params)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_tests_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []
    for file, name in NAMED_TEST.findall(text):
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_each_way_in_which_the_web_fails_names_its_test() -> None:
    assert len(NAMED_TEST.findall((ROOT / "docs/collecting.md").read_text(encoding="utf-8"))) >= 40


def test_scores_of_the_readme_are_those_that_the_benchmark_wrote() -> None:
    measured = (ROOT / "docs/benchmarks/quality.md").read_text(encoding="utf-8")
    scores = re.findall(r"\d\.\d+ ± \d\.\d+", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(scores) == 4
    assert [score for score in scores if score not in measured] == []
