"""Packed arrays: native scale, black where there is nothing, never enlarged."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from leukoscope.core.errors import DataError
from leukoscope.data.pack import open_pack, pack_images
from leukoscope.imaging.framing import centre_frame, frame_and_resize


def test_a_frame_is_the_centre_at_native_scale() -> None:
    picture = np.arange(450 * 450 * 3, dtype=np.uint32).reshape(450, 450, 3).astype(np.uint8)
    np.testing.assert_array_equal(centre_frame(picture, 300), picture[75:375, 75:375])
    np.testing.assert_array_equal(centre_frame(picture, 450), picture)


def test_a_600_pixel_picture_loses_its_rim() -> None:
    picture = np.zeros((600, 600, 3), np.uint8)
    picture[75:525, 75:525] = 9
    assert (centre_frame(picture, 450) == 9).all()


def test_a_smaller_picture_is_padded_and_not_enlarged() -> None:
    framed = centre_frame(np.full((100, 60, 3), 200, np.uint8), 300)
    assert (framed > 0).any(axis=-1).sum() == 100 * 60
    assert framed[100:200, 120:180].min() == 200


def test_pack_keeps_the_order_and_every_pack(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (450, 450, 3)).astype(np.uint8) for _ in range(5)]
    (tmp_path / "raw/images").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"raw/images/{number}.png"), picture[..., ::-1])
    images = pd.DataFrame({"image_id": list("edcba"), "file": [f"{n}.png" for n in range(5)], "sha256": "x"})
    pack_images(images, tmp_path / "raw", [(300, 64), (450, 96)], tmp_path / "packed")
    for frame, size in [(300, 64), (450, 96)]:
        packed = open_pack(tmp_path / "packed", frame, size)
        assert packed.shape == (5, size, size, 3)
        for number, picture in enumerate(pictures):
            np.testing.assert_array_equal(packed[number], frame_and_resize(picture, frame, size))


def test_a_broken_image_leaves_no_pack(tmp_path: Path) -> None:
    (tmp_path / "raw/images").mkdir(parents=True)
    (tmp_path / "raw/images/broken.png").write_bytes(b"\x89PNG not really")
    images = pd.DataFrame({"image_id": ["a"], "file": ["broken.png"], "sha256": ["x"]})
    with pytest.raises(DataError, match=r"broken\.png"):
        pack_images(images, tmp_path / "raw", [(300, 64)], tmp_path / "packed")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_pack_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"300-64\.npy is missing"):
        open_pack(tmp_path, 300, 64)
