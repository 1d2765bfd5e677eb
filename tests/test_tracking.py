"""What stages note reaches MLflow, whole and once, also after MLflow was away."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline.store.tracking import Tracker, flat, follow, has_untold, new_events, spool_of_job, stage_costs


def _note_a_stage(folder: Path) -> None:
    parent = Tracker(folder / "invocation.jsonl")
    parent.tags({"mlflow.runName": "snakemake test", "host": "here"})
    Image.new("L", (8, 8)).save(folder / "grid.png")
    track = Tracker(folder / "train.jsonl")
    track.params({"seed": 1, "network": {"name": "resnet", "width": 32}})
    for step in range(3):
        track.metrics({"loss": 1.0 / (step + 1)}, step=step)
    track.picture(folder / "grid.png", "samples", step=2)
    track.artifact(folder / "grid.png")
    track.close("FINISHED")
    parent.close("FINISHED")


SEND = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from pipeline.store.tracking import follow
sys.exit(0 if follow(Path(sys.argv[1]), lambda: True, patience_s=2.0) else 3)
"""


def _send(folder: Path, uri: str) -> int:
    """Exit status of a sender in a process of its own, as the door starts it."""
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "MLFLOW_TRACKING_URI": uri, "PATH": "", "HOME": str(folder)}
    done = subprocess.run([sys.executable, "-c", SEND, str(folder)], cwd=folder, env=environment, check=False)
    return done.returncode


def _query(database: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(sql).fetchall()


def test_everything_arrives_once(tmp_path: Path) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    _note_a_stage(spools)
    assert has_untold(spools)
    # Nothing listens there: the spool waits.
    assert _send(spools, "http://127.0.0.1:9") == 3
    assert has_untold(spools)

    database = tmp_path / "mlflow.db"
    for _ in range(2):  # telling twice tells nothing twice
        assert _send(spools, f"sqlite:///{database}") == 0
    assert not has_untold(spools)
    assert _query(database, "select name, status from runs order by name") == [
        ("snakemake test", "FINISHED"),
        ("train", "FINISHED"),
    ]
    assert _query(database, "select step, value from metrics where key = 'loss' order by step") == [
        (0, 1.0),
        (1, 0.5),
        (2, pytest.approx(1 / 3)),
    ]
    assert ("network.name", "resnet") in _query(database, "select key, value from params")
    parents = _query(database, "select count(*) from tags where key = 'mlflow.parentRunId'")
    assert parents == [(1,)]
    assert list(spools.rglob("artifacts/grid.png"))


def test_a_line_being_written_waits(tmp_path: Path) -> None:
    spool = tmp_path / "train.jsonl"
    spool.write_bytes(b'{"kind": "a"}\n{"kind": "b"')
    events = list(new_events(spool, 0))
    assert [event for _, event in events] == [{"kind": "a"}]
    with spool.open("ab") as file:
        file.write(b"}\n")
    assert [event for _, event in new_events(spool, events[-1][0])] == [{"kind": "b"}]


def test_without_a_spool_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATELIER_INVOCATION", raising=False)
    track = Tracker(spool_of_job(Path("logs/train.log")))
    track.metrics({"loss": 1.0})
    track.close("FINISHED")
    assert list(tmp_path.iterdir()) == []


def test_a_sharded_job_has_a_spool_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INVOCATION", "one")
    assert spool_of_job(Path("logs/train.log")) == Path("logs/tracking/one/train.jsonl")
    assert spool_of_job(Path("logs/fetch/00003.log")) == Path("logs/tracking/one/fetch-00003.jsonl")


def test_costs_add_up_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "logs/benchmarks/fetch"
    folder.mkdir(parents=True)
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    (folder / "00000.tsv").write_text(header + "2.0\t0:00:02\t100.0\t0\t0\t0\t0\t0\t90\t1.5\n")
    (folder / "00001.tsv").write_text(header + "3.0\t0:00:03\t300.0\t0\t0\t0\t0\t0\t90\tNA\n")
    assert stage_costs("fetch") == {"cost_wall_s": 5.0, "cost_cpu_s": 1.5, "cost_peak_mb": 300.0}
    assert stage_costs("train") == {}


def test_flat_parameters() -> None:
    assert flat({"a": 1, "b": {"c": 2, "d": {"e": 3}}, "f": {}}) == {"a": 1, "b.c": 2, "b.d.e": 3, "f": {}}


def test_events_are_readable_json(tmp_path: Path) -> None:
    track = Tracker(tmp_path / "t.jsonl")
    track.metrics({"loss": 1})
    track.close("FAILED")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert kinds == ["metrics", "end"]
    assert callable(follow)
