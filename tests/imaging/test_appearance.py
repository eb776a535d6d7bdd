"""What views change of a cell's stain and grain: inside the cell alone, as told, and nothing where it is off."""

from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from leukoscope.config.params import Augment
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.imaging.appearance import AZURE_AND_EOSIN
from leukoscope.imaging.augmentation import apply_draw
from leukoscope.imaging.cell import background, find_cell
from leukoscope.imaging.draws import DRAW_COLUMNS, Draw, draw

ON = Augment(stain=0.15, grain=0.35, noise=3)
OF_TABLE_II = DRAW_COLUMNS[:9]
BEYOND = DRAW_COLUMNS[9:]
STRONG = Draw(
    azure_scale=1.2,
    azure_shift=0.1,
    eosin_scale=0.9,
    eosin_shift=-0.1,
    **dict.fromkeys(("fine_red", "fine_green", "fine_blue"), 2.0),
    noise=4,
    noise_seed=5,
)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return fixed_cells(1, 3)[0][75:375, 75:375].copy()


def densities(picture: np.ndarray) -> np.ndarray:
    """Optical densities [pixels of the cell, 3]."""
    return -np.log((picture[background(picture) == 0].astype(float) + 1) / 256)


def beyond_table_ii(settings: Augment, views: int) -> np.ndarray:
    """The parameters [views, parameters] of a cell's appearance."""
    drawn = [asdict(draw(settings, "ab" * 32, view)) for view in range(1, views + 1)]
    return np.array([[one[name] for name in BEYOND] for one in drawn], float)


def test_table_ii_is_drawn_as_if_there_were_nothing_else() -> None:
    for view in range(1, 20):
        off, on = draw(Augment(), "cd" * 32, view), draw(ON, "cd" * 32, view)
        assert replace(on, **{name: getattr(Draw(), name) for name in BEYOND}) == off
        assert all(getattr(off, name) == getattr(Draw(), name) for name in BEYOND)


def test_each_setting_draws_its_own_and_leaves_the_others_alone() -> None:
    together = dict(zip(BEYOND, beyond_table_ii(ON, 5).T, strict=True))
    for setting, prefixes in {"stain": ("azure", "eosin"), "grain": ("fine", "coarse"), "noise": ("noise",)}.items():
        alone = dict(zip(BEYOND, beyond_table_ii(Augment(**{setting: getattr(ON, setting)}), 5).T, strict=True))
        for name in BEYOND:
            usual = together[name] if name.startswith(prefixes) else np.full(5, getattr(Draw(), name))
            np.testing.assert_array_equal(alone[name], usual)


def test_draws_have_the_ranges_and_deviations_that_they_are_told() -> None:
    drawn = dict(zip(BEYOND, beyond_table_ii(ON, 3000).T, strict=True))
    for name in ("azure_scale", "eosin_scale"):
        assert 0.85 <= drawn[name].min() < 0.86
        assert 1.14 < drawn[name].max() <= 1.15
    for name in ("azure_shift", "eosin_shift"):
        assert -0.15 <= drawn[name].min() < -0.14
        assert 0.14 < drawn[name].max() <= 0.15
    assert 0 <= drawn["noise"].min() < 0.05 < 2.95 < drawn["noise"].max() <= 3
    assert len(set(drawn["noise_seed"])) == 3000
    for band in ("fine", "coarse"):
        gains = np.log(np.stack([drawn[f"{band}_{channel}"] for channel in ("red", "green", "blue")]))
        assert gains.std(axis=1) == pytest.approx(np.full(3, 0.35 * np.hypot(1, 1 / 3)), rel=0.05)
        assert (gains - gains.mean(axis=0)).std() == pytest.approx(0.35 / 3 * np.sqrt(2 / 3), rel=0.05)
    assert abs(np.corrcoef(drawn["fine_red"], drawn["coarse_red"])[0, 1]) < 0.1


@pytest.mark.parametrize("change", [STRONG, replace(STRONG, azure_scale=2.0), Draw(noise=60.0), Draw(fine_red=9.0)])
def test_the_background_stays_black_and_the_outline_where_it_is(change: Draw, picture: np.ndarray) -> None:
    changed = apply_draw(picture, change)
    outside = background(picture) == 255
    np.testing.assert_array_equal(changed[outside], picture[outside])
    np.testing.assert_array_equal(background(changed), background(picture))
    assert (changed != picture)[~outside].mean() > 0.2


