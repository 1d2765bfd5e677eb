"""`python -m pipeline params` lists every key, and docs/parameters.md is what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.__main__ import main
from pipeline.commands.params import as_markdown, key_lines, leaf_keys, settings_of
from pipeline.params import STAGES, load_params
from tests.support.project import ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose params.yaml sets few keys, one of them in a section that an alias repeats."""
    monkeypatch.chdir(tmp_path)
    lines = [
        "collect: {folder: {path: pictures}, list: {path: lists}, web: &web {delay_s: 2.0}}",
        "fetch: {web: *web}",
        "train:",
        "  batch_size: 64",
        *(f"{stage}: {{}}" for stage in STAGES if stage not in ("collect", "fetch", "train")),
    ]
    Path("params.yaml").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def _rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    assert main(["params", "--json", *arguments]) == 0
    return {row["key"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.usefixtures("project")
def test_each_row_has_value_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    rows = _rows(capsys)
    assert rows.keys() == leaf_keys().keys()
    shown = {key: (rows[key]["value"], rows[key]["source"]) for key in rows}
    assert shown["train.batch_size"] == (64, "params.yaml line 4")
    assert shown["train.seed"] == (0, "default")
    assert shown["fetch.web.delay_s"] == (2.0, "params.yaml line 1")
    assert shown["train.ada.target"] == (None, "")
    assert rows["train.network.name"]["allowed"] == "resnet, dcgan, stylegan2"
    assert rows["inspect.timeout_s"]["allowed"] == "number > 0, s"


@pytest.mark.usefixtures("project")
def test_settings_are_the_keys_in_use_and_know_which_differ_from_the_default() -> None:
    settings = {setting.key: setting for setting in settings_of(load_params(Path("params.yaml")))}
    assert (settings["train.batch_size"].value, settings["train.batch_size"].default) == ("64", "32")
    changed = {key for key, setting in settings.items() if not setting.is_default}
    assert changed == {
        "collect.folder.path",
        "collect.list.path",
        "collect.web.delay_s",
        "fetch.web.delay_s",
        "train.batch_size",
    }
    assert "train.ada.target" not in settings


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["train", "train.network", "train.batch_size"])
def test_name_restricts_the_rows(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert {key == name or key.startswith(f"{name}.") for key in _rows(capsys, name)} == {True}
    assert main(["params", name]) == 0
    assert {line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()} == _rows(capsys, name).keys()


@pytest.mark.usefixtures("project")
def test_unknown_name_is_refused() -> None:
    assert main(["params", "train.batchsize"]) == 1


def test_line_of_a_key_below_a_merge_is_that_of_its_anchor() -> None:
    text = "base: &base\n  a: 1\nother:\n  <<: *base\n  b: 2\n"
    assert yaml.safe_load(text)["other"] == {"a": 1, "b": 2}
    assert {key: key_lines(text)[key] for key in ("other.a", "other.b")} == {"other.a": 2, "other.b": 5}


def test_every_key_is_described() -> None:
    assert [name for name, key in leaf_keys().items() if not key.schema.get("description")] == []


def test_parameters_page_is_what_the_command_prints() -> None:
    page = (ROOT / "docs/parameters.md").read_text(encoding="utf-8")
    assert page == as_markdown(), "run `python -m pipeline params --markdown > docs/parameters.md`"
