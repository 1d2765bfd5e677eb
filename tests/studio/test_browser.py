"""The studio in a real browser: all sections, without console errors, and accessible."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Route, expect

from tests.support.prefix_proxy import proxied
from tests.support.studio_browser import AXE, TIMEOUT_MS, Visit, chromium, needs_chromium, studio_for_browsers, visit
from tests.support.studio_model import reading_graph
from tests.support.studio_server import Client, served_studio

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), needs_chromium]

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with studio_for_browsers(tmp_path_factory.mktemp("studio")) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visitor(browser: Browser, studio: Client) -> Iterator[Visit]:
    with visit(browser, studio) as found:
        yield found
        assert found.complaints == []  # neither an error nor a refusal of the content security policy


def photograph(folder: Path) -> Path:
    picture = np.full((320, 240, 3), 236, np.uint8)
    picture[60:280, 80:160] = (52, 60, 96)
    picture[60:110, 40:200] = (52, 60, 96)
    Image.fromarray(picture).save(folder / "photograph.jpg")
    return folder / "photograph.jpg"


def mark_of(png: bytes) -> dict[str, object]:
    """The recipe in a PNG, which must say that AI made it."""
    text = Image.open(io.BytesIO(png)).text  # type: ignore[attr-defined]
    assert "trainedAlgorithmicMedia" in text["XML:com.adobe.xmp"]
    return dict(json.loads(text["recipe"]))


def test_garments_are_generated_locked_replaced_and_downloaded(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("generate")
    expect(page.locator("#generate-grid canvas")).to_have_count(16)
    visitor.picture("generate")
    category = visitor.client.request("GET", "/api/studio").json["categories"][1]
    page.select_option("#generate-category", category)
    expect(page.locator("#generate-grid .name").first).to_have_text(category)
    names = page.locator("#generate-grid .name").all_inner_texts()
    assert names == [category] * 16
    before = page.locator("#generate-grid canvas").evaluate_all("all => all.map(one => one.toDataURL())")
    page.get_by_role("button", name=f"Lock {category} 1", exact=True).click()
    page.get_by_role("button", name="Replace the rest").click()
    page.wait_for_function(
        "old => document.querySelectorAll('#generate-grid canvas')[1].toDataURL() !== old", arg=before[1], timeout=TIMEOUT_MS
    )
    after = page.locator("#generate-grid canvas").evaluate_all("all => all.map(one => one.toDataURL())")
    assert after[0] == before[0]
    assert not set(after[1:]) & set(before[1:])
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {category} 1", exact=True).click()
    recipe = mark_of(download.value.path().read_bytes())
    assert recipe["categories"] == {category: 1.0}
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as sheet").click()
    sheet = mark_of(download.value.path().read_bytes())
    assert isinstance(sheet["pieces"], list)
    assert len(sheet["pieces"]) == 16


def test_a_link_opens_exactly_the_same_garment(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("generate")
    page.locator("#generate-grid .pick").nth(3).click()
    expect(page.locator("#edit-bench")).to_be_visible()
    shown, address = visitor.pixels("#edit-canvas"), page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#edit-bench")).to_be_visible()
    assert visitor.pixels("#edit-canvas") == shown


def test_sliders_move_a_garment_and_two_are_interpolated(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("generate")
    page.locator("#generate-grid .pick").first.click()
    slider = page.locator("#sliders-measured input").first
    expect(slider).to_be_visible()
    before = visitor.pixels("#edit-canvas")
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("old => document.querySelector('#edit-canvas').toDataURL() !== old", arg=before, timeout=TIMEOUT_MS)
    expect(page.locator("#sliders-measured .effects").first).to_contain_text(re.compile(r"its own [+−]\d"))
    visitor.picture("edit")
    page.get_by_text("More, without names").click()
    page.locator("#sliders-found button").first.click()
    page.fill("#name-input", "Flowing")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#sliders-measured")).to_contain_text("Flowing")
    page.get_by_role("button", name="Hold this one").click()
    page.get_by_role("link", name="Generate").click()
    page.locator("#generate-grid .pick").nth(5).click()
    expect(page.locator("#between-strip canvas")).to_have_count(9)
    layers = visitor.client.request("GET", "/api/studio").json["style_layers"]
    expect(page.locator("#styles-strip canvas")).to_have_count(layers - 1)
    page.locator("#between-strip").scroll_into_view_if_needed()
    visitor.picture("between")
    other = visitor.pixels("#edit-canvas")
    page.get_by_role("button", name="Step 5 of 9").click()
    page.wait_for_function("old => document.querySelector('#edit-canvas').toDataURL() !== old", arg=other, timeout=TIMEOUT_MS)


def test_a_kept_garment_is_changed_in_words_by_keyboard_beside_the_original(browser: Browser, tmp_path: Path) -> None:
    with served_studio(tmp_path, reading_graph("white dress")) as client, visit(browser, client) as visitor:
        address = client.request("POST", "/api/grid", {"count": 1, "seed": 3, "category": "dress"}).json["addresses"][0]
        collection = client.request("POST", "/api/collections", {"name": "Summer"}).json["id"]
        client.request("POST", f"/api/collections/{collection}/pieces", {"address": address, "name": "One"})
        page = visitor.page
        visitor.show("collections")
        page.get_by_role("button", name="Edit One").click()
        expect(page.locator("#edit-bench")).to_be_visible()
        expect(page.locator("#edit-original")).to_be_hidden()
        page.locator("#words-text").focus()
        page.keyboard.type("darker")
        page.keyboard.press("Enter")
        row = page.locator("#sliders-words .slider")
        expect(row.locator(".effects")).to_contain_text("From “white dress” to “black dress”; changes ")
        expect(page.locator("#edit-original")).to_be_visible()
        page.wait_for_function(
            "() => document.querySelector('#edit-canvas').toDataURL() !== document.querySelector('#edit-before').toDataURL()"
        )
        before, moved = visitor.pixels("#edit-before"), visitor.pixels("#edit-canvas")
        expect(row.locator("input")).to_be_focused()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("old => document.querySelector('#edit-canvas').toDataURL() !== old", arg=moved)
        assert visitor.pixels("#edit-before") == before
        visitor.picture("words")
        page.locator("#edit-keep").click()
        page.locator("#keep-form").get_by_role("button", name="Keep", exact=True).click()
        expect(page.locator("#keep-dialog")).to_be_hidden()
        kept = client.request("GET", f"/api/collections/{collection}/pieces").json
        assert {"~e" in one["address"] for one in kept} == {False, True}
        page.locator("#words-text").fill("a car")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_have_text(re.compile("this model knows no such thing as “a car”"))
        row.get_by_role("button", name="Remove the change darker").click()
        expect(page.locator("#edit-original")).to_be_hidden()
        assert len(visitor.complaints) == 1  # the browser reports the refusal, 422
        if AXE:
            page.evaluate(Path(AXE).read_text(encoding="utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_photograph_is_projected_to_the_nearest_garment(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.page
    visitor.show("photograph")
    page.set_input_files("#photo-file", photograph(tmp_path))
    page.get_by_role("button", name="Find the nearest garment").click()
    expect(page.locator("#photo-edit")).to_be_visible()
    expect(page.locator("#photo-distance")).to_contain_text(re.compile(r"Nearest: .+\. \d+\.\d grey levels apart"))
    visitor.picture("photograph")
    page.get_by_role("button", name="Edit this garment").click()
    expect(page.locator("#edit-bench")).to_be_visible()


def test_a_garment_is_dressed_and_painted(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.page
    visitor.show("fabric")
    page.locator("#fabric-patterns label", has_text="tartan").click()
    expect(page.locator("#fabric-download")).to_be_visible()
    page.get_by_label("Matched in colour and texture").check()
    expect(page.locator("#fabric-state")).to_have_text("After")
    visitor.picture("fabric")
    page.get_by_label("Painted, step by step").check()
    page.fill("#fabric-steps", "20")
    page.locator("#fabric-layers input").first.uncheck()
    page.set_input_files("#fabric-style-file", photograph(tmp_path))
    page.get_by_role("button", name="Dress it").click()
    expect(page.locator("#fabric-progress")).to_be_visible()
    expect(page.locator("#fabric-download")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#fabric-download").click()
    recipe = mark_of(download.value.path().read_bytes())
    assert recipe["mode"] == "paint"
    assert recipe["steps"] == 20
    assert "stem" not in str(recipe["layers"])


def test_a_drawn_garment_is_worn_and_an_anchor_is_moved_by_keys(visitor: Visit) -> None:
    page = visitor.page
    category = next(
        each for each in visitor.client.request("GET", "/api/studio").json["categories"] if each in ("dress", "shirt")
    )
    visitor.show("generate")
    page.select_option("#generate-category", category)
    expect(page.locator("#generate-grid .name").first).to_have_text(category)
    page.locator("#generate-grid .pick").first.click()
    page.locator("#edit-tryon").click()
    expect(page.locator("#tryon-state")).to_have_text("Made by AI. How it looks, not whether it fits.")
    visitor.picture("tryon")
    worn = page.locator("#tryon-picture").get_attribute("src")
    page.locator("#tryon-anchors button").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#tryon-picture")).not_to_have_attribute("src", str(worn))
    expect(page.locator("#tryon-state")).to_have_text("Made by AI. How it looks, not whether it fits.")
    with page.expect_download() as download:
        page.locator("#tryon-download").click()
    assert mark_of(download.value.path().read_bytes())["tryon"]


def test_suggestions_follow_votes(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("suggestions")
    expect(page.locator("#suggestions-grid canvas")).to_have_count(8)
    for place, vote in ((0, "Like"), (1, "Like"), (2, "Dislike"), (3, "Dislike")):
        page.locator("#suggestions-grid .card").nth(place).locator(".tools").get_by_role(
            "button", name=re.compile(f"^{vote} ")
        ).click()
    visitor.picture("suggestions")
    page.get_by_role("button", name="Next garments").click()
    expect(page.locator("#suggestions-round")).to_contain_text("Round 2")
    expect(page.locator("#suggestions-grid canvas")).to_have_count(8)


def test_votes_go_to_the_category_of_the_garments_shown_and_once(browser: Browser, studio: Client) -> None:
    with visit(browser, studio) as visitor:
        page = visitor.page
        visitor.show("suggestions")
        expect(page.locator("#suggestions-grid canvas")).to_have_count(8)
        shown = page.input_value("#suggestions-category")
        other = next(each for each in studio.request("GET", "/api/studio").json["categories"] if each != shown)
        page.locator("#suggestions-grid .pick").first.click()
        held: list[Route] = []
        page.route("**/api/suggestions", lambda route: held.append(route))
        page.select_option("#suggestions-category", other)
        page.wait_for_function("() => document.querySelector('#suggestions-controls button').disabled")
        page.locator("#suggestions-controls").evaluate("form => form.requestSubmit()")  # as Enter would
        page.wait_for_timeout(300)
        bodies = [route.request.post_data_json or {} for route in held]
        assert [(body["category"], body["votes"]) for body in bodies] == [(other, [])] * len(bodies)
        for route in held:
            route.continue_()
        page.unroute("**/api/suggestions")
        expect(page.locator("#suggestions-grid .pick").first).to_have_attribute("aria-label", re.compile(f"^Like {other} 1"))
        page.wait_for_function("() => !document.querySelector('#suggestions-controls button').disabled")
        assert studio.request("GET", f"/api/profile/effects?category={other}").json["votes"] == 0


def test_sliders_that_arrive_late_do_not_replace_those_of_the_garment_shown(browser: Browser, studio: Client) -> None:
    with visit(browser, studio) as visitor:
        page, held = visitor.page, list[Route]()
        first, second = studio.request("GET", "/api/studio").json["categories"][:2]
        addresses = [
            studio.request("POST", "/api/grid", {"count": 1, "seed": 1, "category": category}).json["addresses"][0]
            for category in (first, second)
        ]
        visitor.show(f"edit/{addresses[0]}")
        effects = page.locator("#sliders-measured .effects")
        expect(effects.first).to_be_visible()
        wanted = effects.all_inner_texts()
        page.route(re.compile(f"/api/directions.*{second}"), lambda route: held.append(route))
        page.evaluate("hash => { location.hash = hash; }", f"edit/{addresses[1]}")
        expect(page.locator("#sliders-measured")).to_have_text("Measuring what can be changed…")
        page.evaluate("hash => { location.hash = hash; }", f"edit/{addresses[0]}")
        expect(effects).to_have_text(wanted)
        for route in held:
            with page.expect_response(re.compile("/api/directions")):
                route.continue_()
        page.wait_for_timeout(300)
        assert effects.all_inner_texts() == wanted


def test_every_slider_returns_to_0(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("generate")
    page.locator("#generate-grid .pick").first.click()
    expect(page.locator("#sliders-measured input").first).to_be_visible()
    values = page.locator("#section-edit .slider input").evaluate_all(
        "all => all.map(one => { one.value = 1; one.value = 0; return one.value; })"
    )
    assert set(values) == {"0"}


def test_a_photograph_is_gone_when_the_tab_closes_while_the_person_is_looked_for(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # no networks there, so any photograph is taken
    with served_studio(tmp_path) as client, visit(browser, client) as visitor:
        page = visitor.page
        visitor.show("tryon")
        expect(page.locator("#tryon-anchors button").first).to_be_visible()
        answers: list[Any] = []

        def found_but_unanswered(route: Route) -> None:
            answers.append((route.request.post_data_json, route.fetch().json()))

        page.route("**/api/tryon/persons", found_but_unanswered)
        page.set_input_files("#tryon-person-file", photograph(tmp_path))
        while not answers:
            page.wait_for_timeout(50)
        [(sent, found)] = answers
        page.goto("about:blank")
        person, upload = f"/api/tryon/persons/{found['person']}", f"/api/uploads/{sent['upload']}"
        for _ in range(100):
            if (client.request("GET", person).status, client.request("GET", upload).status) == (422, 404):
                break
            page.wait_for_timeout(50)
        assert (client.request("GET", person).status, client.request("GET", upload).status) == (422, 404)
        again = client.request("POST", "/api/tryon/persons", sent)  # what would have come after the tab was closed
        assert again.status == 422


def test_an_open_page_says_every_minute_what_it_still_uses(browser: Browser, studio: Client) -> None:
    with visit(browser, studio) as visitor:
        page = visitor.page
        page.clock.install()
        with page.expect_response(re.compile("/api/tryon/mannequins")) as answer:
            visitor.show("tryon")
        expect(page.locator("#tryon-anchors button").first).to_be_visible()
        with page.expect_response(re.compile("/api/kept")) as kept:
            page.clock.fast_forward(60_000)
        assert kept.value.request.post_data_json == {"names": [answer.value.json()["person"]]}
        assert kept.value.status == 204


def test_a_profile_is_stored_by_keys_says_what_counts_and_is_deleted(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("profile")
    page.get_by_role("combobox", name="Black", exact=True).select_option("liked")
    page.get_by_label("Styles, with commas between").fill("dark, boho")
    page.get_by_label("Height, cm").fill("182")
    page.get_by_label("Height, cm").press("Enter")
    expect(page.locator("#profile-state")).to_have_text("A profile is stored.")
    expect(page.locator("#profile-effects")).to_contain_text("dark: counts ")
    visitor.picture("profile")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert json.loads(download.value.path().read_bytes())["profile"]["styles"] == ["dark", "boho"]
    page.get_by_role("link", name="Try on").click()
    expect(page.locator("#tryon-measures input[name=height_cm]")).to_have_value("182")
    page.get_by_role("link", name="Profile").click()
    page.get_by_role("button", name="Delete the profile and all likes").click()
    expect(page.locator("#profile-state")).to_have_text("No profile is stored.")
    page.set_input_files("#profile-file", download.value.path())
    expect(page.locator("#profile-state")).to_have_text("A profile is stored.")
    page.get_by_role("button", name="Delete the profile and all likes").click()
    expect(page.locator("#profile-state")).to_have_text("No profile is stored.")


def test_a_collection_is_stored_compared_and_downloaded(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("generate")
    for place, name in ((0, "One"), (1, "Two")):
        page.locator("#generate-grid .card").nth(place).get_by_role("button", name=re.compile("^Keep ")).click()
        page.fill("#keep-name", name)
        if page.locator("#keep-new-label").is_visible():
            page.fill("#keep-new", "Summer")
        page.locator("#keep-form").get_by_role("button", name="Keep", exact=True).click()
        expect(page.locator("#keep-dialog")).to_be_hidden()
    page.get_by_role("link", name="Collections").click()
    expect(page.locator("#collection-list")).to_contain_text("Summer")
    expect(page.locator("#collection-grid img")).to_have_count(2)
    for place in (0, 1):
        page.locator("#collection-grid .pick").nth(place).click()
    page.get_by_role("button", name="Compare selected").click()
    expect(page.locator("#compare-pictures img")).to_have_count(2)
    page.get_by_role("button", name="Close").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Board as PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF")
    with page.expect_download() as download:
        page.get_by_role("link", name="Contact sheet").click()
    assert mark_of(download.value.path().read_bytes())["pieces"]
    page.reload()
    expect(page.locator("#collection-grid img")).to_have_count(2)
    visitor.picture("collections")


def test_trends_are_listed_and_garments_that_follow_one_are_drawn_and_edited(visitor: Visit) -> None:
    page = visitor.page
    visitor.show("trends")
    rows = page.locator("#trends-rows tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("+40 % (80 %: +10 % to +80 %)")
    expect(rows.nth(1)).to_contain_text("\u221220 % (80 %: \u221230 % to \u221210 %)")
    expect(rows.nth(2)).to_contain_text("a garment's price cannot be seen in its picture")
    rows.nth(0).get_by_role("button").click()
    expect(page.locator("#trends-grid canvas")).to_have_count(16)
    expect(page.locator("#trends-shown")).to_contain_text("rises, +40 % (80 %: +10 % to +80 %), from 900 pictures.")
    visitor.picture("trends")
    page.locator("#trends-grid .pick").first.click()
    expect(page.locator("#edit-canvas")).to_be_visible()


def test_all_sections_work_behind_a_path_prefix(browser: Browser, studio: Client) -> None:
    with proxied(studio.port, "/atelier") as port, visit(browser, Client(port, "/atelier")) as visitor:
        page = visitor.page
        visitor.show("generate")
        expect(page.locator("#generate-grid canvas")).to_have_count(16)
        with page.expect_download() as download:
            page.locator("#generate-grid .card").first.get_by_role("button", name=re.compile("^Download ")).click()
        assert mark_of(download.value.path().read_bytes())["address"]
        page.locator("#generate-grid .pick").first.click()
        expect(page.locator("#sliders-measured input").first).to_be_visible()
        visitor.show("fabric")
        # The page forbids evaluating strings, so no wait_for_function with an expression.
        expect(page.locator("#fabric-patterns img").first).not_to_have_js_property("naturalWidth", 0, timeout=TIMEOUT_MS)
        visitor.show("suggestions")
        expect(page.locator("#suggestions-grid canvas")).to_have_count(8)
        visitor.show("collections")
        assert visitor.complaints == []


@pytest.mark.skipif(AXE is None, reason="AXE_CORE names no axe.min.js (npm pack axe-core brings one)")
@pytest.mark.parametrize(
    "section", ["generate", "edit", "photograph", "fabric", "tryon", "suggestions", "profile", "trends", "collections"]
)
def test_axe_finds_no_serious_fault(visitor: Visit, section: str) -> None:
    page = visitor.page
    visitor.show("generate")
    if section == "edit":
        page.locator("#generate-grid .pick").first.click()
        expect(page.locator("#sliders-measured input").first).to_be_visible()
    else:
        visitor.show(section)
    if section == "tryon":
        expect(page.locator("#tryon-anchors button").first).to_be_visible()
    if section == "profile":
        page.get_by_role("textbox", name="Styles").fill("dark, boho")
        page.get_by_role("button", name="Save the profile").click()
        expect(page.locator("#profile-effects li")).to_have_count(3)
    page.evaluate(Path(str(AXE)).read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run()")["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
