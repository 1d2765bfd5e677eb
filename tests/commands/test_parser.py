"""The command line: its help texts, the nearest command for a wrong one, and completion in bash and zsh."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest

from pipeline import params
from pipeline.__main__ import main
from pipeline.commands.parser import COMMANDS, EXAMPLES, STAGES, build_parser, example, parse, summary

ROOT = Path(__file__).parents[2]


def _output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return ended.value.code, captured.out + captured.err


@contextmanager
def unread_output() -> Iterator[None]:
    """Standard output is a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as output, redirect_stdout(output):  # noqa: PTH123 (a descriptor)
        yield


@pytest.mark.parametrize(("arguments", "status"), [(["params", "--markdown"], 141), (["params", "train.seed"], 0)])
def test_a_reader_that_leaves_early_ends_a_command_without_a_line(
    arguments: list[str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with unread_output():
        assert main(arguments) == status  # 0 where all was done before it was noticed
    assert caplog.text == ""


def test_a_reader_that_leaves_the_help_early_gets_no_line() -> None:
    with unread_output(), pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])


def test_another_broken_pipe_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def break_off(_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("pipeline.commands.params.run", break_off)
    assert main(["params"]) == 1
    assert "unexpected error" in caplog.text


def test_stages_are_those_of_params() -> None:
    assert params.STAGES == STAGES


def test_every_module_in_commands_is_a_command() -> None:
    modules = {path.stem for path in (ROOT / "pipeline/commands").glob("*.py")} - {"__init__", "parser", "stage"}
    assert modules == set(COMMANDS) - set(STAGES)


def test_help_lists_every_command_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = _output(capsys, "--help")
    assert status == 0
    for command in COMMANDS:
        assert f"  {command:<11}{summary(command)[:40]}" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_the_summary_of_a_command_is_one_whole_sentence(command: str) -> None:
    assert re.fullmatch(r"[A-Z].*\.", summary(command))


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_of_a_command_shows_its_summary_and_an_example_that_parses(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status, output = _output(capsys, command, "--help")
    assert status == 0
    assert summary(command) in output
    assert example(command) in output
    words = shlex.split(example(command).partition(" >")[0])
    assert words[:3] == ["python", "-m", "pipeline"]
    assert parse(words[3:]).command == command


@pytest.mark.parametrize("stage", STAGES)
def test_the_example_of_a_stage_names_a_rule_of_the_snakefile(stage: str) -> None:
    rule = example(stage).split()[-1]
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    assert f"rule {rule}:" in text or f"checkpoint {rule}:" in text


def test_help_of_a_stage_shows_its_summary_paths_and_example(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = _output(capsys, "collect", "--help")
    assert status == 0
    assert all(text in output for text in (summary("collect"), "--manifest MANIFEST", example("collect")))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = _output(capsys, "--version")
    assert (status, output) == (0, "atelier 0.1.0\n")


@pytest.mark.parametrize(("wrong", "near"), [("trian", "train"), ("Dedup", "dedup"), ("generat", "generate")])
def test_a_wrong_command_names_the_nearest(capsys: pytest.CaptureFixture[str], wrong: str, near: str) -> None:
    status, output = _output(capsys, wrong)
    assert status == 2
    assert f"did you mean {near}?" in output


def test_help_imports_neither_pydantic_nor_torch() -> None:
    program = "import sys; from pipeline.commands.parser import build_parser; build_parser(()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "pydantic", "numpy"} & set(done.stdout.split())


def _completion_script(shell: str, folder: Path) -> Path:
    command = [sys.executable, "-W", "ignore", "-m", "pipeline", "completion", shell]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    path = folder / f"atelier.{shell}"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def completion_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _completion_script("bash", tmp_path_factory.mktemp("completion"))


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("python -m pipeline ded", ["dedup"]),
        ("python -m pipeline dedup --kno", ["--known"]),
        ("python -m pipeline show man", ["manifest"]),
        ("python -m other ded", []),
    ],
)
def test_bash_completes_commands_options_and_choices(completion_script: Path, words: str, completed: list[str]) -> None:
    last = len(words.split()) - 1
    script = f'source {completion_script}; COMP_WORDS=({words}); COMP_CWORD={last}; _atelier_python; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == completed


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_python_m_pipeline_like_atelier(tmp_path: Path) -> None:
    script = f"""
        compdef() {{ print -r -- "compdef $*" }}
        eval "$(<{_completion_script("zsh", tmp_path)})"
        _shtab_atelier() {{ print -r -- "$words | $CURRENT" }}
        _python() {{ print python }}
        words=(python -m pipeline show man) CURRENT=5
        _atelier_python
        words=(python -m other man) CURRENT=4
        _atelier_python
    """
    done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    *registered, shifted, other = done.stdout.splitlines()
    assert {"compdef _shtab_atelier atelier", "compdef _atelier_python python python3"} <= set(registered)
    assert (shifted, other) == ("atelier show man | 3", "python")


def test_options_of_commands_that_are_not_asked_for_are_not_loaded() -> None:
    with pytest.raises(SystemExit):
        build_parser(()).parse_args(["show", "manifest"])
