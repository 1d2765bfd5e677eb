"""params.yaml is checked as a whole before any work, and every mistake is one line that names its key."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ParamsError
from pipeline.params import DVC_KEYS, STAGES, load_params, parse_params, parse_section, with_defaults

ROOT = Path(__file__).parents[2]
SCALING = {"mean": [0.5, 0.5, 0.5], "deviation": [0.5, 0.5, 0.5]}


@pytest.fixture
def content() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("path", [Path("params.yaml"), *sorted((ROOT / "presets").glob("*.yaml"))], ids=lambda path: path.stem)
def test_params_and_presets_are_short_and_valid(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.chdir(ROOT)
    load_params(path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= (70 if path.name == "params.yaml" else 45)


def test_params_yaml_holds_the_defaults(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert parse_params(content) == parse_params({stage: {} for stage in STAGES})


def test_complete_file_of_earlier_versions_and_short_file_resolve_alike(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = parse_params(content)
    complete = yaml.safe_load(yaml.safe_dump(params.model_dump(mode="json")))
    assert parse_params(complete).model_dump_json() == params.model_dump_json()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("train.batchsize", "did you mean batch_size?"),
        ("train.network.latent", "did you mean latent_dim?"),
        ("train.network.style_dim", "network.name resnet"),
        ("train.copies", "copies is a key of augment"),
        ("dedup.sketch", "sketch is a key of inspect"),
        ("collect.crawl.sites.0.depth", "did you mean max_depth?"),
        ("traine", "did you mean train?"),
        ("quite_different", "there are collect, fetch"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_one(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key: str, hint: str
) -> None:
    monkeypatch.chdir(ROOT)
    content["collect"]["crawl"]["sites"] = [{"start": ["https://shop.example/"], "domains": ["shop.example"]}]
    *sections, name = key.split(".")
    section: Any = content
    for part in sections:
        section = section[int(part) if part.isdigit() else part]
    section[name] = 1
    with pytest.raises(ParamsError) as caught:
        parse_params(content)
    assert str(caught.value).startswith(f"params.yaml: {key}: unknown key; ")
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("collect.manifest", {"path": "data/lists"}, "collect.manifest: the new name of manifest is list"),
        ("fetch.shards", 4, "fetch.shards: the new name of shards is collect.shards"),
        ("collect.source", ["folder", "manifest"], "collect.source.1: the new name of manifest is list"),
        (
            "train.watchdog",
            {"max_returns": 3},
            "train.watchdog.max_returns: the new name of max_returns is max_rollbacks",
        ),
        (
            "train.watchdog",
            {"rate_on_return": 0.5},
            "train.watchdog.rate_on_return: the new name of rate_on_return is rate_factor_on_rollback",
        ),
    ],
)
def test_earlier_name_is_refused_with_the_new_one(content: dict[str, Any], key: str, value: object, message: str) -> None:
    section, name = key.split(".")
    content[section][name] = value
    with pytest.raises(ParamsError, match=rf"^params\.yaml: {re.escape(message)}$"):
        parse_params(content)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("train.batch_size", -3, "train.batch_size: Input should be greater than or equal to 2 (it is -3)"),
        ("train.batch_size", "64", "train.batch_size: Input should be a valid integer (it is '64')"),
        ("curate.min_contrast", float("nan"), "curate.min_contrast: Input should be a finite number (it is nan)"),
        ("collect.source", "pinterest", "collect.source.0: "),
        ("collect.source", [], "collect.source: "),
        ("collect.source", "crawl", "collect.web.contact: say who crawls"),
        ("collect.source", "list", "fetch.web.contact: say who fetches"),
        ("collect.web.contact", "me", "collect.web.contact: must be an e-mail address or a web page"),
        ("collect.web.contact", "a@b\r\nX-Evil: 1", "collect.web.contact: must be an e-mail address or a web page"),
        ("collect.fashion_mnist.path", "no/such", "collect.fashion_mnist.path: no such file or folder: no/such"),
        ("augment.height", 8, "augment.height: Input should be greater than or equal to 16 (it is 8)"),
        ("trends.until", "2026-13-45", "trends.until: no such date; write one as \"2026-06-30\" (it is '2026-13-45')"),
        ("trends.until", "20260630", "trends.until: no such date"),
        ("trends.until", date(2026, 6, 30), 'trends.until: put the date in quotes: "2026-06-30"'),
    ],
)
def test_wrong_value_is_one_line_that_names_the_key(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key: str, value: object, expected: str
) -> None:
    monkeypatch.chdir(ROOT)
    *sections, name = key.split(".")
    section = content
    for part in sections:
        section = section.setdefault(part, {})
    section[name] = value
    with pytest.raises(ParamsError) as caught:
        parse_params(content)
    assert str(caught.value).startswith(f"params.yaml: {expected}")
    assert "\n" not in str(caught.value)


def test_a_date_in_quotes_is_passed_on_to_the_stage(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    trends = parse_params(content | {"trends": yaml.safe_load('until: "2026-06-30"')}).trends
    assert trends.until == "2026-06-30"
    assert parse_section("trends", trends.model_dump_json()) == trends


def test_only_the_chosen_source_is_checked(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    content["collect"]["folder"]["path"] = "no/such/folder"
    assert parse_params(content).collect.source == ["fashion-mnist"]
    content["collect"]["source"] = ["fashion-mnist", "folder"]
    with pytest.raises(ParamsError, match=r"collect\.folder\.path: no such file or folder: no/such/folder$"):
        parse_params(content)


def test_crawl_needs_sites_and_valid_patterns(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    content["collect"] |= {"source": "crawl", "web": {**content["collect"]["web"], "contact": "me@shop.example"}}
    with pytest.raises(ParamsError, match=r"collect\.crawl\.sites: name at least one"):
        parse_params(content)
    content["collect"]["crawl"]["sites"] = [{"start": ["https://shop.example/"], "domains": ["shop.example"], "follow": "("}]
    with pytest.raises(ParamsError, match=r"collect\.crawl\.sites\.0\.follow: not a regular expression"):
        parse_params(content)


def test_missing_section_is_named_and_empty_section_has_the_defaults(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert parse_params(content | {"dedup": None}) == parse_params(content | {"dedup": {}}) == parse_params(content)
    del content["dedup"]
    with pytest.raises(ParamsError, match="dedup: missing"):
        parse_params(content)


@pytest.mark.parametrize("source", ["folder", "list"])
def test_file_without_a_key_that_dvc_reads_is_refused(content: dict[str, Any], tmp_path: Path, source: str) -> None:
    del content["collect"][source]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError, match=rf"collect\.{source}\.path: missing"):
        load_params(path)


def test_every_value_that_dvc_yaml_interpolates_is_one_that_params_yaml_must_hold() -> None:
    found = set(re.findall(r"\$\{([\w.]+)\}", (ROOT / "dvc.yaml").read_text(encoding="utf-8")))
    assert found == {".".join(key) for key in DVC_KEYS}


@pytest.mark.parametrize("text", ["", "just words", "a: [1", "\t- x", "- 1\n- 2"])
def test_file_without_sections_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_points_at_the_presets(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="presets/"):
        load_params(tmp_path / "params.yaml")


def test_section_survives_json(monkeypatch: pytest.MonkeyPatch) -> None:
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
        ({"augment": {"ground": "plain"}}, ["inspect.detect", "garment", "augment.ground"]),
        ({"augment": {"frame": "garment"}}, ["inspect.detect", "garment", "augment.frame"]),
        (
            {"inspect": {"detect": ["garment"]}, "augment": {"ground": "plain", "pad_value": "edge"}},
            ["augment.pad_value", "red, green, blue"],
        ),
        ({"evaluate": {"samples": 100, "fd_counts": []}}, ["evaluate.kid_subset_size", "evaluate.samples"]),
        ({"evaluate": {"fd_counts": [2500, 20_000]}}, ["evaluate.fd_counts", "samples"]),
        ({"collect": {"fashion_mnist": {"path": None, "limit": 20}}}, ["collect.fashion_mnist.limit", "min_per_category"]),
        ({"augment": {"attributes": ["colour"]}}, ["augment.attributes", "collect.source"]),
        ({"train": {"condition": "attributes"}}, ["augment.attributes", "train.condition"]),
        ({"augment": {"garment_attributes": ["pattern"]}}, ["inspect.detect", "garment", "augment.garment_attributes"]),
        (
            {"inspect": {"detect": ["garment"]}, "augment": {"channels": 1, "garment_attributes": ["colour"]}},
            ["augment.garment_attributes", "augment.channels"],
        ),
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
def test_contradiction_between_keys_names_them(
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


def test_samples_suffice_for_the_kept_categories_only(content: dict[str, Any], tmp_path: Path) -> None:
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


def test_defaults_complete_the_sections_that_are_valid() -> None:
    resolved = with_defaults({"train": {"seed": 3}, "dedup": {"no_such_key": 1}})
    assert (resolved["train"]["seed"], resolved["train"]["batch_size"]) == (3, 32)
    assert resolved["augment"]["height"] == 32
    assert resolved["dedup"] == {"no_such_key": 1}


def test_earlier_names_are_completed_under_the_new_ones(tmp_path: Path) -> None:
    collect = {"source": ["manifest"], "manifest": {"path": str(tmp_path)}, "web": {"contact": "me@shop.example"}}
    resolved = with_defaults({"collect": collect, "train": {"watchdog": {"max_returns": 3}}})
    assert resolved["collect"]["source"] == ["list"]
    assert resolved["collect"]["list"] == {"path": str(tmp_path), "columns": {}}
    assert resolved["train"]["watchdog"]["max_rollbacks"] == 3
