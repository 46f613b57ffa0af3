"""Each corruption does what its paper says, by measures of its own, and is the same each time."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from samples import photo

from keras_resnet.corruptions import blur, camera, weather
from keras_resnet.corruptions.base import LARGE_SET, SEVERITIES, SMALL_SET, name_constants
from keras_resnet.corruptions.registry import CORRUPTIONS, GROUPS, choose_corruptions
from keras_resnet.errors import UsageError

# Those that change a picture more with each severity; constants of the others trade one thing for another.
RISING = [
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "zoom_blur", "brightness", "contrast"),
    *("jpeg_compression", "rotation", "darkness", "sensor_noise", "phone_jpeg"),
]
PHOTO = {side: np.asarray(photo(side, side)) for side in (32, 96)}
GRAY = np.full((200, 200, 3), 128, np.uint8)


def corrupted(name, pixels, severity=3, seed=0):
    return CORRUPTIONS[name].corrupt(pixels, severity, np.random.default_rng(seed))


def change(pixels, other):
    return np.abs(pixels.astype(float) - other).mean()


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(32, 32, 3), (96, 96, 3), (32, 32, 1), (40, 28, 4), (8, 8, 1), (3, 1, 3)], ids=str)
def test_any_image_stays_one_of_its_kind(name, shape):
    height, width, channels = shape
    pixels = np.asarray(photo(width, height))[:, :, [0] * channels if channels != 3 else [0, 1, 2]]
    changed = corrupted(name, pixels)
    assert changed.shape == shape and changed.dtype == np.uint8
    assert min(height, width) < 8 or change(pixels, changed) > 0.1


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_chance_is_the_seeds_and_the_images_alone(name):
    """Whatever the batch, whatever is in it."""
    pixels = np.stack([PHOTO[32], PHOTO[32][::-1], PHOTO[32]])
    corruption = CORRUPTIONS[name]
    whole = corruption.corrupt_batch(pixels, 3, seed=5)
    np.testing.assert_array_equal(whole[1:], corruption.corrupt_batch(pixels[1:], 3, seed=5, first=1))
    np.testing.assert_array_equal(whole, corruption.corrupt_batch(pixels, 3, seed=5))
    if name in ("gaussian_noise", "snow", "elastic_transform", "sensor_noise"):
        assert (whole[0] != whole[2]).any() and (whole != corruption.corrupt_batch(pixels, 3, seed=6)).any()


@pytest.mark.parametrize("name", RISING)
@pytest.mark.parametrize("side", PHOTO)
def test_higher_severities_change_more(name, side):
    changes = [change(PHOTO[side], corrupted(name, PHOTO[side], severity)) for severity in SEVERITIES]
    assert changes == sorted(changes) and changes[0] < changes[-1]


def test_padding_stays():
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[:, :20, :28] = PHOTO[32][:20, :28]
    for corruption in CORRUPTIONS.values():
        changed = corruption.corrupt_batch(pixels, 5, 0, sizes=[(20, 28), (20, 28)])
        assert not changed[:, 20:].any() and not changed[:, :, 28:].any() and (changed != pixels).any()


@pytest.mark.parametrize(("pixels", "deviations"), [(GRAY, (0.08, 0.38)), (GRAY[:40, :40], (0.04, 0.10))], ids=len)
def test_gaussian_noise_has_the_papers_deviation(pixels, deviations):
    for severity, deviation in zip((1, 5), deviations, strict=True):
        noise = corrupted("gaussian_noise", pixels, severity).astype(float)
        inside = noise[(noise > 0) & (noise < 255)]
        clipped = 1 - len(inside) / noise.size
        assert clipped > 0.1 or noise.std() / 255 == pytest.approx(deviation, rel=0.03)
        assert (clipped > 0.1) == (deviation > 0.3)


def test_shot_noise_is_a_poisson_count():
    """Its variance is the mean over the photons of white: 60 in ImageNet-C's first severity."""
    noise = corrupted("shot_noise", GRAY, 1) / 255
    assert noise.mean() == pytest.approx(128 / 255, rel=0.01) and noise.var() == pytest.approx(128 / 255 / 60, rel=0.05)
    assert len(np.unique(np.rint(noise * 60))) == len(np.unique(noise))


