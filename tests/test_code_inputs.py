"""A stage's code is what it imports, directly or not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.code_inputs import code_inputs, import_closure
from pipeline.params import STAGES
from pipeline.workflow.dvc_stages import with_code
from tests.support.project import ROOT

PRINT_INPUTS = "import json, sys; from pipeline.code_inputs import code_inputs; print(json.dumps(code_inputs(sys.argv[1])))"


@pytest.mark.parametrize("stage", STAGES)
def test_every_code_input_of_a_stage_is_a_file_of_the_project(stage: str) -> None:
    inputs = code_inputs(stage)
    assert {f"pipeline/stages/{stage}/run.py", f"pipeline/stages/{stage}/params.py"} <= set(inputs)
    assert [path for path in inputs if not (ROOT / path).is_file()] == []
    assert inputs == sorted(set(inputs))


@pytest.mark.parametrize("stage", STAGES)
def test_no_code_input_belongs_to_another_stage_to_tracking_or_to_the_studio(stage: str) -> None:
    others = tuple(f"pipeline/stages/{other}/" for other in STAGES if other != stage)
    assert [path for path in code_inputs(stage) if path.startswith((*others, "pipeline/tracking/", "studio/"))] == []


def test_how_png_metadata_is_written_is_no_input_of_any_stage() -> None:
    assert [stage for stage in STAGES if "pipeline/imaging/ai_label.py" in code_inputs(stage)] == []


def test_a_page_depends_on_its_own_templates_and_the_shared_ones() -> None:
    report = code_inputs("report")
    assert "pipeline/stages/report/templates/page.html.j2" in report
    assert "pipeline/pages/templates/style.css" in report
    assert "pipeline/stages/curate/templates/decisions.html.j2" not in report


def test_the_closure_of_a_module_without_imports_is_itself() -> None:
    assert import_closure("pipeline.metrics.score_kinds") == [ROOT / "pipeline/metrics/score_kinds.py"]


def test_dvc_yaml_lists_what_the_stages_import() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert with_code(text) == text, "run `make format`"
    stages = yaml.safe_load(text)["stages"]
    assert {stage: [dep for dep in stages[stage]["deps"] if dep.startswith("pipeline/")] for stage in STAGES} == {
        stage: code_inputs(stage) for stage in STAGES
    }


def test_an_added_import_appears_as_a_dependency_in_snakemake_and_dvc(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "pipeline/imaging/added.py").write_text("VALUE = 1\n")
    hashing = tmp_path / "pipeline/imaging/hashing.py"
    hashing.write_text(hashing.read_text(encoding="utf-8") + "\n\ndef lazily() -> None:\n    import pipeline.imaging.added\n")

    def run(*command: str) -> str:
        return subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "pipeline/imaging/added.py" in run("-c", PRINT_INPUTS, "inspect")
    assert "pipeline/imaging/added.py" not in run("-c", PRINT_INPUTS, "collect")
    run("-m", "pipeline.workflow.dvc_stages")
    stages = yaml.safe_load((tmp_path / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert "pipeline/imaging/added.py" in stages["inspect"]["deps"]
    assert "pipeline/imaging/added.py" not in stages["collect"]["deps"]


def test_files_other_than_code_keep_their_place_when_dvc_yaml_is_written() -> None:
    text = "stages:\n  train:\n    deps:\n      - pipeline/old.py\n      - data/train\n    outs:\n      - models/gan\n"
    assert with_code(text, lambda stage: [f"pipeline/{stage}.py"]) == text.replace("pipeline/old.py", "pipeline/train.py")