def test_a_picture_without_a_cell_is_left_as_it_is() -> None:
    black = np.zeros((40, 40, 3), np.uint8)
    np.testing.assert_array_equal(apply_draw(black, STRONG), black)


def test_stains_are_scaled_and_shifted_along_their_vectors(picture: np.ndarray) -> None:
    """A picture of known stain concentrations, and what Beer and Lambert say it becomes."""
    rng = np.random.default_rng(0)
    vectors = AZURE_AND_EOSIN / np.linalg.norm(AZURE_AND_EOSIN, axis=1, keepdims=True)
    taken = rng.uniform(0.3, 1.0, (50, 50, 2))

    def shown(concentrations: np.ndarray) -> np.ndarray:
        return 256 * np.exp(-concentrations @ vectors) - 1

    changed = apply_draw(
        np.rint(shown(taken)).astype(np.uint8),
        Draw(azure_scale=1.2, azure_shift=-0.05, eosin_scale=0.8, eosin_shift=0.1),
    )
    expected = shown(taken * [1.2, 0.8] + [-0.05, 0.1])
    assert np.abs(changed - expected).max() < 1.5  # grey levels: it was rounded before and after


def test_what_neither_stain_explains_stays(picture: np.ndarray) -> None:
    beyond = np.cross(*AZURE_AND_EOSIN)
    beyond /= np.linalg.norm(beyond)
    before, after = densities(picture), densities(apply_draw(picture, Draw(azure_scale=1.1, eosin_scale=0.95)))
    bright = (np.exp(-np.minimum(before, after)).min(axis=1) > 0) & (np.maximum(before, after).max(axis=1) < 2.5)
    assert bright.mean() > 0.1
    assert np.abs((after - before) @ beyond)[bright].mean() < 0.02
    assert np.abs(after - before)[bright].mean() > 0.02


def test_gains_multiply_their_bands_and_no_other(picture: np.ndarray) -> None:
    """Far from the rim, where a plain blur sees no background."""
    gained = Draw(fine_red=1.6, fine_green=0.5, coarse_blue=1.8)
    deep = cv2.erode(255 - background(picture), np.ones((25, 25), np.uint8)) > 0
    assert deep.sum() > 500
    bands = []
    for shown in (picture, apply_draw(picture, gained)):
        values = shown.astype(np.float64)
        smooth, smoother = cv2.GaussianBlur(values, (0, 0), 1), cv2.GaussianBlur(values, (0, 0), 2)
        bands.append((values, values - smooth, smooth - smoother, smoother))
    (before, fine, coarse, smoother), (after, *_) = bands
    expected = fine * [1.6, 0.5, 1] + coarse * [1, 1, 1.8] + smoother
    assert np.abs(after - np.clip(expected, 0, 255))[deep].max() <= 0.51  # rounded once
    assert np.abs(after - before)[deep].mean() > 0.1  # grey levels


def test_the_rim_does_not_bleed() -> None:
    """A cell of one colour has no detail, whatever its gains: the step to the background is none."""
    flat = np.zeros((80, 80, 3), np.uint8)
    cv2.circle(flat, (40, 40), 25, (120, 60, 140), -1)
    np.testing.assert_array_equal(apply_draw(flat, Draw(fine_red=3.0, coarse_green=3.0)), flat)


def test_noise_has_its_deviation_and_is_the_same_again() -> None:
    grey = np.full((120, 120, 3), 128, np.uint8)
    noisy = apply_draw(grey, Draw(noise=4, noise_seed=9))
    assert noisy.astype(float).std() == pytest.approx(4, rel=0.03)
    np.testing.assert_array_equal(noisy, apply_draw(grey, Draw(noise=4, noise_seed=9)))
    assert (noisy != apply_draw(grey, Draw(noise=4, noise_seed=10))).mean() > 0.8


def test_a_whole_draw_leaves_a_cell_to_be_found(picture: np.ndarray) -> None:
    for view in range(1, 9):
        parameters = draw(ON, "ef" * 32, view)
        geometry = Draw(**{name: getattr(parameters, name) for name in OF_TABLE_II})
        plain, changed = find_cell(apply_draw(picture, geometry)), find_cell(apply_draw(picture, parameters))
        assert plain is not None
        assert changed is not None
        assert changed.area == pytest.approx(plain.area, rel=0.02)
