"""Decoding: one way to read a picture, for every stage and for prediction.

A picture is read as it is stored: an EXIF orientation is not applied, so that the same bytes give the same pixels to
whoever reads them.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from leukoscope.core.errors import DataError

MAX_PIXELS = 40_000_000  # a cell's picture has 0.2 million; a header that claims more than this is not decoded
MAX_BYTES = 8 * MAX_PIXELS + (1 << 20)  # of a file: four channels of 16 bits without compression, and a header
_COLOUR_MODES_REFUSED = frozenset({"CMYK", "LAB", "HSV"})

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # what is wrong with a file is said once, by the DataError
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(DataError):
    """A file whose bytes are no picture that can be read; `reason` says why, without the file's name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.reason = reason

    def __str__(self) -> str:
        name, reason = self.args
        return f"{name}: {reason}; replace the file or take it out"


def read_rgb(source: Path | str | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a bmp, png, jpg or tif file, or its bytes, to uint8 [height, width, 3] RGB.

    Grey becomes three equal channels, an alpha channel is composited on black, 16-bit values are scaled to 0..255, and
    of several pages the first counts. Raises PictureError (which calls bytes `name`) for what is empty, cut off, no
    picture, in CMYK or floating point, or larger than `max_pixels`, and DataError as `read_bytes` does.
    """
    if isinstance(source, bytes):
        data, name = source, name or "the picture"
    else:
        data, name = read_bytes(Path(source)), name or str(source)
    try:
        return decode(data, max_pixels)
    except ValueError as error:
        raise PictureError(name, str(error)) from None


def read_bytes(file: Path) -> bytes:
    """A file's bytes. Raises DataError if it cannot be read, or is larger than any picture that may be decoded."""
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would be waited for, a device may never end
            raise DataError(f"{file}: not a file; take it out")
        if about.st_size <= MAX_BYTES:
            return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: {(error.strerror or 'unreadable').lower()}") from None
    raise DataError(f"{file}: more than {MAX_BYTES // 1_000_000} MB, which no picture of a cell needs")


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a picture's bytes to uint8 [height, width, 3] RGB. Raises ValueError with the bare reason."""
    _check_header(data, max_pixels)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):
        pixels = None
    if pixels is None:
        raise ValueError("cut off or damaged")
    return _rgb(_eight_bits(pixels))


def _check_header(data: bytes, max_pixels: int) -> None:
    """Refuse what must not reach the decoder."""
    if not data:
        raise ValueError("empty file")
    width, height, mode = _bmp_header(data) or _header(data)
    if width * height > max_pixels:
        raise ValueError(f"claims {width}x{height} pixels, more than {max_pixels / 1_000_000:g} megapixels")
    if mode in _COLOUR_MODES_REFUSED:
        raise ValueError(f"has {mode} colours, where RGB is needed")


def _bmp_header(data: bytes) -> tuple[int, int, str] | None:
    """Width, height and mode of a BMP, C-NMC's format, at a tenth of Pillow's time; None for anything else."""
    if data[:2] != b"BM" or len(data) < 26 or data[14] < 40:
        return None
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height), "RGB"  # rows that run downwards have a negative height


def _header(data: bytes) -> tuple[int, int, str]:
    """Width, height and mode as Pillow reads them from the header alone."""
    try:
        with Image.open(io.BytesIO(data)) as header:
            return *header.size, header.mode
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"claims more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except Exception:  # Pillow's plugins raise whatever their parsing meets (struct.error, KeyError, OSError, ...)
        raise ValueError("not a picture that can be read (bmp, png, jpg, tif)") from None


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    raise ValueError(f"has {pixels.dtype} pixels, where 8 or 16 bits are needed")


def _rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    colours = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB)
    opaque = cv2.cvtColor(pixels[:, :, 3], cv2.COLOR_GRAY2RGB)
    return cv2.multiply(colours, opaque, scale=1 / 255)
