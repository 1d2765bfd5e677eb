"""What MLflow has of a run, looked at in its own UI, in a browser."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.tracking.tracker import Tracker
from tests.support.browser import chromium
from tests.support.garments import draw_wardrobe
from tests.support.mlflow_server import free_port, mlflow_server
from tests.tracking.test_sending import SHA256, entry, query, send, trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WAIT_MS = 120_000


def sheet_of_garments(folder: Path, noise: float) -> Image.Image:
    """Eight garments under noise, as a generator draws them that has not learned yet."""
    if not folder.exists():
        draw_wardrobe(folder, ["dress", "hat"], 4, seed=0)
    pictures = [np.asarray(Image.open(path).convert("L").resize((64, 64)), float) for path in sorted(folder.rglob("*.png"))]
    sheet = np.concatenate([np.concatenate(pictures[:4], axis=1), np.concatenate(pictures[4:8], axis=1)])
    noisy = (1 - noise) * sheet + noise * np.random.default_rng(0).uniform(0, 255, sheet.shape)
    return Image.fromarray(noisy.astype(np.uint8))


def note_an_invocation(project: Path) -> Path:
    """The spools of an invocation that trained, exported and evaluated."""
    spools = trained(project, "invocation", {"fd_classifier": entry(0.4)})
    parent, train = Tracker(spools / "invocation.jsonl"), Tracker(spools / "train.jsonl")
    parent.tags({"mlflow.runName": "snakemake test"})
    train.params({"seed": 1, "network": {"name": "resnet"}})
    train.dataset("train", SHA256, Path("data/train"), context="training", profile={"pictures": 5})
    for step in range(0, 10_001, 500):
        train.metrics({"loss_generator": math.exp(-step / 5000)}, step=step)
        if step % 5000 == 0:
            sheet_of_garments(project / "pictures", 1 - step / 10_000).save(spools / f"{step}.png")
            train.picture(spools / f"{step}.png", "samples", step=step)
    train.close("FINISHED")
    parent.close("FINISHED")
    return spools


def test_runs_a_chart_a_grid_and_the_model_can_be_seen(tmp_path: Path) -> None:
    assert send(tmp_path, note_an_invocation(tmp_path)) == 0
    ((train,),) = query(tmp_path, "select run_uuid from runs where name = 'train'")
    with chromium() as browser, mlflow_server(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", free_port()) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        outside: list[str] = []
        page.on(
            "request",
            lambda request: outside.append(request.url) if not request.url.startswith((address, "data:", "blob:")) else None,
        )

        page.goto(f"{address}/#/experiments/1/runs")
        page.get_by_role("link", name="snakemake test").first.wait_for()
        page.locator(".ag-row", has_text="snakemake test").locator("[col-id*='Run Name'] button").first.click()  # children
        for stage in ("train", "export", "evaluate"):
            page.get_by_role("link", name=stage, exact=True).first.wait_for()

        page.goto(f"{address}/#/experiments/1/runs/{train}/model-metrics")
        page.get_by_text("loss_generator", exact=True).first.wait_for()
        line = page.locator(".js-plotly-plot .scatterlayer path.js-line").first
        line.wait_for()
        assert len(re.findall("[LC]", line.get_attribute("d") or "")) >= 10

        grid = page.locator('img[src*="samples"]').first
        grid.scroll_into_view_if_needed()
        page.wait_for_function("image => image.naturalWidth > 0", arg=grid.element_handle())
        page.screenshot(path=tmp_path / "train.png")

        page.goto(f"{address}/#/models/garments/versions/1")
        page.get_by_text("About invocation").wait_for()
        page.get_by_text("champion").first.wait_for()
        page.get_by_text(re.compile(r"Inputs \(2\)")).wait_for()
        page.screenshot(path=tmp_path / "model.png")
        assert outside == []
