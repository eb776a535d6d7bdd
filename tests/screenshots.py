"""The pictures of the report and of MLflow's pages in docs/figures: `python -m tests.screenshots [NAME...]`.

Run it in a checkout after `make demo`, whose cells are synthetic: no picture of a real one may end in docs/. The
server's pictures are `tests.serving.screenshots`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from leukoscope.config.params import load_params
from leukoscope.core.errors import DataError
from leukoscope.tracking import pages as mlflow_pages
from tests.fixtures.browser import Page, chromium
from tests.serving.screenshots import FIGURES, smaller

LIMIT = 900  # seconds: MLflow's pages are some megabytes of scripts
WIDTH, HEIGHT = 1280, 900
WIDE, LOW = 1600, 640  # MLflow's pages
# MLflow's assistant takes a third of the page until it is closed.
CLOSE_ASSISTANT = """
document.querySelectorAll('button[data-component-id="mlflow.assistant.chat_panel.close"]').forEach((b) => b.click());
"""
TABLE_V_ENDS = 1290  # pixels from the top of the report


def main(names: Sequence[str]) -> None:
    """Write the named pictures, or all. Raises DataError where the cells are not synthetic."""
    if json.loads(Path("data/raw/source.json").read_text())["kind"] != "synthetic":
        raise DataError("these are not the demo's cells: run this after make demo")
    with chromium(["--hide-scrollbars"]) as page:
        page.driver.command_executor.client_config.timeout = LIMIT
        page.driver.set_page_load_timeout(LIMIT)
        page.driver.set_script_timeout(LIMIT)
        for name in names or PICTURES:
            page.resize(WIDTH, HEIGHT)
            PICTURES[name](page)
            path = FIGURES / f"{name}.png"
            path.write_bytes(smaller(page.driver.get_screenshot_as_png()))
            print(f"{path}: {path.stat().st_size // 1000} kB", flush=True)


def report(page: Page) -> None:
    """The report's beginning, Table V beside ours included."""
    page.resize(WIDTH, TABLE_V_ENDS)
    page.driver.get(Path("reports/index.html").resolve().as_uri())


def mlflow_rows(page: Page) -> None:
    """The table that `leukoscope ui` names."""
    with pages() as address:
        show(page, address, "modified_mobilenet")


def mlflow_charts(page: Page) -> None:
    """The same runs as charts."""
    with pages() as address:
        show(page, f"{address}&compareRunsMode=CHART", "Rows at a glance")


def show(page: Page, address: str, words: str) -> None:
    """Open an address and wait until these words stand there and what is drawn has settled."""
    page.resize(WIDE, LOW)
    page.driver.get(address)
    deadline = time.monotonic() + LIMIT
    while words not in page.run("return document.body.innerText"):
        if time.monotonic() > deadline:
            raise DataError(f"{address} does not show '{words}'")
        time.sleep(1)
    page.run(CLOSE_ASSISTANT)
    before = b""
    while before != (now := page.driver.get_screenshot_as_png()):
        before = now
        time.sleep(3)


@contextmanager
def pages() -> Iterator[str]:
    """MLflow's pages, and the address of the rows on them."""
    if running := os.environ.get("MLFLOW_PAGES_PORT"):  # one that is there already
        yield mlflow_pages.ui_page(int(running), load_params().fetch.name)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = subprocess.Popen(mlflow_pages.ui_command(port), stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + LIMIT
        while not answers(port):
            if time.monotonic() > deadline or server.poll() is not None:
                raise DataError("MLflow's pages did not start")
            time.sleep(1)
        yield mlflow_pages.ui_page(port, load_params().fetch.name)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def answers(port: int) -> bool:
    """Whether a server's health is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30):
            return True
    except OSError:
        return False


PICTURES: dict[str, Callable[[Page], None]] = {
    "report": report,
    "mlflow_rows": mlflow_rows,
    "mlflow_charts": mlflow_charts,
}

if __name__ == "__main__":
    main(sys.argv[1:])
