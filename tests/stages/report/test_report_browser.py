"""The report in a browser: on a phone, in dark mode, by keyboard, and for screen readers."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.stages.report.test_report import artefacts, make
from tests.support.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["artefacts"]  # a fixture

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
# Texts whose contrast with their background (WCAG 2, relative luminance) is below `wanted`.
LOW_CONTRAST = """wanted => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const channels = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = colour => {
    const [r, g, b] = channels(colour).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (channels(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    const style = getComputedStyle(node), svg = node instanceof SVGElement;
    const [light, dark] = [luminance(svg ? style.fill : style.color), luminance(behind(node))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < wanted) found.push(`${node.tagName} ${node.className.baseVal ?? node.className}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(found)];
}"""
FOCUSED = """() => {
  const node = document.activeElement;
  return [node.tagName, node.textContent.trim().slice(0, 40), getComputedStyle(node).outlineStyle];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as opened:
        yield opened


def open_report(browser: "Browser", folder: Path, size: str, scheme: Literal["light", "dark"], messages: list[str]) -> "Page":
    """The report of `folder` in a page that adds each console message and request to `messages`."""
    make(folder)
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.on("console", lambda message: messages.append(message.text))
    page.on("request", lambda request: messages.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto((folder / "index.html").as_uri())
    return page


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light"), ("desktop", "dark")])
def test_report_is_readable_and_silent(
    browser: "Browser", artefacts: Path, size: str, scheme: Literal["light", "dark"]
) -> None:
    messages: list[str] = []
    page = open_report(browser, artefacts, size, scheme, messages)
    for details in page.locator("details").all():
        details.evaluate("node => node.open = true")
    assert page.evaluate(LOW_CONTRAST, 4.5) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(251, 250, 247)"
    assert dark == (scheme == "dark")
    assert messages == []
    page.close()


def test_keyboard_reaches_everything_with_visible_focus(browser: "Browser", artefacts: Path) -> None:
    page = open_report(browser, artefacts, "desktop", "light", [])
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == ["A", "Skip to the garments", "solid"]
    page.keyboard.press("Enter")
    assert page.url.endswith("#garments")
    page.locator("nav a").first.focus()
    reached = []
    for _ in range(page.locator("a:not(.skip), summary, [tabindex='0']").count()):
        reached.append(page.evaluate(FOCUSED))
        page.keyboard.press("Tab")
    assert {outline for _, _, outline in reached} == {"solid"}
    assert sum(tag == "SUMMARY" for tag, _, _ in reached) == page.locator("summary").count() > 0
    assert sum(tag == "DIV" for tag, _, _ in reached) == page.locator(".scroll").count() > 0
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
    page.close()


def test_screen_readers_find_headings_landmarks_and_names(browser: "Browser", artefacts: Path) -> None:
    page = open_report(browser, artefacts, "desktop", "light", [])
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(heading => Number(heading.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for name in page.locator("nav a").all_inner_texts():
        target = page.get_by_role("link", name=name, exact=True).get_attribute("href") or ""
        assert page.locator(target).get_attribute("aria-labelledby")
    assert page.get_by_role("region").count() >= page.locator("main > section").count()
    assert page.get_by_role("img").count() == page.locator("img, svg[role=img]").count()
    assert page.locator("html").get_attribute("lang") == "en"
    page.close()


def test_policy_blocks_and_reports_a_request(browser: "Browser", artefacts: Path) -> None:
    messages: list[str] = []
    page = open_report(browser, artefacts, "desktop", "light", messages)
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png', alt: 'x'}))")
    page.wait_for_timeout(100)
    assert any("Content Security Policy" in message for message in messages)
    page.close()
