"""Figures as data URIs, small enough that a page may hold hundreds of them."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

COLOURS = 64  # of a figure's palette: line drawings lose nothing that the eye sees and shrink to a third


def data_uris(paths: Sequence[Path]) -> list[str]:
    """PNG figures as data URIs, in order, made on all cores; the same bytes for the same figures."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_data_uri, paths))


def _data_uri(path: Path) -> str:
    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    reduced.save(content, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
