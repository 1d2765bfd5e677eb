"""What MLflow refuses, what cannot be reached, what was cut short: named in a line, and in nobody's way."""

import hashlib
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline.params import Params
from pipeline.storage.files import remove
from pipeline.tracking.flat_params import flat, names_of_dicts
from pipeline.tracking.mlflow_store import reason_of
from pipeline.tracking.mlflow_values import safe_name, safe_text
from pipeline.tracking.spools import MALFORMED, Progress, new_events, note_costs, noted_costs, stage_costs
from pipeline.tracking.tracker import SPOOLS, Tracker
from tests.support.mlflow_server import free_port, mlflow_server
from tests.tracking.test_sending import entry, onnx_generator, query

ROOT = Path(__file__).parents[2]


def send(project: Path, *options: str, uri: str | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m pipeline send` in `project`, with its database there."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(project)}
    environment |= {"MLFLOW_TRACKING_URI": uri} if uri else {}
    command = [sys.executable, "-m", "pipeline", "send", *options]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


SEND_EACH = """
import contextlib, io, json, os, sys
from pathlib import Path
from pipeline.__main__ import main
found = []
for project, uri in json.loads(sys.argv[1]):
    os.chdir(project)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        status = main(["send"])
    found.append((status, stderr.getvalue().splitlines()))
print(json.dumps(found))
"""


def send_each(*projects: tuple[Path, str]) -> list[tuple[int, list[str]]]:
    """Exit status and lines of `python -m pipeline send` in each project with its tracking URI, all in one process."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(projects[0][0])}
    arguments = json.dumps([(str(project), uri) for project, uri in projects])
    command = [sys.executable, "-c", SEND_EACH, arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def noted(project: Path, invocation: str = "one", stage: str = "train") -> Tracker:
    """A tracker of a stage of an invocation in `project`."""
    return Tracker(project / SPOOLS / invocation / f"{stage}.jsonl")


def lines(sent: subprocess.CompletedProcess[str]) -> list[str]:
    return sent.stderr.splitlines()


@pytest.mark.parametrize(
    "name",
    ["Women's Tops & Tees", "größe", "a\nb", "", ".", "../x", "/x", "x/", "a//b", "k" * 251, "bad\udcff", "tab\t", "colon:"],
)
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_param_name

    for ascii_only in (False, True):
        safe = safe_name(name, ascii_only=ascii_only)
        _validate_param_name(safe)
        assert 0 < len(safe) <= MAX_ENTITY_KEY_LENGTH
        assert safe.isascii() or not ascii_only
        assert safe_name(safe, ascii_only=ascii_only) == safe
    assert safe_name("Women's") != safe_name("Women&s")
    assert safe_name("loss_generator") == "loss_generator"


def test_any_text_can_be_encoded_and_is_cut() -> None:
    assert safe_text("a\0\udcffb", 10).encode() == "a\ufffd?b".encode()
    assert safe_text("x" * 11, 10) == "x" * 9 + "…"
    assert safe_text("", 10) == ""


def test_dicts_of_free_words_are_one_parameter() -> None:
    assert {"collect.crawl.categories", "collect.list.columns"} <= names_of_dicts(Params)
    params = {"crawl": {"categories": {"hats": "hat"}}, "other": {"Women's Tops & Tees": {"x": 1}}, "deep": {"a": {"b": 1}}}
    assert flat(params, {"crawl.categories"}) == {
        "crawl.categories": '{"hats": "hat"}',
        "other": '{"Women\'s Tops & Tees": {"x": 1}}',
        "deep.a.b": 1,
    }


def test_what_mlflow_refuses_is_named_and_holds_up_nothing(tmp_path: Path) -> None:
    track = noted(tmp_path)
    track.params({"crawl": {"categories": {"Women's Tops & Tees": "t-shirt"}}, "empty": "", "long": "ü" * 9000, "Größe '1'": 1})
    track.params({f"p{number}": "ß" * 5000 for number in range(120)})
    track.metrics({"nan": float("nan"), "inf": float("inf"), "fid_Women's": 2.0, "größe": 3.0})
    track.metrics({"beyond any integer": 1.0, "fine": 1.0}, step=2**70)
    track.tags({"Sam's": "a\nb\0c\x01", "long": "x" * 9000, "empty": ""})
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n half")
    track.picture(tmp_path / "torn.png", "samples", step=1)
    Image.new("L", (8, 8)).save(tmp_path / "größe & co.png")
    track.picture(tmp_path / "größe & co.png", "größe & co", step=1)
    track.artifact(tmp_path / "größe & co.png")
    track.artifact(tmp_path / "never written.png")
    track.metrics({"last": 4.0})
    track.close("FINISHED")
    behind = noted(tmp_path, "two")
    behind.metrics({"behind": 5.0})
    behind.close("FINISHED")

    sent = send(tmp_path)
    assert sent.returncode == 0, sent.stderr
    skipped = [name for line in lines(sent) for name in ("torn.png", "beyond any integer", "fine") if name in line]
    assert skipped == ["beyond any integer", "fine", "torn.png"]
    assert len(lines(sent)) == len(skipped)
    assert dict(query(tmp_path, "select key, value from params where key in ('crawl.categories', 'empty')")) == {
        "crawl.categories": '{"Women\'s Tops & Tees": "t-shirt"}',
        "empty": "",
    }
    assert query(tmp_path, "select count(*) from params") == [(124,)]
    metrics = [key for (key,) in query(tmp_path, "select key from metrics")]
    assert {"nan", "inf", "größe", "last", "behind", safe_name("fid_Women's")} <= set(metrics)
    assert query(tmp_path, "select length(value) from tags where key = 'long'") == [(8000,)]
    assert query(tmp_path, "select distinct status from runs where name = 'train'") == [("FINISHED",)]
    assert len(list((tmp_path / "mlruns").rglob("größe & co.png"))) == 1
    assert len(list((tmp_path / "mlruns").rglob("images/gr__e _ co*.png"))) == 1
    assert not list((tmp_path / SPOOLS).rglob("kept"))
    assert lines(send(tmp_path)) == []


@pytest.mark.parametrize(
    "end", [b'{"kind": "metrics", "time_ms": 2, "metr', b"\0" * 300, b'{"kind": "metrics"\0\0', b"\xff\xfe", b"7"]
)
def test_a_torn_line_is_skipped_and_what_was_noted_after_it_is_logged(tmp_path: Path, end: bytes) -> None:
    spool = tmp_path / "train.jsonl"
    first = Tracker(spool)
    first.metrics({"before": 1.0})
    first.close("FAILED")
    with spool.open("ab") as file:
        file.write(end)
    read = list(new_events(spool, 0))
    assert [event["kind"] for _, _, event in read] == ["metrics", "end"]
    assert [event["kind"] for _, _, event in new_events(spool, read[-1][1], ended=True)] == [MALFORMED]
    again = Tracker(spool)
    again.metrics({"after": 2.0})
    again.close("FINISHED")
    kinds = [event["kind"] for _, _, event in new_events(spool, 0)]
    assert kinds == ["metrics", "end", MALFORMED, "metrics", "end"]
    size = len(end) + read[-1][1]  # a sender that read the half line as the end of the spool goes on behind it
    assert [event["kind"] for _, _, event in new_events(spool, size)] == ["metrics", "end"]


def test_torn_spools_and_notes_hold_up_no_other_invocation(tmp_path: Path) -> None:
    for invocation in ("a-torn", "b-empty", "c-damaged", "d-healthy"):
        track = noted(tmp_path, invocation)
        track.metrics({invocation: 1.0})
        track.close("FINISHED")
    with (tmp_path / SPOOLS / "a-torn" / "train.jsonl").open("ab") as file:
        file.write(b'{"kind": "metr')
    (tmp_path / SPOOLS / "b-empty" / "evaluate.jsonl").touch()
    (tmp_path / SPOOLS / "b-empty" / "progress.json").touch()
    (tmp_path / SPOOLS / "c-damaged" / "progress.json").write_text('{"runs": {"train"')
    (tmp_path / SPOOLS / "c-damaged" / "costs.json").write_bytes(b"\0" * 10)
    (tmp_path / SPOOLS / "stray.txt").touch()
    os.mkfifo(tmp_path / SPOOLS / "c-damaged" / "pipe.jsonl")
    for invocation in ("a-blocked", "b-blocked"):
        note_one(tmp_path, invocation)
        (tmp_path / SPOOLS / invocation / "progress.json").mkdir()
    blocked = send(tmp_path)
    assert blocked.returncode == 1
    assert [sum(f"{name}/progress.json" in line for line in lines(blocked)) for name in ("a-blocked", "b-blocked")] == [1, 1]
    for invocation in ("a-blocked", "b-blocked"):
        shutil.rmtree(tmp_path / SPOOLS / invocation)
    named = [name for line in lines(blocked) for name in ("a-torn", "b-empty", "c-damaged") if name in line]
    assert named == ["b-empty", "c-damaged"]
    assert any("train.jsonl" in line for line in lines(blocked))
    assert {key for (key,) in query(tmp_path, "select key from metrics")} == {"a-torn", "b-empty", "c-damaged", "d-healthy"}
    assert lines(send(tmp_path)) == []


@pytest.mark.slow
def test_what_a_run_made_is_logged_of_it_though_mlflow_was_away_and_the_next_run_overwrote_it(tmp_path: Path) -> None:
    made: dict[str, dict[str, str]] = {}
    for run, value in (("first", 0.5), ("second", 0.4)):
        files = {
            "generator.onnx": onnx_generator(),
            "metrics.json": json.dumps({"fd_classifier": entry(value)}).encode(),
            "page.html": f"page of {run}".encode(),
            "folder/deep/a.csv": f"table of {run}".encode(),
        }
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)  # in place, as the worst tool does it
        Image.new("L", (8, 8), 100 if run == "first" else 200).save(tmp_path / "sheet.png")
        made[run] = {Path(name).name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        (tmp_path / "logs/benchmarks").mkdir(exist_ok=True, parents=True)
        (tmp_path / "logs/benchmarks/export.tsv").write_text(f"s\tmax_rss\tcpu_time\n{value}\t1\t1\n")
        export, evaluate = noted(tmp_path, run, "export"), noted(tmp_path, run, "evaluate")
        export.model(tmp_path / "generator.onnx", "garments", f"sha of {run}", f"About {run}")
        export.artifact(tmp_path / "page.html")
        export.close("FINISHED")
        evaluate.picture(tmp_path / "sheet.png", "samples")
        evaluate.artifact(tmp_path / "folder")
        evaluate.evaluated(tmp_path / "metrics.json", f"sha of {run}")
        evaluate.close("FINISHED")
        ended = tmp_path / f"ended {run}"
        follow = ["--follow", run, "--until", str(ended), "--process-id", str(os.getpid())]
        uri = f"http://127.0.0.1:{free_port()}" if run == "first" else None
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri or "sqlite:///mlflow.db"}
        sender = subprocess.Popen([sys.executable, "-m", "pipeline", "send", *follow], cwd=tmp_path, env=environment)
        time.sleep(1)  # it has begun while the run is still going, as with snakemake
        ended.touch()
        assert sender.wait() == (1 if run == "first" else 0)
    assert send(tmp_path).returncode == 0

    evaluations = "select t.value, r.artifact_uri from runs r join tags t using (run_uuid) where t.key = 'generator_sha256'"
    for generator, place in query(tmp_path, evaluations):
        run = generator.removeprefix("sha of ")
        for path in Path(place).rglob("*.*"):
            if path.name in made[run]:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == made[run][path.name], (run, path.name)
            elif path.suffix == ".png":
                with Image.open(path) as picture:
                    assert picture.getpixel((0, 0)) == (100 if run == "first" else 200)
        assert (Path(place) / "folder/deep/a.csv").is_file()
    parents = "select p.value, r.artifact_uri from runs r join tags p using (run_uuid) where p.key = 'mlflow.parentRunId'"
    pages = {(Path(place) / "page.html").read_text() for _, place in query(tmp_path, f"{parents} and r.name = 'export'")}
    assert pages == {"page of first", "page of second"}
    versions = dict(query(tmp_path, "select version, value from model_version_tags where key = 'generator_sha256'"))
    abouts = dict(query(tmp_path, "select version, description from model_versions"))
    assert {versions[version].removeprefix("sha of ") for version in abouts} == {"first", "second"}
    assert all(about == f"About {versions[version].removeprefix('sha of ')}" for version, about in abouts.items())
    champion = query(tmp_path, "select version from registered_model_aliases where alias = 'champion'")[0][0]
    assert versions[champion] == "sha of second"
    costs = "select value from metrics where key = 'cost_wall_s' order by value"
    assert query(tmp_path, costs) == [(0.4,), (0.5,)]
    assert not list((tmp_path / SPOOLS).rglob("kept"))


def test_only_so_much_is_kept_while_mlflow_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "small.bin").write_bytes(bytes(600))
    first = Tracker(tmp_path / "logs/one/train.jsonl", max_kept_bytes=1000)
    first.artifact(tmp_path / "small.bin")
    second = Tracker(tmp_path / "logs/two/train.jsonl", max_kept_bytes=1000)
    second.artifact(tmp_path / "small.bin")
    for track in (first, second):
        track.close("FINISHED")
    assert [record.levelname for record in caplog.records if "small.bin" in record.getMessage()] == ["WARNING"]
    assert len(list((tmp_path / "logs").rglob("kept/*/small.bin"))) == 1


def test_what_was_refused_or_sent_does_not_count_as_kept(tmp_path: Path) -> None:
    for name, size in (("large.bin", 2000), ("small.bin", 600)):
        (tmp_path / name).write_bytes(bytes(size))
    track = Tracker(tmp_path / "logs/one/train.jsonl", max_kept_bytes=1000)
    for name in ("large.bin", "small.bin", "small.bin"):
        track.artifact(tmp_path / name)
    for copies in (tmp_path / "logs/one/kept").iterdir():  # as the sender does once MLflow has them
        remove(copies)
    track.artifact(tmp_path / "small.bin")
    track.close("FINISHED")
    events = [json.loads(line) for line in (tmp_path / "logs/one/train.jsonl").read_text().splitlines()]
    assert ["kept" in event for event in events if event["kind"] == "artifact"] == [False, True, False, True]


def test_the_reason_of_an_error_is_its_first_line_that_says_one() -> None:
    hint = "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block)"
    assert reason_of(OSError(f"{hint}\n(sqlite3.OperationalError) no such table: metrics\n[SQL: …]")).endswith("metrics")


def note_one(project: Path, invocation: str = "one") -> None:
    """An invocation in `project` that noted one number."""
    track = noted(project, invocation)
    track.metrics({"kept": 1.0})
    track.close("FINISHED")


def delete_experiment(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        connection.execute("update experiments set lifecycle_stage = 'deleted' where name = 'atelier'")
    return "mlflow experiments restore --experiment-id 1"


def age_schema(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = 'cfd24bdc0731'")
    return f"mlflow db upgrade sqlite:///{database}"


def overwrite(database: Path) -> str:
    database.write_bytes(b"no database " * 1000)
    return str(database)


def cut_off(database: Path) -> str:
    with database.open("r+b") as file:
        file.truncate(20_000)
    return str(database)


def refuse_runs(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        connection.execute("update experiments set artifact_location = ?", (f"{database.parent}/mlruns/1",))
        connection.execute("create trigger refuse before insert on runs begin select raise(abort, 'no more runs'); end")
    return "no more runs"


def begin(database: Path) -> None:
    """What MLflow leaves of a database when it is killed while it creates it."""
    database.unlink()
    with sqlite3.connect(database) as connection:
        connection.execute("create table experiments (experiment_id integer primary key, name text)")
        connection.execute("create table runs (run_uuid text primary key)")
    os.utime(database, (1, 1))


def test_a_store_that_cannot_be_used_is_one_line_with_the_cure_and_one_half_made_is_made_anew(tmp_path: Path) -> None:
    made = tmp_path / "made"
    note_one(made)
    assert send_each((made, f"sqlite:///{made}/mlflow.db")) == [[0, []]]
    cures, projects = [], []
    for harm in (delete_experiment, age_schema, overwrite, cut_off, refuse_runs, begin):
        project = tmp_path / harm.__name__
        note_one(project)
        shutil.copy(made / "mlflow.db", project)
        cures.append(harm(project / "mlflow.db"))
        projects.append((project, f"sqlite:///{project}/mlflow.db"))
    places = {
        "./mlruns": "MLFLOW_ALLOW_FILE_STORE",
        "sqlite:///.": "unable to open",
        "nonsense://x": "nonsense",
        "sqlite://": "keeps nothing",
        "sqlite:///:memory:": "keeps nothing",
        "http://127.0.0.1:9": "127.0.0.1:9 cannot be reached",
        "postgresql://me:secret@127.0.0.1:9/runs": "127.0.0.1:9 cannot be reached",
    }
    note_one(tmp_path / "elsewhere")
    projects += [(tmp_path / "elsewhere", uri) for uri in places]
    found = send_each(*projects)
    harmed, begun, elsewhere = found[:5], found[5], found[6:]
    for cure, (status, (line,)) in zip([*cures[:5], *places.values()], [*harmed, *elsewhere], strict=True):
        assert status == 1
        assert cure is not None
        assert cure in line
        assert ("reached" in line) == ("reached" in cure)
        assert "secret" not in line
    assert begun == [0, []]
    assert query(tmp_path / "begin", "select key from metrics") == [("kept",)]
    assert (tmp_path / "begin" / "mlflow.db.unfinished").exists()


@pytest.mark.slow
def test_a_sender_killed_while_it_creates_the_database_leaves_nothing_half_made(tmp_path: Path) -> None:
    note_one(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    sender = subprocess.Popen([sys.executable, "-m", "pipeline", "send"], cwd=tmp_path, env=environment)
    while not list(tmp_path.glob(".mlflow.db.new.*.partial/mlflow.db")):
        assert sender.poll() is None
        time.sleep(0.01)
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    assert not (tmp_path / "mlflow.db").exists()
    sent = send(tmp_path)
    assert (sent.returncode, lines(sent)) == (0, [])
    assert query(tmp_path, "select key from metrics") == [("kept",)]
    assert not list(tmp_path.glob(".mlflow.db*")) + list(tmp_path.glob("mlflow.db.new*"))


@pytest.mark.slow
@pytest.mark.parametrize("moved", [False, True], ids=["copied", "moved"])
def test_a_project_elsewhere_writes_nothing_where_it_came_from(tmp_path: Path, moved: bool) -> None:
    old, new = tmp_path / "old", tmp_path / "new's"
    old.mkdir()
    (old / "page.html").write_text("old")
    track = noted(old, "earlier")
    track.artifact(old / "page.html")
    track.close("FINISHED")
    assert send(old).returncode == 0
    if moved:
        old.rename(new)
    else:
        shutil.copytree(old, new)
    before = sorted(old.rglob("*"))
    (new / "page.html").write_text("new")
    track = noted(new)
    track.artifact(new / "page.html")
    track.close("FINISHED")
    sent = send(new)
    (line,) = lines(sent)
    assert sent.returncode == 1
    assert str(old) in line
    assert "--relocate" in line
    sent = send(new, "--relocate")
    assert (sent.returncode, lines(sent)) == (0, [])
    assert sorted(old.rglob("*")) == before
    for (place,) in query(new, "select artifact_uri from runs where name = 'report' or name = 'train'"):
        assert Path(place).is_relative_to(new)
        assert (Path(place) / "page.html").exists()
    assert sorted(path.read_text() for path in (new / "mlruns").rglob("page.html")) == ["new", "old"]


LOCKED = """
import logging, sqlite3, sys, threading, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import mlflow  # takes seconds, which are none of the lock's
from pipeline.metrics.passport import compare_with_champion
from pipeline.tracking.follow import follow
blocker = sqlite3.connect("mlflow.db", isolation_level=None, check_same_thread=False)
blocker.execute("BEGIN EXCLUSIVE")
threading.Timer(4.0, lambda: blocker.execute("ROLLBACK")).start()  # after a first try has given up
follow(Path(sys.argv[1]), lambda: True, compare_with_champion, patience_s=120.0)
"""


@pytest.mark.slow
def test_a_locked_database_is_waited_for_without_a_traceback(tmp_path: Path) -> None:
    note_one(tmp_path)
    assert send(tmp_path).returncode == 0
    track = noted(tmp_path, "two")
    track.metrics({"later": 1.0})
    track.close("FINISHED")
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-c", LOCKED, str(SPOOLS / "two")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("later",) in query(tmp_path, "select key from metrics")


@pytest.mark.slow
def test_two_runs_at_once_beside_a_server_share_its_database(tmp_path: Path) -> None:
    for invocation in ("one", "two"):
        track = noted(tmp_path, invocation)
        track.tags({"host": platform.node()})
        track.metrics({invocation: 1.0})
        track.close("FINISHED")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    with mlflow_server(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", free_port()):
        senders = [
            subprocess.Popen(
                [sys.executable, "-m", "pipeline", "send", "--follow", invocation, "--until", ".", "--process-id", "1"],
                cwd=tmp_path,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for invocation in ("one", "two")
        ]
        found = [(sender.communicate()[1], sender.returncode) for sender in senders]
    assert found == [("", 0), ("", 0)]
    assert sorted(query(tmp_path, "select key from metrics where key in ('one', 'two')")) == [("one",), ("two",)]


def test_costs_are_those_of_their_run_and_a_torn_table_costs_only_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "benchmarks/fetch").mkdir(parents=True)
    (tmp_path / "benchmarks/fetch/0.tsv").write_text("s\tmax_rss\tcpu_time\n2.0\t100\t1.5\n")
    (tmp_path / "benchmarks/fetch/1.tsv").write_bytes(b"s\tmax_rss\tcpu_time\n3.0\t1\0")
    (tmp_path / "benchmarks/fetch/2.tsv").touch()
    expected = {"cost_wall_s": 5.0, "cost_cpu_s": 1.5, "cost_peak_mb": 100.0}
    assert stage_costs("fetch", tmp_path / "benchmarks") == expected
    Tracker(tmp_path / "run/fetch-0.jsonl").close("FINISHED")
    note_costs(tmp_path / "run", tmp_path / "benchmarks")
    (tmp_path / "benchmarks/fetch/0.tsv").write_text("s\n99\n")
    assert noted_costs(tmp_path / "run") == {"fetch": expected}
    assert noted_costs(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0",
        b"{",
        b"[]",
        b"null",
        b'{"unknown": 1}',
        b'{"runs": null}',
        b'{"offsets": {"train.jsonl": "3"}}',
        b'{"offsets": {"train.jsonl": -3}}',
        b'{"waiting": {"train.jsonl": 3}}',
        b'{"shared": 5}',
        b"[" * 100_000,
    ],
)
def test_damaged_progress_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "progress.json").write_bytes(content)
    assert Progress.load(tmp_path) == Progress()


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"train": 5}', b'{"train": {"cost_wall_s": "x"}}', b'{"train": {"s": null}}']
)
def test_damaged_costs_count_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "costs.json").write_bytes(content)
    assert noted_costs(tmp_path) == {}


@pytest.mark.parametrize("kept", ["7", '"../../precious"', '"."', '""', '"a\\u0000b"', "null"])
def test_an_event_whose_copies_would_lie_elsewhere_is_malformed(tmp_path: Path, kept: str) -> None:
    spool = tmp_path / "train.jsonl"
    spool.write_text(f'{{"kind": "artifact", "time_ms": 1, "path": "x", "kept": {kept}, "files": {{}}}}\n')
    assert [event for _, _, event in new_events(spool, 0)] == [{"kind": MALFORMED}]
