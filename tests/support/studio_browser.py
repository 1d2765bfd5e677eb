"""Debian's Chromium, driven by playwright, on a studio of the default model where it was made here, else of the stand-in."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.inference.onnx_generator import read_card
from tests.support.outlook import series, write_outlook
from tests.support.studio_model import write_stand_in
from tests.support.studio_server import Client, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *QUIET]
TIMEOUT_MS = 120_000  # of one step, on a machine that does other things
MODEL = Path(os.environ.get("ATELIER_STUDIO_MODEL", Path(__file__).parents[2] / "models" / "export"))
PICTURES = os.environ.get("ATELIER_STUDIO_PICTURES")  # a folder for screenshots
AXE = os.environ.get("AXE_CORE")  # axe.min.js of the npm package axe-core, which is not ours to carry

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)")


@dataclass
class Visit:
    """A page of the studio in a browser, and what the browser complained of."""

    page: Page
    client: Client
    complaints: list[str] = field(default_factory=list)

    def show(self, section: str) -> None:
        """Open a section and wait until the network is idle."""
        self.page.goto(f"http://127.0.0.1:{self.client.port}{self.client.prefix}/#{section}")
        self.page.wait_for_load_state("networkidle")

    def picture(self, name: str) -> None:
        """Keep a screenshot where one is wanted."""
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"studio-{name}.png")

    def pixels(self, canvas: str) -> str:
        """What the canvas of that selector shows."""
        return str(self.page.eval_on_selector(canvas, "canvas => canvas.toDataURL()"))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def studio_for_browsers(folder: Path) -> Iterator[Client]:
    """A studio served from `folder`."""
    model = MODEL if (MODEL / "generator.json").exists() else write_stand_in(folder / "model")
    first, second, *_ = read_card(model).categories
    sure, unsure = (
        {"direction": "falls", "change": -0.2, "low_80": -0.3, "high_80": -0.1},
        {"direction": "unclear", "change": None},
    )
    rows = [series("category", second), series("pattern", "plain", first, **sure), series("price", "low", **unsure)]
    with served(model, folder, trends=write_outlook(folder / "trends.json", rows)) as client:
        yield client


@contextmanager
def visit(browser: Browser, client: Client) -> Iterator[Visit]:
    """A fresh visitor."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    found = Visit(page, client)
    page.on("console", lambda message: found.complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    try:
        yield found
    finally:
        context.close()
