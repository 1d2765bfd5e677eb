"""What stages note reaches MLflow, whole and once, also after MLflow was away; and the better generator is its champion."""

import json
import os
import platform
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pipeline.metrics.passport import compare_with_champion
from pipeline.tracking.flat_params import flat
from pipeline.tracking.spools import has_unsent, new_events, stage_costs, status_of
from pipeline.tracking.tracker import Tracker

SHA256 = "0123456789abcdef" * 4
SEND = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from pipeline.metrics.passport import compare_with_champion
from pipeline.tracking.mlflow_store import UnavailableError
from pipeline.tracking.follow import follow
try:
    for folder in sys.argv[1:]:
        follow(Path(folder), lambda: True, compare_with_champion, patience_s=2.0)
except UnavailableError as error:
    print(error)
    sys.exit(3)
"""


def onnx_generator() -> bytes:
    """A generator of ONNX that multiplies latents (N, 4) into pictures (N, 1, 4, 4)."""
    latents = helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["batch", 4])
    labels = helper.make_tensor_value_info("labels", TensorProto.INT64, ["batch"])
    pictures = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 1, 4, 4])
    weights = numpy_helper.from_array(np.full((4, 16), 0.1, dtype=np.float32), "weights")
    shape = numpy_helper.from_array(np.array([-1, 1, 4, 4]), "shape")
    nodes = [
        helper.make_node("MatMul", ["latents", "weights"], ["product"]),
        helper.make_node("Reshape", ["product", "shape"], ["pictures"]),
    ]
    graph = helper.make_graph(nodes, "generator", [latents, labels], [pictures], [weights, shape])
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    )


def entry(value: float, plus_minus: float = 0.01, split: str = "a") -> dict[str, Any]:
    return {"value": value, "plus_minus": plus_minus, "passport": {"reference": {"sha256": split}}}


def send(project: Path, *folders: Path, uri: str | None = None) -> int:
    """Exit status of a sender in a process of its own, as the door starts it."""
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MLFLOW_TRACKING_URI": uri or f"sqlite:///{project / 'mlflow.db'}",
        "PATH": os.environ["PATH"],
        "HOME": str(project),
    }
    done = subprocess.run([sys.executable, "-c", SEND, *map(str, folders)], cwd=project, env=environment, check=False)
    return done.returncode


def query(project: Path, sql: str) -> list[Any]:
    with sqlite3.connect(project / "mlflow.db") as connection:
        return connection.execute(sql).fetchall()


def note_a_stage(folder: Path) -> None:
    folder.mkdir()
    parent = Tracker(folder / "invocation.jsonl")
    parent.tags({"mlflow.runName": "snakemake test", "host": "here", "dvc_lock_sha256": "before"})
    Image.new("L", (8, 8)).save(folder / "grid.png")
    track = Tracker(folder / "train.jsonl")
    track.tags({"host": platform.node(), "device": "cpu"})
    track.params({"seed": 1, "network": {"name": "resnet", "width": 32}})
    track.dataset("train", SHA256, Path("data/train"), context="training", profile={"pictures": 5})
    for step in range(3):
        track.metrics({"loss": 1.0 / (step + 1)}, step=step)
    track.picture(folder / "grid.png", "samples", step=2)
    track.event("collapse", "hat", step=2)
    track.artifact(folder / "grid.png")
    track.note("# What came out")
    track.close("FINISHED")
    parent.tags({"dvc_lock_sha256": "after"})
    parent.close("FINISHED")


def test_everything_arrives_once(tmp_path: Path) -> None:
    spools = tmp_path / "spools"
    note_a_stage(spools)
    assert has_unsent(spools)
    # Nothing listens there: the spool waits.
    assert send(tmp_path, spools, uri="http://127.0.0.1:9") == 3
    assert has_unsent(spools)

    for _ in range(2):  # telling twice tells nothing twice
        assert send(tmp_path, spools) == 0
    assert not has_unsent(spools)
    assert query(tmp_path, "select name, status from runs order by name") == [
        ("snakemake test", "FINISHED"),
        ("train", "FINISHED"),
    ]
    assert query(tmp_path, "select step, value from metrics where key = 'loss' order by step") == [
        (0, 1.0),
        (1, 0.5),
        (2, pytest.approx(1 / 3)),
    ]
    assert ("network.name", "resnet") in query(tmp_path, "select key, value from params")
    tags = query(tmp_path, "select runs.name, key, value from tags join runs using (run_uuid)")
    assert ("train", "stage", "train") in tags
    assert ("train", "device", "cpu") in tags
    assert ("train", "event-collapse", "at 2: hat") in tags
    assert ("train", "dvc_lock_sha256", "after") in tags
    assert ("snakemake test", "mlflow.note.content", "# What came out") in tags
    assert [name for name, key, _ in tags if key == "mlflow.parentRunId"] == ["train"]
    ((name, digest, profile),) = query(tmp_path, "select name, digest, dataset_profile from datasets")
    assert (name, digest) == ("train", SHA256[:36])
    assert json.loads(str(profile)) == {"pictures": 5, "sha256": SHA256}
    assert query(tmp_path, "select value from input_tags where name = 'mlflow.data.context'") == [("training",)]
    assert list(tmp_path.rglob("artifacts/grid.png"))
    assert list(tmp_path.rglob("artifacts/images/samples+step+2+*.png"))


def test_a_killed_stage_is_not_left_running(tmp_path: Path) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    (spools / "train.jsonl").write_text('{"kind": "metrics", "time_ms": 1, "metrics": {"loss": 1.0}, "step": 0}\n')
    assert send(tmp_path, spools) == 0
    assert query(tmp_path, "select distinct status from runs") == [("KILLED",)]


def trained(project: Path, name: str, metrics: dict[str, Any]) -> Path:
    """The spools of an invocation that exported a generator called `name` before it was evaluated."""
    folder = project / name
    folder.mkdir()
    (folder / "generator.onnx").write_bytes(onnx_generator())
    (folder / "metrics.json").write_text(json.dumps(metrics))
    export, evaluate = Tracker(folder / "export.jsonl"), Tracker(folder / "evaluate.jsonl")
    export.model(folder / "generator.onnx", "garments", f"sha of {name}", f"About {name}")
    export.close("FINISHED")
    evaluate.metrics({"fd_classifier": metrics["fd_classifier"]["value"]})
    evaluate.evaluated(folder / "metrics.json", f"sha of {name}")
    evaluate.close("FINISHED")
    return folder


def test_the_champion_changes_only_beyond_the_spread_and_under_one_passport(tmp_path: Path) -> None:
    runs = [
        trained(tmp_path, "first", {"fd_classifier": entry(0.5)}),
        trained(tmp_path, "better", {"fd_classifier": entry(0.4)}),
        trained(tmp_path, "alike", {"fd_classifier": entry(0.39)}),
        trained(tmp_path, "elsewhere", {"fd_classifier": entry(0.1, split="b")}),
    ]
    assert send(tmp_path, *runs) == 0
    assert query(tmp_path, "select alias, version from registered_model_aliases") == [("champion", 2)]
    said: dict[Any, Any] = dict(
        query(tmp_path, "select version, value from model_version_tags where key = 'champion' order by version")
    )
    assert said == {
        1: "yes, the first version that was evaluated",
        2: "yes, beside version 1: better: fd_classifier 0.4 ± 0.01 against 0.5 ± 0.01",
        3: "no, beside version 2: no difference beyond ±: fd_classifier 0.39 ± 0.01 against 0.4 ± 0.01",
        4: "no, beside version 2: not comparable: fid is not in both. "
        "fd_classifier was measured differently: reference.sha256: b here, a there",
    }
    assert query(tmp_path, "select description from model_versions where version = 3") == [("About alike",)]
    assert (
        query(tmp_path, "select name, key, value from metrics join runs using (run_uuid) where value = 0.5")[0][1]
        == "fd_classifier"
    )
    (model,) = {path.read_text() for path in tmp_path.rglob("MLmodel") if "signature" in path.read_text()}.pop().split(
        "\nsignature"
    )[1:]
    assert '"name": "latents"' in model
    assert '"shape": [-1, 1, 4, 4]' in model
    assert len(list(tmp_path.rglob("input_example.json"))) == 4


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "why"),
    [
        ({"fid": entry(5.0, 0.4)}, {"fid": entry(6.0, 0.4)}, True, "better: fid 5 ± 0.4 against 6 ± 0.4"),
        ({"fid": entry(6.0, 0.4)}, {"fid": entry(5.0, 0.4)}, False, "worse: fid 6 ± 0.4 against 5 ± 0.4"),
        ({"fid": entry(5.0, 0.6)}, {"fid": entry(6.0, 0.4)}, False, "no difference beyond ±: fid 5 ± 0.6 against 6 ± 0.4"),
        # A distance that cannot be compared does not decide, but the next one may.
        (
            {"fid": entry(9.0, split="b"), "fd_classifier": entry(0.1)},
            {"fid": entry(1.0), "fd_classifier": entry(0.2)},
            True,
            "better: fd_classifier 0.1 ± 0.01 against 0.2 ± 0.01",
        ),
        ({"fid": {"absent": "no weights"}}, {}, False, "not comparable: fid is not in both. fd_classifier is not in both"),
    ],
)
def test_verdict(ours: dict[str, Any], theirs: dict[str, Any], better: bool, why: str) -> None:
    verdict = compare_with_champion(ours, theirs)
    assert (verdict.better, verdict.why) == (better, why)


def test_a_line_being_written_waits(tmp_path: Path) -> None:
    spool = tmp_path / "train.jsonl"
    spool.write_bytes(b'{"kind": "a", "time_ms": 1}\n{"kind": "b", "time_ms": 2')
    ((begin, end, event),) = new_events(spool, 0)
    assert (begin, event["kind"]) == (0, "a")
    with spool.open("ab") as file:
        file.write(b"}\n")
    assert [event["kind"] for _, _, event in new_events(spool, end)] == ["b"]


def test_a_stage_is_as_its_shards() -> None:
    spools = ["fetch-00000.jsonl", "fetch-00001.jsonl"]
    assert status_of({}, spools) == "RUNNING"
    assert status_of({spools[0]: "FINISHED"}, spools) == "RUNNING"
    assert status_of(dict.fromkeys(spools, "FINISHED"), spools) == "FINISHED"
    assert status_of({spools[0]: "FAILED", spools[1]: "FINISHED"}, spools) == "FAILED"


def test_costs_add_up_over_shards(tmp_path: Path) -> None:
    folder = tmp_path / "fetch"
    folder.mkdir(parents=True)
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    (folder / "00000.tsv").write_text(header + "2.0\t0:00:02\t100.0\t0\t0\t0\t0\t0\t90\t1.5\n")
    (folder / "00001.tsv").write_text(header + "3.0\t0:00:03\t300.0\t0\t0\t0\t0\t0\t90\tNA\n")
    assert stage_costs("fetch", tmp_path) == {"cost_wall_s": 5.0, "cost_cpu_s": 1.5, "cost_peak_mb": 300.0}
    assert stage_costs("train", tmp_path) == {}


def test_flat_parameters() -> None:
    assert flat({"a": 1, "b": {"c": 2, "d": {"e": 3}}, "f": {}}) == {"a": 1, "b.c": 2, "b.d.e": 3, "f": "{}"}
