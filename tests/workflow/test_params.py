"""params.yaml is checked whole before any work, and every mistake names its key in one line."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ParamsError
from pipeline.params import load_params, parse_params, parse_section

ROOT = Path(__file__).parents[2]
SCALING = {"mean": [0.5, 0.5, 0.5], "deviation": [0.5, 0.5, 0.5]}


@pytest.fixture
def content() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def test_params_and_every_preset_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for path in [Path("params.yaml"), *sorted(Path("presets").glob("*.yaml"))]:
        load_params(path)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("train.batch_sise", 64, "train.batch_sise: unknown key"),
        ("train.batch_size", -3, "train.batch_size: Input should be greater than or equal to 2 (it is -3)"),
        ("train.batch_size", "64", "train.batch_size: Input should be a valid integer (it is '64')"),
        ("curate.min_contrast", float("nan"), "curate.min_contrast: Input should be a finite number (it is nan)"),
        ("collect.source", "pinterest", "collect.source.0: "),
        ("collect.source", [], "collect.source: "),
        ("collect.source", "crawl", "collect.web.contact: say who crawls"),
        ("collect.source", "manifest", "fetch.web.contact: say who fetches"),
        ("collect.web.contact", "me", "collect.web.contact: must be an e-mail address or a web page"),
        ("collect.web.contact", "a@b\r\nX-Evil: 1", "collect.web.contact: must be an e-mail address or a web page"),
        ("collect.fashion_mnist.path", "no/such", "collect.fashion_mnist.path: no such file or folder: no/such"),
        ("augment.height", 8, "augment.height: Input should be greater than or equal to 16 (it is 8)"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key: str, value: object, told: str
) -> None:
    monkeypatch.chdir(ROOT)
    *sections, name = key.split(".")
    section = content
    for part in sections:
        section = section[part]
    section[name] = value
    with pytest.raises(ParamsError) as caught:
        parse_params(content)
    assert str(caught.value).startswith(f"params.yaml: {told}")
    assert "\n" not in str(caught.value)


def test_only_a_chosen_source_is_looked_at(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    content["collect"]["folder"]["path"] = "no/such/folder"
    assert parse_params(content).collect.source == ["fashion-mnist"]
    content["collect"]["source"] = ["fashion-mnist", "folder"]
    with pytest.raises(ParamsError, match=r"collect\.folder\.path: no such file or folder: no/such/folder$"):
        parse_params(content)


def test_a_crawl_says_who_crawls_and_where(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    content["collect"] |= {"source": "crawl", "web": {**content["collect"]["web"], "contact": "me@shop.example"}}
    with pytest.raises(ParamsError, match=r"collect\.crawl\.sites: name at least one"):
        parse_params(content)
    limits = {"max_depth": 1, "max_pages": 9, "max_pictures": 9, "follow": "(", "sitemaps": True}
    content["collect"]["crawl"]["sites"] = [{"start": ["https://shop.example/"], "domains": ["shop.example"], **limits}]
    with pytest.raises(ParamsError, match=r"collect\.crawl\.sites\.0\.follow: not a regular expression"):
        parse_params(content)


def _merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return content | {
        key: _merged(content[key], value) if isinstance(value, dict) and key != "categories" else value
        for key, value in changes.items()
    }


def test_the_five_lines_of_the_readme_crawl_a_shop(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    [block] = re.findall(r"```yaml\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block in Path("docs/collecting.md").read_text(encoding="utf-8")
    changes = yaml.safe_load(block)
    changes["fetch"] = {"web": changes["collect"]["web"]}  # an anchor in the whole file
    params = parse_params(_merged(content, changes))
    assert (params.collect.source, params.fetch.web.contact) == (["crawl"], "you@shop.example")
    assert params.collect.crawl.sites[0].domains == ["shop.example"]


def test_a_missing_key_and_a_missing_section_are_named(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lacking = copy.deepcopy(content)
    del lacking["fetch"]["shards"]
    with pytest.raises(ParamsError, match=r"fetch\.shards: missing"):
        parse_params(lacking)
    del content["dedup"]
    with pytest.raises(ParamsError, match="dedup: missing"):
        parse_params(content)


@pytest.mark.parametrize("text", ["", "just words", "a: [1", "\t- x", "- 1\n- 2"])
def test_what_is_no_params_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_params_file_points_at_the_presets(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="presets/"):
        load_params(tmp_path / "params.yaml")


def test_a_section_survives_the_way_through_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = load_params(Path("params.yaml"))
    for stage in type(params).model_fields:
        section = getattr(params, stage)
        assert parse_section(stage, section.model_dump_json()) == section


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"augment": {"height": 100, "width": 100}}, ["augment.height", "width"]),
        ({"augment": {"height": 32, "width": 46}}, ["augment.height", "width"]),
        ({"curate": {"split": "hash", "test_share": 1.0}}, ["curate.test_share", "curate.validation_share"]),
        ({"curate": {"test_share": 0.6, "validation_share": 0.5}}, ["curate.test_share", "curate.validation_share"]),
        ({"curate": {"min_brightness": 0.9, "max_brightness": 0.1}}, ["curate.min_brightness", "curate.max_brightness"]),
        (
            {"curate": {"min_brightness": {"quantile": 0.9}, "max_brightness": {"quantile": 0.1}}},
            ["curate.min_brightness", "curate.max_brightness"],
        ),
        ({"evaluate": {"samples": 100, "fd_counts": []}}, ["evaluate.kid_subset_size", "evaluate.samples"]),
        ({"evaluate": {"fd_counts": [2500, 20_000]}}, ["evaluate.fd_counts", "samples"]),
        ({"collect": {"fashion_mnist": {"path": None, "limit": 20}}}, ["collect.fashion_mnist.limit", "min_per_category"]),
        ({"augment": {"attributes": ["colour"]}}, ["augment.attributes", "collect.source"]),
        ({"train": {"condition": "attributes"}}, ["augment.attributes", "train.condition"]),
        ({"fetch": {"licences": []}}, ["fetch.licences"]),
        (
            {
                "reference": {
                    "modules": [{"build": "no_such_package:Net", "name": "net", "arguments": {}, "side_px": 64} | SCALING]
                }
            },
            ["reference.modules.0.build", "no_such_package"],
        ),
        ({"augment": {"flip_categories": ["hats"]}}, ["augment.flip_categories", "hats"]),
        ({"evaluate": {"samples": 19, "kid_subset_size": 10, "fd_counts": []}}, ["evaluate.samples", "10 categories"]),
    ],
)
def test_what_sections_contradict_is_found_before_anything_runs(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], keys: list[str]
) -> None:
    monkeypatch.chdir(ROOT)
    for section, values in changes.items():
        content[section] |= values
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: {keys[0]}: ")
    assert all(key in str(caught.value) for key in keys)
    assert "\n" not in str(caught.value)


def test_only_categories_with_enough_pictures_want_samples(content: dict[str, Any], tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / "pictures" / f"category{number}"
        folder.mkdir(parents=True)
        for picture in range(9 if number < 3 else 2):
            (folder / f"{picture}.png").touch()
    content["collect"] |= {"source": "folder", "folder": {"path": str(tmp_path / "pictures"), "licence": None}}
    content["curate"]["min_per_category"] = 8
    content["augment"]["flip_categories"] = ["category29"]
    content["evaluate"] |= {"samples": 6, "kid_subset_size": 3, "fd_counts": []}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert load_params(path).evaluate.samples == 6
    content["evaluate"] |= {"samples": 5}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"evaluate\.samples: 5 .* 3 categories"):
        load_params(path)
