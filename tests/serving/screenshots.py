"""The pictures of the page in docs/figures, on cells drawn for them: `python -m tests.serving.screenshots`.

Run it in a checkout with a champion of synthetic cells, such as `make demo` leaves. The cells are of other subjects
than those that the champion was trained on.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from leukoscope.config.params import load_params
from leukoscope.core.errors import DataError
from leukoscope.data.synthetic.cells import CLASS_NAME, draw_cells
from leukoscope.imaging.reading import read_rgb
from tests.fixtures.browser import Page, chromium
from tests.fixtures.raw_folders import encoded
from tests.fixtures.running import serving

FIGURES = Path("docs/figures")
OTHER_SEED = 2026
CELLS_OF_EACH = 4
MOST_BYTES = 150_000
VIEWS = {  # name: width, height, on a phone, light or dark
    "serving_desktop": (1180, 1480, False, "light"),
    "serving_phone": (390, 1500, True, "dark"),
}


def main() -> None:
    """Draw cells, drop them on the page, and write what it shows."""
    cells = unseen_cells()
    with serving(Path.cwd()) as server, chromium() as page:
        for name, (width, height, mobile, scheme) in VIEWS.items():
            page.resize(width, height, mobile=mobile)
            page.prefer(scheme)
            page.driver.get(server.url)
            page.until(lambda: "version" in page.text("#model"))
            page.drop(*cells)
            page.until(lambda: page.all(".card"))
            page.until(lambda: maps_are_there(page))
            path = FIGURES / f"{name}.png"
            path.write_bytes(smaller(page.driver.get_screenshot_as_png()))
            print(f"{path}: {path.stat().st_size // 1000} kB")


def maps_are_there(page: Page) -> bool:
    """Whether every heat map on the screen has come."""
    return bool(
        page.run(
            "return [...document.querySelectorAll('.map .frame')].every((frame) =>"
            " frame.getBoundingClientRect().top > innerHeight || frame.querySelector('img')?.complete)"
        )
    )


def unseen_cells() -> list[tuple[str, bytes]]:
    """Files of two subjects that the champion has not seen, one with two cells, and one that is no picture."""
    settings = load_params().fetch.synthetic.model_copy(
        update={"seed": OTHER_SEED, "subjects_all": 4, "subjects_hem": 4, "images_per_subject": 12, "final_images": 0}
    )
    with tempfile.TemporaryDirectory() as folder:
        draw_cells(settings, Path(folder))
        files = [found for name in CLASS_NAME.values() for found in of_one_subject(Path(folder), name)]
        chosen = [(file.name, file.read_bytes()) for file in files]
        first, second = (read_rgb(file)[100:350, 100:350] for file in files[:2])
    two = np.zeros((450, 600, 3), np.uint8)
    two[100:350, 40:290], two[100:350, 310:560] = first, second
    return [*chosen, ("two cells.png", encoded(two, ".png")), ("notes.txt", b"not a picture")]


def of_one_subject(folder: Path, name: str) -> list[Path]:
    """Some files of the subject with the most, of the class called `name`."""
    subjects: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob(f"UID_*_{name}.png")):
        subjects.setdefault(file.stem.split("_")[1], []).append(file)
    return max(subjects.values(), key=len)[:CELLS_OF_EACH]


def smaller(png: bytes) -> bytes:
    """The picture in 256 colours. Raises DataError where it is still larger than a document's picture may be."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    if len(out.getvalue()) > MOST_BYTES:
        raise DataError(f"a screenshot of {len(out.getvalue()):,} bytes: show less")
    return out.getvalue()


if __name__ == "__main__":
    main()
