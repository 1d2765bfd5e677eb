"""The schema of params.yaml: one section per stage, each with its defaults in pipeline/stages/STAGE/params.py.

The Snakefile reads the file through `load_params` and gives each job its own resolved section, so that a job never sees a file
that has changed meanwhile.
"""

from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError, model_validator

from pipeline.consistency import check_categories, contradictions
from pipeline.errors import ParamsError
from pipeline.imaging.measures import limits
from pipeline.section import FieldError, Section, as_list, format_error
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.collect.params import CollectParams
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.dedup.params import DedupParams
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.export.params import ExportParams
from pipeline.stages.fetch.params import FetchParams
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.reference.params import ReferenceParams
from pipeline.stages.report.params import ReportParams
from pipeline.stages.train.params import TrainParams
from pipeline.stages.trends.params import TrendsParams

STAGES = (
    "collect",
    "fetch",
    "inspect",
    "dedup",
    "curate",
    "trends",
    "augment",
    "reference",
    "train",
    "evaluate",
    "report",
    "export",
)
DVC_KEYS = (("collect", "folder", "path"), ("collect", "list", "path"))
RENAMED = {  # keys, and values as `KEY: VALUE`, with their new names; `SECTION.KEY` where a key has moved to another section
    "collect.manifest": "list",
    "fetch.shards": "collect.shards",
    "collect.source: manifest": "list",
    "train.watchdog.max_returns": "max_rollbacks",
    "train.watchdog.rate_on_return": "rate_factor_on_rollback",
}


class Params(Section):
    """The whole of params.yaml."""

    collect: CollectParams
    fetch: FetchParams
    inspect: InspectParams
    dedup: DedupParams
    curate: CurateParams
    trends: TrendsParams
    augment: AugmentParams
    reference: ReferenceParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    export: ExportParams

    @model_validator(mode="after")
    def _check_contact(self) -> Self:
        if {"crawl", "list"} & set(self.collect.source) and not self.fetch.web.contact:
            raise FieldError("fetch.web.contact", "say who fetches: an e-mail address or a web page")
        return self

    @model_validator(mode="after")
    def _check_attributes(self) -> Self:
        if self.train.condition == "attributes" and not (self.augment.attributes or self.augment.garment_attributes):
            raise FieldError(
                "augment.attributes", "or garment_attributes must name the attributes when train.condition is attributes"
            )
        return self

    @model_validator(mode="after")
    def _check_captions(self) -> Self:
        if self.train.condition == "text" and not self.augment.captions:
            raise FieldError("augment.captions", "must be 1 or more, such as 8, when train.condition is text")
        return self

    @model_validator(mode="after")
    def _check_sketches(self) -> Self:
        if self.dedup.edited is not None and not self.inspect.sketch:
            raise FieldError("inspect.sketch", "must be true when dedup.edited is set")
        return self

    @model_validator(mode="after")
    def _check_detectors(self) -> Self:
        needed = {f"curate.{key}": measure.detector for key, measure, _ in limits() if getattr(self.curate, key) is not None}
        needed["curate.irrelevant_words"] = "clothing" if self.curate.irrelevant_words else None
        needed["augment.blur_faces"] = "faces" if self.augment.blur_faces else None
        needed["augment.ground"] = "garment" if self.augment.ground != "keep" else None
        needed["augment.frame"] = "garment" if self.augment.frame == "garment" else None
        needed["augment.garment_attributes"] = "garment" if self.augment.garment_attributes else None
        for key, detector in needed.items():
            if detector is not None and detector not in self.inspect.detect:
                raise FieldError("inspect.detect", f"must name {detector} when {key} is set")
        return self

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        for key, message in contradictions(self):
            raise FieldError(key, message)
        return self


def parse_params(content: Any, where: str = "params.yaml") -> Params:
    """The parameters in `content`, the parsed YAML. Raises ParamsError, one line that names the key."""
    if not isinstance(content, dict):
        raise ParamsError(f"{where}: must have one section per stage: {', '.join(STAGES)}")
    # A section of which every key is commented out is null in YAML.
    sections = {key: {} if value is None and key in STAGES else value for key, value in content.items()}
    try:
        return Params.model_validate(sections)
    except ValidationError as error:
        raise ParamsError(format_error(error, Params, where, RENAMED)) from None


def _check_dvc_keys(content: Any, where: str) -> None:
    """Raises ParamsError when the file lacks a key that dvc.yaml interpolates: DVC does not know our defaults."""
    for section, source, key in DVC_KEYS:
        sources = content[section] or {}
        if key not in (sources.get(source) or {}):
            raise ParamsError(f"{where}: {section}.{source}.{key}: missing; dvc.yaml reads it, so params.yaml must hold it")


def load_params(path: Path) -> Params:
    """The parameters in the YAML file at `path`. Raises ParamsError, one line that names the file and the key.

    Everything that params.yaml and the names of the categories decide is checked here, before any stage runs.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); copy one from presets/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    params = parse_params(content, str(path))
    _check_dvc_keys(content, str(path))
    check_categories(params, str(path))
    return params


def _with_new_names(content: dict[str, Any]) -> dict[str, Any]:
    content = deepcopy(content)
    for old, new in RENAMED.items():
        key, _, old_value = old.partition(": ")
        *sections, name = key.split(".")
        section: Any = content
        for part in sections:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or name not in section:
            continue
        if old_value:
            section[name] = [new if value == old_value else value for value in as_list(section[name])]
        else:
            place, _, key = new.rpartition(".")
            (content.setdefault(place, {}) if place else section)[key] = section.pop(name)
    return content


def with_defaults(content: dict[str, Any]) -> dict[str, Any]:
    """`content`, the parsed params.yaml of any revision, with today's names and defaults.

    A section that is invalid today stays as it is.
    """
    resolved = content = _with_new_names(content)
    for stage in STAGES:
        with suppress(ValidationError):
            resolved[stage] = section_type(stage).model_validate(content.get(stage) or {}).model_dump(mode="json")
    return resolved


def section_type(stage: str) -> type[Section]:
    """The class of the section `stage`."""
    kind: type[Section] = Params.model_fields[stage].annotation  # type: ignore[assignment]
    return kind


def parse_section(stage: str, content: str) -> Section:
    """The section of `stage` in `content`, the JSON that the Snakefile passes. Raises ParamsError."""
    kind = section_type(stage)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ParamsError(format_error(error, kind, stage)) from None
