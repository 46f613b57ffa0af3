"""How images of other proportions and channels become the input of a training: what is chosen, and what is shown."""

import numpy as np
import pytest
from PIL import Image

from keras_resnet.config.data import FITS, AugmentSpec, DataSpec
from keras_resnet.config.network import Normalization
from keras_resnet.config.spec import Spec
from keras_resnet.data.image_size import choose_channels, choose_fit, choose_sizes
from keras_resnet.data.load import load_dataset
from keras_resnet.data.pipeline import TrainPipeline, evaluation_batches, sample_balanced_images
from keras_resnet.data.transforms.crop import RandomResizedCrop
from keras_resnet.data.transforms.registry import augment_image
from keras_resnet.errors import DataError, SettingError
from keras_resnet.runtime.image import preprocess, read_image

SQUARE, PHOTO, WIDE, TALL = (60, 60, 3), (400, 600, 3), (100, 200, 3), (200, 100, 3)


def said(choose, *arguments, **named):
    lines = []
    return choose(*arguments, lines.append, **named), "; ".join(lines)


@pytest.mark.parametrize(
    ("shapes", "size", "fit", "words"),
    [
        ([SQUARE] * 9 + [WIDE], None, "pad", "10% of the images are wider than 3:2; their sides would be cut off"),
        ([SQUARE] * 7 + [TALL] * 3, None, "pad", "30% of the images are taller than 3:2; their tops and bottoms"),
        ([TALL, WIDE], 64, "pad", "100% of the images are wider or taller than 3:2; their ends would be cut off"),
        ([SQUARE] * 19 + [WIDE], None, "crop", "5% of the images are wider or taller than 3:2"),
        ([PHOTO] * 9, None, "crop", ""),
        ([WIDE] * 9, (64, 128), "crop", ""),
        ([SQUARE] * 9, (64, 128), "pad", "taller than 1.5 times the proportions of 64x128"),
        ([], None, "crop", ""),
    ],
)
def test_the_fit_follows_from_the_shapes(shapes, size, fit, words):
    found, line = said(choose_fit, None, shapes, size)
    assert found == fit and words in line and bool(words) == bool(line)


def test_alike_images_get_a_hint_at_their_own_proportions():
    large = said(choose_fit, None, [(1000, 2000, 3)] * 9, None)[1]
    assert "--image-size 160x320, or another of these proportions" in large
    assert "--image-size 48x160, or another of" in said(choose_fit, None, [(48, 160, 3)] * 9, None)[1]  # not enlarged
    assert "--image-size" not in said(choose_fit, None, [WIDE, TALL], None)[1]


def test_what_is_asked_for_is_taken():
    assert said(choose_fit, "stretch", [WIDE], None)[0] == "stretch"
    assert said(choose_channels, 1, [SQUARE]) == (1, "channels: 1 (set in the spec)")


@pytest.mark.parametrize(
    ("found", "channels", "words"),
    [
        ((3, 3), 3, ""),
        ((1, 3), 3, ""),
        ((1, 1), 3, "--channels 1"),
        ((6, 6), 6, "those of the images"),
        ((6, 5), 3, ""),
    ],
)
def test_the_channels_follow_from_the_images(found, channels, words):
    chosen, line = said(choose_channels, None, [(8, 8, each) for each in found])
    assert chosen == channels and words in line and bool(words) == bool(line)


def test_sizes():
    assert choose_sizes((64, 128), None, None, list().append) == ((64, 128), (73, 146))
    assert choose_sizes((32, 48), None, None, list().append) == ((32, 48), (32, 48))
    assert choose_sizes(224, 256, None, list().append, fit="pad") == (224, 224)
    assert choose_sizes((64, 128), (60, 150), None, list().append) == ((60, 150), (60, 150))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.image_size": "64x"}, "8 to 16384 pixels, or HEIGHTxWIDTH as in 480x640. Received: '64x'"),
        ({"data.image_size": "4x640"}, "Received: '4x640'"),
        ({"data.image_size": (1, 2, 3)}, "HEIGHTxWIDTH"),
        ({"data.channels": 65}, "data.channels must be 1 to 64. Received: 65"),
        ({"data.fit": "zoom"}, "data.fit must be one of crop, pad, stretch. Received: 'zoom'"),
        ({"data.fit": "pad", "data.image_size": 64, "data.resize": 73}, "since --fit pad cuts nothing off"),
        ({"data.image_size": (64, 128), "data.resize": 100}, "at least image_size"),
        ({"data.image_size": (64, 128), "augment.train_sizes": (32,)}, "left out for images that are not square"),
        ({"task": "detect", "data.annotations": "objects", "data.image_size": "64x128"}, "one number for detect"),
        ({"task": "detect", "data.annotations": "objects", "data.fit": "crop"}, "data.fit must be pad for detect"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes, words):
    with pytest.raises(SettingError, match=words):
        Spec().override_all(changes)


def test_a_size_is_written_and_read_again():
    spec = Spec().override("data.image_size", "480x640")
    assert spec.data.image_size == (480, 640) and Spec.from_json(spec.to_json()) == spec
    assert Spec().override("data.image_size", "64x64").data.image_size == 64


