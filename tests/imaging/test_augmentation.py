"""Table II as data: the meaning of Keras's own operations, and draws that depend on nothing but their seed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Augment
from leukoscope.imaging.augmentation import apply_draw, source_of_target
from leukoscope.imaging.draws import Draw, draw, draw_table, draws_of, single_operations

SETTINGS = Augment()


def keras_result(picture: np.ndarray, parameters: Draw) -> np.ndarray:
    """The same draw through keras's legacy functions, in ImageDataGenerator's order."""
    from keras.src.legacy.preprocessing.image import apply_affine_transform, apply_channel_shift

    side = picture.shape[0]
    result = apply_affine_transform(
        picture.astype(np.float32),
        theta=parameters.angle,
        tx=parameters.shift_x * side,
        ty=parameters.shift_y * side,
        shear=parameters.shear,
        zx=parameters.zoom_x,
        zy=parameters.zoom_y,
        row_axis=0,
        col_axis=1,
        channel_axis=2,
        fill_mode="nearest",
        order=1,
    )
    result = apply_channel_shift(result, parameters.channel_shift, 2)
    result = result[:, ::-1] if parameters.flip_h else result
    return result[::-1] if parameters.flip_v else result


@pytest.mark.parametrize("name", [*single_operations(SETTINGS), "view 1", "view 2", "view 3", "view 4", "view 5"])
def test_a_draw_means_what_keras_means(name: str, cell: np.ndarray) -> None:
    alone = single_operations(SETTINGS)
    parameters = alone.get(name) or draw(SETTINGS, "a1" * 32, int(name.split()[-1]))
    ours, theirs = apply_draw(cell, parameters).astype(float), keras_result(cell, parameters)
    inside = theirs.max(axis=-1) > 15
    assert np.abs(ours - theirs)[inside].mean() < 1


def test_the_fast_ways_give_the_values_of_the_plain_one(cell: np.ndarray) -> None:
    noise = np.random.default_rng(7).integers(3, 250, (97, 97, 3), np.uint8)
    framed = noise.copy()
    framed[[0, -1]] = framed[:, [0, -1]] = (9, 8, 7)
    for number, picture in enumerate([cell, noise, framed] * 20):
        parameters = draw(Augment(channel_shift=60), f"{number:064x}", 1)
        np.testing.assert_array_equal(apply_draw(picture, parameters), plainly_applied(picture, parameters))


def plainly_applied(picture: np.ndarray, parameters: Draw) -> np.ndarray:
    """A draw as one warp of three channels with repeated pixels, and a table of shifted grey levels."""
    side = len(picture)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    source = source_of_target(parameters, side)
    warped = cv2.warpAffine(picture, source, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    levels = np.arange(256) + parameters.channel_shift
    return np.rint(np.clip(levels, warped.min(), warped.max())).astype(np.uint8)[warped]


def changed_by(settings: Augment) -> set[str]:
    """The parameters that the preview's single operations change."""
    return {
        name
        for parameters in single_operations(settings).values()
        for name in Draw.__dataclass_fields__
        if getattr(parameters, name) != getattr(Draw(), name)
    }


def test_no_operation_is_left_out_of_the_preview_and_none_that_is_off_is_in_it() -> None:
    of_table_ii = set(list(Draw.__dataclass_fields__)[:9])
    assert changed_by(SETTINGS) == of_table_ii
    assert changed_by(Augment(stain=0.1, grain=0.3, noise=2)) == set(Draw.__dataclass_fields__)


def test_draws_stay_within_table_ii() -> None:
    draws = [draw(SETTINGS, f"{number:064x}"[::-1], 1) for number in range(500)]
    for name, low, high in [
        ("angle", -30, 30),
        ("shift_x", -0.25, 0.25),
        ("shift_y", -0.25, 0.25),
        ("shear", -20, 20),
        ("zoom_x", 0.7, 1.3),
        ("zoom_y", 0.7, 1.3),
        ("channel_shift", -10, 10),
    ]:
        values = np.array([getattr(parameters, name) for parameters in draws])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    assert 0.4 < np.mean([parameters.flip_h for parameters in draws]) < 0.6


def test_a_draw_depends_on_the_seed_the_image_and_the_view_alone(images: pd.DataFrame) -> None:
    all_at_once = draw_table(images, SETTINGS, 3).set_index(["image_id", "view"])
    one = images.iloc[[7]]
    pd.testing.assert_frame_equal(
        draw_table(one, SETTINGS, 2).set_index(["image_id", "view"]),
        all_at_once.loc[[(one["image_id"].iloc[0], 1), (one["image_id"].iloc[0], 2)]],
    )
    assert draw(SETTINGS, "ab" * 32, 1) != draw(Augment(seed=8), "ab" * 32, 1)


def test_changing_one_range_leaves_the_other_draws_alone() -> None:
    before, after = draw(SETTINGS, "cd" * 32, 1), draw(Augment(zoom=0.1), "cd" * 32, 1)
    assert before.zoom_x != after.zoom_x
    assert replace(before, zoom_x=after.zoom_x, zoom_y=after.zoom_y) == after


@pytest.mark.parametrize("settings", [SETTINGS, Augment(stain=0.1, grain=0.3, noise=2)])
def test_the_table_gives_back_its_draws(settings: Augment, images: pd.DataFrame, tmp_path: Path) -> None:
    draw_table(images, settings, 2).to_parquet(tmp_path / "draws.parquet", index=False)
    read, drawn = draws_of(pd.read_parquet(tmp_path / "draws.parquet"))[3], draw(settings, images["sha256"][1], 2)
    assert repr(read) == repr(drawn)  # to the letter: views are remembered by it


def test_no_views_make_an_empty_table(images: pd.DataFrame) -> None:
    assert list(draw_table(images, SETTINGS, 0)["view"]) == []


def test_keep_black_leaves_the_background_black(cell: np.ndarray) -> None:
    shift = Draw(channel_shift=10)
    assert apply_draw(cell, shift)[0, 0].max() == 10
    assert apply_draw(cell, shift, keep_black=True)[0, 0].max() == 0