def test_impulses_are_black_and_white_in_each_channel():
    changed = corrupted("impulse_noise", GRAY, 5)
    assert set(np.unique(changed)) == {0, 128, 255}
    for value in (0, 255):
        assert (changed == value).mean() == pytest.approx(0.27 / 2, abs=0.01)


def test_brightness_is_the_value_of_hsv():
    changed = corrupted("brightness", PHOTO[96], 1)
    for before, after in zip(PHOTO[96].reshape(-1, 3)[::97] / 255, changed.reshape(-1, 3)[::97] / 255, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        np.testing.assert_allclose(after, colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.1)), atol=0.51 / 255)
    assert (corrupted("brightness", np.zeros((96, 96, 3), np.uint8), 5) == 128).all()


def test_contrast_is_a_share_of_the_deviation():
    changed = corrupted("contrast", PHOTO[96], 1)
    np.testing.assert_allclose(changed.std(axis=(0, 1)), 0.4 * PHOTO[96].std(axis=(0, 1)), rtol=0.01)
    np.testing.assert_allclose(changed.mean(axis=(0, 1)), PHOTO[96].mean(axis=(0, 1)), atol=0.1)


def test_jpeg_and_pixels_are_pillows():
    image = Image.fromarray(PHOTO[96])
    written = io.BytesIO()
    image.save(written, "JPEG", quality=15)
    np.testing.assert_array_equal(corrupted("jpeg_compression", PHOTO[96], 3), np.asarray(Image.open(written)))
    small = image.resize((int(96 * 0.3), int(96 * 0.3)), Image.Resampling.BOX)
    expected = np.asarray(small.resize((96, 96), Image.Resampling.BOX)).astype(float)
    assert np.abs(corrupted("pixelate", PHOTO[96], 4) - expected).max() <= 1


def test_rotation_is_pillows():
    changed = corrupted("rotation", PHOTO[96], 2)[24:-24, 24:-24].astype(float)
    image = Image.fromarray(PHOTO[96])
    turned = [np.asarray(image.rotate(angle, Image.Resampling.BILINEAR))[24:-24, 24:-24] for angle in (-10, 10)]
    assert min(np.abs(changed - each).mean() for each in turned) < 1


def test_a_stop_is_half_the_light():
    light = camera.to_linear(np.linspace(0, 1, 50))
    np.testing.assert_allclose(camera.to_srgb(light), np.linspace(0, 1, 50), atol=1e-6)
    dark = camera.to_linear(corrupted("darkness", np.full((8, 8, 3), 255, np.uint8), 2) / 255)
    assert dark == pytest.approx(0.25, abs=0.005)


def test_sensor_noise_has_the_variance_of_its_electrons():
    """Of 300 electrons for white and 4 of read noise (Foi et al. 2008: a share of the signal, and a constant)."""
    light = camera.to_linear(corrupted("sensor_noise", GRAY, 3) / 255)
    mean = float(camera.to_linear(np.array(128 / 255)))
    assert light.mean() == pytest.approx(mean, rel=0.02)
    assert light.var() == pytest.approx((mean * 300 + 16) / 300**2, rel=0.05)


def test_blur_moves_nothing_and_loses_no_light():
    dot = np.zeros((65, 65, 1))
    dot[32, 32] = 1
    rng, place = np.random.default_rng(0), np.arange(65)
    for apply, constants in ((blur.defocus, (6, 0.5)), (blur.blur_by_motion, (15, 8))):
        blurred = apply(dot, constants, rng)
        assert blurred.sum() == pytest.approx(1, abs=1e-6) and blurred.max() < 0.2
        for axis in (0, 1):
            assert (blurred.sum(axis=1 - axis)[:, 0] * place).sum() == pytest.approx(32, abs=0.6)
    radii = blur.defocus(dot, (6, 0.1), rng)[..., 0] > 1e-3
    assert np.hypot(*(np.argwhere(radii) - 32).T).max() == pytest.approx(6, abs=0.5)
    assert radii.sum() == pytest.approx(np.pi * 36, rel=0.05)