def test_normalization_of_other_channels_is_the_mean_of_that_of_colors():
    assert Normalization((1.0, 2.0, 6.0), (1.0, 2.0, 3.0)).adapt(2) == Normalization((3.0, 3.0), (2.0, 2.0))
    assert Normalization((1.0,) * 5, (1.0,) * 5).adapt(5).mean == (1.0,) * 5
    with pytest.raises(SettingError, match="4 numbers, one for each channel"):
        Normalization((1.0, 1.0), (1.0, 1.0)).adapt(4)


# From folders


def write_images(folder, channels=3, size=(60, 24)):
    """Two classes of ten images each, with as many channels."""
    rng = np.random.default_rng(0)
    for label in ("one", "two"):
        (folder / label).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
            if channels == 3:
                Image.fromarray(pixels).save(folder / label / f"{number}.png")
            else:
                np.save(folder / label / f"{number}.npy", pixels)
    return folder


@pytest.mark.parametrize(
    ("channels", "fields"),
    [
        (3, {"fit": "crop", "image_size": (16, 32)}),
        (3, {"image_size": 16}),
        (3, {"fit": "stretch", "image_size": 16, "channels": 1}),
        (5, {"image_size": (16, 24)}),
    ],
)
@pytest.mark.parametrize("keeps", [True, False])
def test_evaluation_sees_what_devices_see(tmp_path, monkeypatch, channels, fields, keeps):
    monkeypatch.setattr("keras_resnet.data.sources.image_folder.fits_in_memory", lambda *of: keeps)
    data = load_dataset(DataSpec(str(write_images(tmp_path / "d", channels)), **fields), list().append)
    validation = data.splits["validation"]
    assert data.fit == fields.get("fit", "pad") and data.channels == fields.get("channels", channels)
    batch = np.concatenate([np.asarray(images) for images, _ in evaluation_batches(validation, data.image_size, 3)])
    geometry = FITS[data.fit], data.resize, data.image_size, data.channels
    for file, pixels in zip(validation.files, batch, strict=True):
        np.testing.assert_array_equal(pixels, preprocess(read_image(file, channels=channels), *geometry))
    sample = sample_balanced_images(validation, image_size=data.image_size, per_class=1, classes=2, seed=0)
    assert sample.shape == (2, *data.input_shape)


@pytest.mark.parametrize(
    ("channels", "size", "fit", "augment"),
    [
        (3, (16, 32), "pad", {}),
        (5, 16, "stretch", {"crop": "resized"}),
        (3, (16, 32), "crop", {"auto_augment": "randaugment", "random_erase": 0.5}),
        (5, 16, "pad", {"crop": "resized", "auto_augment": "augmix"}),
    ],
)
def test_training_shows_images_of_the_input_shape(tmp_path, fit, channels, size, augment):
    import tensorflow as tf

    folder = write_images(tmp_path / "d", channels)
    data = load_dataset(DataSpec(str(folder), image_size=size, fit=fit), list().append)
    batches = TrainPipeline(
        *(data.splits["train"], data.image_size, 4, 0, lambda labels: tf.one_hot(labels, 2)),
        augment=AugmentSpec(flip=True, mixup=0.2, **augment),
        fit=fit,
    ).batches(0, 2)
    images = [np.asarray(images) for images, _ in batches]
    assert {each.shape for each in images} == {(4, *data.input_shape)} and all(each.std() > 10 for each in images)


@pytest.mark.parametrize("policy", ["none", "randaugment", "trivialaugment", "augmix"])
def test_all_channels_are_moved_alike(policy):
    """Channels that are the same stay the same."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40), dtype=np.uint8)
    picture = (Image.fromarray(pixels),) * 4
    settings = AugmentSpec(crop="resized", flip=True, auto_augment=policy, random_erase=1.0)
    for position in range(12):
        shown = augment_image(picture, position, settings=settings, size=(16, 24), seed=3, fit="pad")
        assert shown.shape == (16, 24, 4) and (shown == shown[..., :1]).all()


def test_resized_crops_of_padded_and_stretched_images():
    """All of the area of a white image: with its padding, or without."""
    settings, size = AugmentSpec(crop="resized", min_crop_area=0.999), 32
    rng = np.random.default_rng(0)
    white = Image.new("RGB", (100, 50), "white")
    shares = {
        fit: np.asarray(RandomResizedCrop(fit)(white, rng, settings, size)).mean() / 255 for fit in ("pad", "stretch")
    }
    assert shares["pad"] == pytest.approx(0.5, abs=0.05) and shares["stretch"] == 1


def test_files_of_other_channels_are_unreadable(tmp_path):
    folder = write_images(tmp_path / "d", 5)
    np.save(folder / "one" / "odd.npy", np.zeros((24, 60, 4), np.uint8))
    with pytest.raises(DataError, match=r"odd\.npy: its channels are 4, and the network takes 5"):
        load_dataset(DataSpec(str(folder), channels=5), list().append)
    with pytest.raises(DataError, match="its channels are 5, and the network takes 3"):
        load_dataset(DataSpec(str(folder), channels=3), list().append)


def test_arrays_beside_images_are_left_out(tmp_path):
    folder, lines = write_images(tmp_path / "d"), []
    np.save(folder / "one" / "features.npy", np.zeros(9))
    load_dataset(DataSpec(str(folder)), lines.append)
    assert any(".npy (1)" in line for line in lines)
