"""The page in a real Chromium: drop cells, see results, see mistakes, with a mouse, a keyboard and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.fixtures.browser import Page, chromium
from tests.fixtures.running import Running, cell_png, serving

pytestmark = [pytest.mark.slow, pytest.mark.chromium]

CELLS = [
    ("UID_1_1_1_all.png", cell_png(1)),
    ("UID_1_2_1_all.png", cell_png(2)),
    ("UID_H1_1_1_hem.png", cell_png(3, 0)),
]
# Lightness of every text against what is behind it, by WCAG 2: {ratio: text} of those below 4.5.
CONTRAST = """
const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
}
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255];
}
const faint = [];
let looked = 0;
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility() || element.closest("noscript, template, select")) continue;
  const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  looked += 1;
  if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.textContent.trim().slice(0, 40)}`);
}
return [looked, faint];
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Page, server: Running) -> Iterator[Page]:
    """The page, freshly opened, 1180 pixels wide; nothing on it may have failed when the test ends."""
    browser.resize(1180, 900)
    browser.prefer("light")
    browser.complaints(), browser.hosts()
    browser.driver.get(server.url)
    browser.until(lambda: "version 1" in browser.text("#model"))
    yield browser
    refused = [said for said in browser.complaints() if "status of 4" not in said]  # a 4xx is noted by Chromium itself
    assert refused == []
    assert browser.hosts() == {f"127.0.0.1:{server.port}"}


def test_dropped_cells_come_back_with_calls_bars_subjects_and_the_version(page: Page) -> None:
    assert "Research use only" in page.text("header")
    assert page.text("#warning") == "Synthetic cells, untrained backbone: not for real cells."
    page.drop(*CELLS)
    page.answered(3)
    assert re.search(r"Version 1 of leukoscope-cells answered\.$", page.text("#status"))
    for card, (name, _) in zip(page.all(".card"), CELLS, strict=True):
        assert name in card.text
        assert re.search(r"(ALL|hem)\s+p\(ALL\) [01]\.\d{3}", card.text)
    bar = page.find(".card .bar")
    assert re.match(
        r"p\(ALL\) [01]\.\d+ on a scale from 0 to 1; threshold 0\.\d+, refer band 0\.\d+ to 0\.\d+",
        bar.get_attribute("aria-label") or "",
    )
    assert page.find(".card .band").size["width"] > 0
    assert [row.text.split()[0] for row in page.all("tbody tr")] == ["1", "H1"]
    assert "No diagnosis" in page.text("#subjects")


def test_heat_maps_come_by_themselves_after_the_calls(page: Page) -> None:
    page.drop(*CELLS)
    page.answered(3)
    page.until(lambda: len(page.all(".map img")) == 3)
    first = page.find(".map img")
    assert page.run("return arguments[0].naturalWidth", first) == 64
    assert first.get_attribute("alt") == (
        "Grad-CAM of UID_1_1_1_all.png: orange where it speaks for ALL, blue where it speaks for hem"
    )
    page.find("#heat-maps").click()
    assert not first.is_displayed()


def test_what_the_model_sees_is_the_pictures_centre(page: Page) -> None:
    page.drop(CELLS[0])
    page.answered(1)
    page.until(lambda: page.run("return document.querySelector('.seen').width") == 64)
    brightest = page.run(
        "const c = document.querySelector('.seen');"
        "return Math.max(...c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 < 3))"
    )
    assert brightest > 60


def test_what_is_no_picture_is_said_beside_the_others_results(page: Page) -> None:
    page.drop(CELLS[0], ("notes.txt", b"not a picture"))
    page.answered(1)
    assert page.text("#errors") == "notes.txt: not a picture that can be read (bmp, png, jpg, tif)"
    assert page.find("#errors").get_attribute("role") == "alert"
    assert "1 file could not be read" in page.text("#status")


def test_nothing_but_mistakes_is_an_error_and_no_old_result_stays(page: Page) -> None:
    page.drop(*CELLS)
    page.answered(3)
    page.drop(("notes.txt", b"not a picture"))
    page.until(lambda: page.text("#errors"))
    assert page.text("#errors") == "notes.txt: not a picture that can be read (bmp, png, jpg, tif)"
    assert page.all(".card") == []
    assert not page.find("#results").is_displayed()


def test_more_than_the_server_takes_is_said_before_it_is_sent(page: Page) -> None:
    page.drop(*[(f"{number}.png", cell_png()) for number in range(7)])
    page.until(lambda: page.text("#errors"))
    assert page.text("#errors").startswith("7 files at once: up to 6 are taken.")


def test_a_files_name_is_text_and_never_markup(page: Page) -> None:
    name = "<img src=x onerror=document.title='hit'><b>x.png"
    page.drop((name, cell_png()), ("<script>document.title='hit'</script>.txt", b"x"))
    page.answered(1)
    assert page.text(".card .file") == name
    assert page.text("#errors").startswith("<script>document.title='hit'</script>.txt: ")
    assert page.all(".file b, .file img, #errors script") == []
    assert page.driver.title == "Leukoscope: cells and their calls"


def test_a_script_that_got_in_would_not_run(browser: Page, server: Running) -> None:
    browser.driver.get(server.url)
    browser.run(
        "const script = document.createElement('script');"
        "script.textContent = \"document.title = 'hit'\"; document.body.append(script)"
    )
    assert browser.driver.title != "hit"
    assert any("Content Security Policy" in said for said in browser.complaints())


def test_with_a_keyboard_alone(page: Page, tmp_path: Path) -> None:
    files = [tmp_path / name for name, _ in CELLS]
    for file, (_, data) in zip(files, CELLS, strict=True):
        file.write_bytes(data)
    keys = ActionChains(page.driver)
    keys.send_keys(Keys.TAB).perform()
    focused = page.driver.switch_to.active_element
    assert focused.get_attribute("id") == "files"
    assert focused.accessible_name == "Drop cells here, or choose files"
    assert page.run("return getComputedStyle(document.getElementById('drop')).outlineStyle") == "solid"
    focused.send_keys("\n".join(map(str, files)))  # what the dialogue gives back: it is not the page's own
    page.answered(3)
    reached = []
    for _ in range(4):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        active = page.driver.switch_to.active_element
        reached.append((active.aria_role, active.accessible_name))
    assert reached[:3] == [("region", "Subjects"), ("checkbox", "Heat maps (Grad-CAM)"), ("combobox", "Order")]
    page.find("#heat-maps").send_keys(Keys.SPACE)
    assert not page.find("#heat-maps").is_selected()


def test_the_order_may_be_changed(page: Page) -> None:
    page.drop(*CELLS)
    page.answered(3)
    Select(page.find("#order")).select_by_value("all")
    shown = [float(one.text.split()[-1]) for one in page.all(".card .p")]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_and_nothing_is_wider_than_a_phone(page: Page, scheme: str) -> None:
    page.prefer(scheme)
    page.resize(360, 740, mobile=True)
    page.drop(*CELLS, ("notes.txt", b"x"))
    page.answered(3)
    assert page.run("return document.documentElement.scrollWidth") == 360
    looked, faint = page.run(CONTRAST)
    assert looked > 40
    assert faint == []
    small = page.run(
        "return [...document.querySelectorAll('select, .controls label, .drop label')]"
        ".filter((one) => one.getBoundingClientRect().height < 36).map((one) => one.textContent)"
    )
    assert small == []


def test_a_server_that_has_gone_is_said(browser: Page, champion_checkout: Path) -> None:
    with serving(champion_checkout) as server:
        browser.driver.get(server.url)
        browser.until(lambda: "version 1" in browser.text("#model"))
        server.kill()
        browser.drop(CELLS[0])
        browser.until(lambda: browser.text("#errors"))
        assert browser.text("#errors") == "The server does not answer. Is leukoscope serve running?"
