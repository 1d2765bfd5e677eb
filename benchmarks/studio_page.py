"""What a designer waits for, in Chromium: the page to be usable, sixteen garments after a click, frames of a slider.

Runs a studio on loopback. The page is usable when sixteen garments are shown; a click and a frame of the slider end when their
pixels are on the canvas.

    python -m benchmarks.studio_page models/export
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
SLIDE_MS = 3000

# Milliseconds from the navigation until sixteen garments hang.
USABLE = """
() => new Promise((done) => {
  const shown = () => document.querySelectorAll("#generate-grid canvas").length;
  const look = () => shown() === 16 ? done(performance.now()) : requestAnimationFrame(look);
  look();
})
"""
# Milliseconds from the click until all garments were replaced and the browser drew a frame.
CLICK = """
() => new Promise((done) => {
  const old = document.querySelector("#generate-grid canvas");
  const started = performance.now();
  document.querySelector("#generate-controls button[type=submit]").click();
  const look = () => old.isConnected ? setTimeout(look) : requestAnimationFrame(() => done(performance.now() - started));
  look();
})
"""
# How often the garment was painted while its slider was pulled to and fro.
SLIDE = """
(milliseconds) => new Promise((done) => {
  const canvas = document.getElementById("edit-canvas");
  const context = canvas.getContext("2d");
  let frames = 0;
  const paint = context.drawImage;
  context.drawImage = function (...given) { frames += 1; return paint.apply(this, given); };
  const slider = document.querySelector("#sliders-measured input");
  const started = performance.now();
  const pull = () => {
    const passed = performance.now() - started;
    if (passed > milliseconds) { delete context.drawImage; done(1000 * frames / passed); return; }
    slider.value = slider.max * Math.sin(passed / 300);
    slider.dispatchEvent(new Event("input"));
    setTimeout(pull, 5);
  };
  pull();
})
"""


def _opened(browser: Browser, address: str) -> tuple[Page, float]:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    page.goto(address, wait_until="commit")
    return page, float(page.evaluate(USABLE))


def measure(browser: Browser, address: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds until the page is usable and after each click, and frames per second of each slider drag."""
    found: dict[str, list[float]] = {"page usable, ms": [], "16 garments after the click, ms": [], "slider, frames/s": []}
    for _ in range(rounds):
        page, usable_ms = _opened(browser, address)
        found["page usable, ms"].append(usable_ms)
        found["16 garments after the click, ms"] += [float(page.evaluate(CLICK)) for _ in range(10)]
        page.locator("#generate-grid .pick").first.click()
        page.locator("#sliders-measured input").first.wait_for()
        found["slider, frames/s"].append(float(page.evaluate(SLIDE, SLIDE_MS)))
        page.context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/export"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no chromium here (apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "pipeline", "studio", "--model", str(options.model), "--port", "0"]
        command += ["--state", f"{folder}/studio.sqlite"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            address = server.stderr.readline().split()[-1]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name, values in measure(browser, address, options.rounds).items():
                print(f"{name:<34} median {statistics.median(values):7.1f}   {min(values):.1f} to {max(values):.1f}")
            browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
