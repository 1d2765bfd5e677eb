"""The schema of params.yaml: one section a stage, no defaults, unknown keys refused, checked before any work.

A class per section; the classes nest as the file does. Units and limits are in the names. The Snakefile reads the file through
`load_params` and hands each job its own section, so a job never sees a file that changed meanwhile.
"""

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError, model_validator

from pipeline.consistency import check_categories, contradictions
from pipeline.errors import ParamsError
from pipeline.section import BelowError, Section, one_line
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

STAGES = ("collect", "fetch", "inspect", "dedup", "curate", "augment", "reference", "train", "evaluate", "report", "export")


class Params(Section):
    """params.yaml, whole."""

    collect: CollectParams
    fetch: FetchParams
    inspect: InspectParams
    dedup: DedupParams
    curate: CurateParams
    augment: AugmentParams
    reference: ReferenceParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    export: ExportParams

    @model_validator(mode="after")
    def _the_web_is_told_who_asks(self) -> Self:
        if {"crawl", "manifest"} & set(self.collect.source) and not self.fetch.web.contact:
            raise BelowError("fetch.web.contact", "say who fetches: an e-mail address or a web page")
        return self

    @model_validator(mode="after")
    def _attributes_are_named(self) -> Self:
        if self.train.condition == "attributes" and not self.augment.attributes:
            raise BelowError("augment.attributes", "must name the attributes where train.condition is attributes")
        return self

    @model_validator(mode="after")
    def _edits_have_sketches(self) -> Self:
        if self.dedup.edited is not None and not self.inspect.sketch:
            raise BelowError("inspect.sketch", "must be true where dedup.edited is set")
        return self

    @model_validator(mode="after")
    def _what_is_limited_is_detected(self) -> Self:
        needs = {
            "curate.max_text": ("text", self.curate.max_text is not None),
            "curate.max_face": ("faces", self.curate.max_face is not None),
            "curate.min_clothing": ("clothing", self.curate.min_clothing is not None),
            "curate.max_irrelevance": ("clothing", self.curate.max_irrelevance is not None),
            "curate.max_misplacement": ("clothing", self.curate.max_misplacement is not None),
            "augment.blur_faces": ("faces", self.augment.blur_faces),
        }
        for key, (detector, used) in needs.items():
            if used and detector not in self.inspect.detect:
                raise BelowError("inspect.detect", f"must name {detector} where {key} is set")
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        for key, told in contradictions(self):
            raise BelowError(key, told)
        return self


def parse_params(content: Any, where: str = "params.yaml") -> Params:
    """The parameters in `content`, the parsed YAML. Raises ParamsError, one line that names the key."""
    if not isinstance(content, dict):
        raise ParamsError(f"{where}: must have one section a stage: {', '.join(STAGES)}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError(one_line(error, where)) from None


def load_params(path: Path) -> Params:
    """The parameters in the YAML file at `path`. Raises ParamsError, one line that names the file and the key.

    Whatever params.yaml and the names of the categories decide is checked here, before any stage runs.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); copy one from presets/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    params = parse_params(content, str(path))
    check_categories(params, str(path))
    return params


def parse_section(stage: str, content: str) -> Section:
    """One stage's section from its JSON, as the Snakefile passes it. Raises ParamsError."""
    kind: type[Section] = Params.model_fields[stage].annotation  # type: ignore[assignment]
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ParamsError(one_line(error, stage)) from None
