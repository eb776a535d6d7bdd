"""A headless Chromium of the machine's own, driven by its chromedriver: Debian has both, and none is downloaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 400  # that a page may take on a busy machine
# What a person's drop does: a DataTransfer with files, dropped on the page.
DROP = """
const transfer = new DataTransfer();
for (const [name, base64] of arguments[0]) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], name));
}
const on = document.getElementById("drop");
for (const type of ["dragenter", "dragover", "drop"]) {
  on.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer }));
}
"""


def binaries() -> tuple[str, str] | None:
    """Chromium and its driver; None where one of them is not installed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@dataclass
class Page:
    """A page in the browser."""

    driver: webdriver.Chrome

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait until `holds()` is true, and return what it gave."""
        return WebDriverWait(self.driver, SECONDS, poll_frequency=0.1).until(lambda _: holds())

    def drop(self, *files: tuple[str, bytes]) -> None:
        """Drop files on the page."""
        import base64

        self.run(DROP, [[name, base64.b64encode(data).decode()] for name, data in files])

    def choose(self, *files: Path) -> None:
        """Choose files in the dialogue."""
        self.find("#files").send_keys("\n".join(map(str, files)))

    def answered(self, cells: int) -> None:
        """Wait for so many cards."""
        self.until(lambda: len(self.all(".card")) == cells and self.text("#status").startswith(f"{cells} cell"))

    def complaints(self) -> list[str]:
        """What the browser's console says of mistakes and refused policies."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def hosts(self) -> set[str]:
        """The servers that anything was asked from since the last call."""
        sent = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        addresses = [
            message["params"]["request"]["url"] for message in sent if message["method"] == "Network.requestWillBeSent"
        ]
        return {urlsplit(address).netloc for address in addresses if address.startswith("http")}

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Make the view so many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        """As if the machine were set to light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@contextmanager
def chromium(arguments: Sequence[str] = ()) -> Iterator[Page]:
    """A browser with an empty profile, until the block ends."""
    found = binaries()
    assert found, "chromium and chromedriver are not installed: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(found[1]))
    try:
        driver.set_page_load_timeout(SECONDS)
        yield Page(driver)
    finally:
        driver.quit()