def test_zoom_is_about_the_center():
    ramp = np.tile(np.linspace(0, 1, 64)[:, None, None], (1, 64, 1))
    enlarged = blur.enlarge(ramp, 1.5)
    assert enlarged.mean() == pytest.approx(0.5, abs=1e-6)
    assert np.diff(enlarged[8:-8, 0, 0]) == pytest.approx(np.diff(ramp[8:-8, 0, 0]) / 1.5, rel=1e-3)


def test_glass_mixes_colors_of_the_neighborhood():
    """Without blur: each color was somewhere before, near."""
    rows = np.arange(40)[:, None, None] / 255 * np.ones((40, 40, 1))
    mixed = np.rint(255 * blur.blur_through_glass(rows, (1e-9, 2, 1), np.random.default_rng(0)))
    moved = mixed[..., 0] - 255 * rows[..., 0]
    assert set(np.unique(mixed)) <= set(range(40)) and (np.abs(moved) > 0.5).mean() > 0.4
    assert np.abs(moved).mean() < 3


def test_fog_keeps_the_brightest_value_and_is_smooth_where_chance_falls_fast():
    plasma = {decay: weather.make_plasma(64, decay, np.random.default_rng(0)) for decay in (1.5, 3)}
    for heights in plasma.values():
        assert heights.min() == 0 and heights.max() == 1
    rough, smooth = (np.abs(np.diff(plasma[decay], axis=0)).mean() for decay in (1.5, 3))
    assert rough > 2 * smooth
    # It repeats itself: across the border the steps are no larger.
    assert np.abs(plasma[3][0] - plasma[3][-1]).mean() < 3 * smooth
    assert corrupted("fog", PHOTO[96], 3).max() <= PHOTO[96].max()


def test_snow_whitens():
    dark = np.full((96, 96, 3), 60, np.uint8)
    means = [corrupted("snow", dark, severity).mean() for severity in (1, 5)]
    assert 60 < means[0] < means[1]


def test_the_constants_are_those_for_the_size():
    assert name_constants(32, 32) == name_constants(84, 300) == SMALL_SET
    assert name_constants(85, 85) == name_constants(224, 224) == LARGE_SET
    assert change(GRAY[:84, :84], corrupted("gaussian_noise", GRAY[:84, :84], 5)) < 25
    assert change(GRAY[:85, :85], corrupted("gaussian_noise", GRAY[:85, :85], 5)) > 60


def test_corruptions_are_chosen_by_name_and_group():
    every, left_out = choose_corruptions((), has_boxes=False)
    assert [each.name for each in every] == [*CORRUPTIONS] and set(left_out) == {"frost"}
    assert {each.group for each in every} == set(GROUPS) and len(every) == 19
    some, left_out = choose_corruptions(("fog", "noise"), has_boxes=False)
    assert [each.name for each in some] == ["gaussian_noise", "shot_noise", "impulse_noise", "fog"] and not left_out
    some, left_out = choose_corruptions((), has_boxes=True)
    assert set(left_out) == {"rotation", "scale", "elastic_transform", "frost"} and len(some) == 16
    assert left_out["rotation"] == "it moves what is seen, and boxes would not follow"
    for names, words in (
        (("frost",), "there is no frost: ImageNet-C makes it of photographs"),
        (("gaussian-noise",), "Received: 'gaussian-noise'. Did you mean 'gaussian_noise'?"),
        (("nose",), "Did you mean 'noise'?"),
    ):
        with pytest.raises(UsageError, match=words):
            choose_corruptions(names, has_boxes=False)
    with pytest.raises(UsageError, match="rotation and scale move what is seen"):
        choose_corruptions(("geometry",), has_boxes=True)
    with pytest.raises(UsageError, match="rotation moves what is seen"):
        choose_corruptions(("rotation",), has_boxes=True)
