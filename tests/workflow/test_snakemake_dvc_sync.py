"""Snakemake and DVC: the same stages, edges and parameters; and, whatever is done in whichever order, one state."""

import json
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.params import STAGES
from tests.support.checkout import SNAKEMAKE, Checkout, clean_environment
from tests.support.project import ROOT

pytestmark = [pytest.mark.graph, pytest.mark.timeout(900)]


# What Snakemake looks up once collect has run; a dry run prints it as <TBD>.
AFTER_COLLECT = {"fetch": "data/manifest/00000.parquet", "inspect": "data/raw/00000.tar"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which one plain `snakemake` has run everything, once for all tests here; each works on a copy."""
    checkout = Checkout.make(tmp_path_factory.mktemp("checkout") / "project")
    checkout.run(*SNAKEMAKE)
    checkout.commit("first run")
    return checkout


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Checkout:
    return finished.copy(tmp_path / "project")


def _covers(declared: str, path: str) -> bool:
    return path == declared or path.startswith(f"{declared}/")


def test_snakefile_dvc_params_and_modules_agree(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    output = checkout.run("snakemake", "--dry-run", "--forceall", "--cores", "1", "--nocolor")
    jobs: dict[str, dict[str, set[str]]] = {}
    for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) |\[)", output):
        if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block):
            job = jobs.setdefault(match[1], {"input": set(), "output": set()})
            for kind in job:
                if line := re.search(rf"^    {kind}: (.*)$", block, re.MULTILINE):
                    job[kind] |= set(line[1].split(", "))
    versioned = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = checkout.params()
    for stage, path in AFTER_COLLECT.items():
        jobs[stage]["input"] = (jobs[stage]["input"] - {"<TBD>"}) | {path}

    assert set(STAGES) <= set(jobs)
    assert tuple(versioned) == STAGES == tuple(params)
    for stage in STAGES:
        assert (ROOT / f"pipeline/stages/{stage}/run.py").is_file()
        entry = versioned[stage]
        assert entry["params"] == ([each for each in STAGES if each != "export"] if stage == "report" else [stage])
        deps = [dep for dep in entry["deps"] if not dep.startswith("${")]
        chosen = f"${{collect.{params['collect']['source']}.path}}"
        if chosen in entry["deps"]:
            deps.append(params["collect"][params["collect"]["source"]]["path"])
        outs = entry["outs"] + entry.get("metrics", [])
        for declared, paths in ((deps, jobs[stage]["input"]), (outs, jobs[stage]["output"])):
            assert [path for path in paths if not any(_covers(one, path) for one in declared)] == []
            assert [one for one in declared if not any(_covers(one, path) for path in paths)] == []
        assert f"--allowed-rules {stage} " in entry["cmd"]


def test_snakemakes_own_report_holds_the_pages_and_pictures_with_their_captions(checkout: Checkout) -> None:
    checkout.run("snakemake", "--report", "reports/snakemake.html")
    html = (checkout.folder / "reports/snakemake.html").read_text(encoding="utf-8")
    assert all(f'"{name}"' in html for name in ("index.html", "curation.html", "grid.png", "look_alikes.png"))
    for caption in ("The whole run on one self-contained page", "every group of near-duplicates", "by hash and thumbnail"):
        assert caption in html
    assert "One run of Atelier" in html
    assert "reports/plots.html" in checkout.run("python", "-m", "pipeline", "plots")
    checkout.assert_all_up_to_date()


def test_snakemake_and_dvc_agree_after_a_run(checkout: Checkout) -> None:
    times = {path: (checkout.folder / path).stat().st_mtime_ns for path in checkout.hashes()}
    checkout.assert_all_up_to_date()
    assert {path: (checkout.folder / path).stat().st_mtime_ns for path in times} == times, "the run left outputs to be touched"


def test_changed_evaluate_runs_it_and_what_follows_then_comes_back_from_cache(checkout: Checkout) -> None:
    before = checkout.hashes()
    samples = checkout.params()["evaluate"]["samples"]
    checkout.change("evaluate", lambda section: section.update(samples=samples - 3))
    assert checkout.stages_run_by("dvc", "repro") == {"evaluate", "report"}
    assert checkout.hashes() != before
    assert "Nothing to be done" in checkout.run("snakemake", "--dry-run")

    checkout.change("evaluate", lambda section: section.update(samples=samples))
    assert checkout.stages_run_by("dvc", "repro") == set()
    assert checkout.hashes() == before
    checkout.assert_all_up_to_date()


@pytest.mark.slow
def test_changed_train_then_the_older_commit(checkout: Checkout) -> None:
    before = checkout.hashes()
    checkout.change("train", lambda section: section.update(seed=section["seed"] + 1))
    assert checkout.stages_run_by(*SNAKEMAKE) == {"train", "evaluate", "report", "export"}
    assert "up to date" in checkout.run("dvc", "status")
    assert checkout.hashes()["models/gan"] != before["models/gan"]
    checkout.commit("another seed")
    assert "reports/runs.html: 2 runs" in checkout.run("python", "-m", "pipeline", "compare")
    page = (checkout.folder / "reports/runs.html").read_text()
    for output in (": another seed", ": first run", "<dt>train.seed</dt><dd>0 → 1</dd>", "What Run 2 cost"):
        assert output in page

    checkout.run("git", "checkout", "--quiet", "HEAD~1")
    checkout.run("dvc", "checkout", "--quiet")
    assert checkout.hashes() == before
    checkout.assert_all_up_to_date()


def test_default_changed_in_code_concerns_its_stage_in_snakemake_and_dvc(checkout: Checkout) -> None:
    path = checkout.folder / "pipeline/stages/export/params.py"
    code = path.read_text(encoding="utf-8")
    changed = code.replace("max_difference: Positive = 0.0001", "max_difference: Positive = 0.0002")
    assert changed != code
    path.write_text(changed, encoding="utf-8")
    planned = checkout.run("snakemake", "--dry-run", "--nocolor")
    assert set(re.findall(r"^rule (\w+):", planned, re.MULTILINE)) & set(STAGES) == {"export"}
    assert json.loads(checkout.run("dvc", "status", "--json")).keys() == {"export"}


def test_partial_target_records_its_stages_and_no_others(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    checkout.run("snakemake", "--cores", "2", "data/duplicates.parquet")
    lock = yaml.safe_load((checkout.folder / "dvc.lock").read_text())
    assert set(lock["stages"]) == {"collect", "fetch", "inspect", "dedup"}


def _kill_stage_when_it_runs(snakemake: "subprocess.Popen[str]", stage: str, delay_s: float) -> bool:
    """Whether a process of `stage` was there to be killed; only descendants of `snakemake` are looked at."""
    parent = psutil.Process(snakemake.pid)
    while snakemake.poll() is None:
        for child in parent.children(recursive=True):
            try:
                if child.cmdline()[1:4] == ["-m", "pipeline", stage]:
                    time.sleep(delay_s)
                    child.kill()
                    return True
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_stage_killed_at_any_moment_changes_nothing(finished: Checkout, tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    moment = random.Random(0)
    killed = set()
    for stage in STAGES:
        # Forced, for it may have finished beside the one that was killed before.
        command = [*SNAKEMAKE, "--forcerun", stage]
        with subprocess.Popen(
            command,
            cwd=checkout.folder,
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
        ) as snakemake:
            if _kill_stage_when_it_runs(snakemake, stage, moment.uniform(0.0, 0.5)):
                killed.add(stage)
    checkout.run(*SNAKEMAKE)
    assert killed == set(STAGES)
    assert checkout.hashes() == finished.hashes()
    assert not list(checkout.folder.rglob(".*.partial")), "something half-written is left"


@pytest.mark.slow
def test_same_bytes_with_other_cores_and_by_dvc_repro(finished: Checkout, tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    checkout.run("dvc", "repro")
    assert checkout.hashes() == finished.hashes()


def test_wrong_params_stop_before_any_work(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    checkout.change("train", lambda section: section.update(batch_size=-3))
    output = checkout.run(*SNAKEMAKE, expect=1)
    assert [line for line in output.splitlines() if "train.batch_size" in line] == [
        "params.yaml: train.batch_size: Input should be greater than or equal to 2 (it is -3)"
    ]
    assert not (checkout.folder / "logs").exists()


def test_a_copy_without_git_runs_and_says_that_versioning_is_off(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    shutil.rmtree(checkout.folder / ".git")
    output = checkout.run("snakemake", "--cores", "2", "data/manifest.parquet")
    assert "versioning is off" in output
    assert (checkout.folder / "data/manifest.parquet").is_file()
    assert not (checkout.folder / "dvc.lock").exists()


def test_pushed_results_come_back_in_a_second_clone_without_running(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    checkout.run("dvc", "push", "--quiet")
    checkout.commit("remote")
    checkout.run("git", "clone", "--quiet", str(checkout.folder), str(tmp_path / "second"))
    second = Checkout(tmp_path / "second")
    shutil.copytree(checkout.folder / "data/pictures", second.folder / "data/pictures", dirs_exist_ok=True)
    second.run("dvc", "pull", "--quiet")
    assert (second.folder / "reports/index.html").read_bytes() == (checkout.folder / "reports/index.html").read_bytes()
    assert list((second.folder / "models/export").glob("*.onnx"))
    second.assert_all_up_to_date()


def _holds(path: Path, needles: list[bytes]) -> bool:
    """Whether a file holds one of `needles`: in a table's cells, or anywhere else in its bytes."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        content = pq.read_table(path).to_pandas().to_csv().encode()
    return any(needle in content for needle in needles)


@pytest.mark.slow
def test_a_forgotten_picture_leaves_every_output_and_no_run_brings_it_back(checkout: Checkout) -> None:
    def raw_tables() -> list[Path]:
        return sorted((checkout.folder / "data/raw").glob("*.parquet"))

    raw = pd.concat(pd.read_parquet(path) for path in raw_tables())
    curated = pd.read_parquet(checkout.folder / "data/curated.parquet")
    kept = curated[curated["kept"] & (curated["split"] == "train")].merge(raw[["key", "page"]], on="key")
    url, key, sha256 = (str(kept[column].iloc[0]) for column in ("url", "key", "sha256"))
    picture = checkout.folder / url.removeprefix("file:")
    content = picture.read_bytes()
    needles = [url.encode(), key.encode(), sha256.encode()]
    outputs = [checkout.folder / "data", checkout.folder / "reports", checkout.folder / "models"]

    def holding() -> set[str]:
        files = [path for folder in outputs for path in folder.rglob("*") if path.is_file() and path != picture]
        return {str(path.relative_to(checkout.folder)) for path in files if _holds(path, needles)}

    assert {"data/manifest.parquet", "data/curated.parquet", "data/duplicates.parquet"} <= holding()
    checkout.run("python", "-m", "pipeline", "forget", url)
    assert set(STAGES) - {"report"} <= checkout.stages_run_by(*SNAKEMAKE)
    assert holding() == set()
    checkout.assert_all_up_to_date()

    (picture.parent / "again.png").write_bytes(content)
    checkout.run(*SNAKEMAKE)
    tables = [pq.read_table(path, columns=["url", "status", "reason", "sha256"]) for path in raw_tables()]
    ends = [row for table in tables for row in table.to_pylist() if row.pop("url").endswith("/again.png")]
    assert ends == [{"status": "refused", "reason": "forgotten on request", "sha256": None}]
    assert holding() == set()
