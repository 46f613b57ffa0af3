"""Sources: what is read and what is refused."""

import hashlib
import threading
from collections import Counter

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from etils import epath
from samples import COLOURS, paint, silent
from sources import opened, spoil, whole
from tfds_sets import LabeledImages

from keras_resnet import connectivity
from keras_resnet.config.spec import DataSpec
from keras_resnet.data import pipeline
from keras_resnet.data.load import load_dataset, require_source
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.data.sources import shapes
from keras_resnet.data.sources import tfds as tfds_source
from keras_resnet.errors import DataError, UsageError


def digest(folder):
    return {p: hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_digits(tfds_home):
    data, said = opened("digits", data_dir=tfds_home)
    assert data.classes == tuple("0123456789") and data.flip_safe is False
    assert {name: split.count for name, split in data.splits.items()} == {"train": 1437, "validation": 360}
    shares = [np.bincount(split.labels) / split.count for split in data.splits.values()]
    assert np.abs(shares[0] - shares[1]).max() < 0.003
    assert data.splits["train"].pixels.shape == (1437, 8, 8, 3)
    assert any("image size: 8" in line for line in said)


def test_one_folder_per_class_is_split_alike_each_time(tmp_path):
    paint(tmp_path / "d", 20)
    before = digest(tmp_path / "d")
    first, _ = opened(tmp_path / "d")
    second, _ = opened(tmp_path / "d")
    assert first.classes == tuple(COLOURS) and first.flip_safe is None and first.image_size == 16
    assert Counter(first.splits["validation"].labels.tolist()) == {0: 4, 1: 4, 2: 4}
    for name in ("train", "validation"):
        np.testing.assert_array_equal(first.splits[name].pixels, second.splits[name].pixels)
    assert digest(tmp_path / "d") == before


def test_train_val_test_folders(tmp_path):
    for name, count in (("train", 6), ("val", 3), ("test", 2)):
        paint(tmp_path / "d" / name, count)
    data, _ = opened(tmp_path / "d")
    assert {name: split.count for name, split in data.splits.items()} == {"train": 18, "validation": 9, "test": 6}


def test_two_broken_files_of_300_are_named_and_skipped(tmp_path):
    paint(tmp_path / "d", 100)
    spoil(tmp_path / "d", "red", 2)
    data, said = opened(tmp_path / "d")
    assert sum(split.count for split in data.splits.values()) == 300
    named = [line for line in said if line.startswith("skipped: ")]
    assert len(named) == 2 and "broken0.png" in named[0] and "broken1.png" in named[1]


def test_too_many_broken_files(tmp_path):
    paint(tmp_path / "d", 20)
    spoil(tmp_path / "d", "red", 2)
    with pytest.raises(DataError, match=r"2 of 62 images cannot be read.*0\.01.*broken0\.png"):
        opened(tmp_path / "d")
    assert opened(tmp_path / "d", max_unreadable=0.05)[0].splits["train"].count


def test_data_of_one_class_are_refused_before_anything_is_said_of_them(tmp_path):
    for split in ("train", "val"):
        paint(tmp_path / "one" / split, 4, classes={"red": (255, 0, 0)})
    rows = "".join(f"train/red/{file.name},red\n" for file in (tmp_path / "one" / "train" / "red").iterdir())
    (tmp_path / "one" / "labels.csv").write_text(f"path,label\n{rows}")
    said = []
    for source in (tmp_path / "one", tmp_path / "one" / "labels.csv"):
        with pytest.raises(DataError, match=r"one (class|label) only \(red\)"):
            load_dataset(DataSpec(str(source)), said.append)
        with pytest.raises(DataError, match=r"one (class|label) only \(red\)"):
            require_source(DataSpec(str(source)))
    assert said == []
    # What explains another error is said.
    (tmp_path / "one" / "val" / "blue").mkdir()
    paint(tmp_path / "one" / "train", 4, classes={"blue": (0, 0, 255)})
    with pytest.raises(DataError):
        load_dataset(DataSpec(str(tmp_path / "one" / "train" / "..")), said.append)
    assert said


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("fotos", "."),
        ("phots", ". Did you mean 'photos'?"),
        ("digts", ". Did you mean 'digits'?"),
        ("cifar_10", ". Did you mean 'cifar10'?"),
        ("qqqq", "."),
    ],
)
def test_only_what_is_nearly_the_same_name_is_suggested(tmp_path, monkeypatch, name, suggestion):
    """Of TFDS, which has thousands of names; of folders here also what is a little like it."""
    monkeypatch.chdir(tmp_path)
    if name == "phots":
        (tmp_path / "photos").mkdir()
    with pytest.raises(DataError) as caught:
        load_dataset(DataSpec(name), silent)
    assert f"no such file or folder, and no dataset of that name{suggestion} Data are a folder" in str(caught.value)


def test_folders_that_are_no_data_set(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        opened(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        opened(tmp_path / "empty")
    paint(tmp_path / "one", 4, classes={"red": (255, 0, 0)})
    with pytest.raises(DataError, match=r"one class only \(red\)"):
        opened(tmp_path / "one")
    (paint(tmp_path / "hollow", 4) / "violet").mkdir()
    with pytest.raises(DataError, match="violet holds no images"):
        opened(tmp_path / "hollow")
    paint(tmp_path / "mixed" / "train", 4)
    paint(tmp_path / "mixed" / "val", 4, classes={"red": (255, 0, 0), "rouge": (255, 9, 9)})
    with pytest.raises(DataError, match=r"same classes; they differ in: blue, green, rouge"):
        opened(tmp_path / "mixed")
    paint(tmp_path / "single", 1)
    with pytest.raises(DataError, match="needs 2 or more: one to train on"):
        opened(tmp_path / "single")


def test_hidden_and_other_files_are_left_out(tmp_path):
    folder = paint(tmp_path / "d", 5)
    (folder / "red" / ".ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/000-checkpoint.png", ".000.png"):
        (folder / "red" / name).write_bytes((folder / "red" / "000.png").read_bytes())
    (folder / "red" / "notes.txt").write_text("text")
    data, said = opened(folder)
    assert sum(split.count for split in data.splits.values()) == 15
    assert "left out 3 files: .txt (1), hidden (1), in .ipynb_checkpoints (1)" in said


def test_a_rare_class_is_in_both_parts(tmp_path):
    paint(tmp_path / "d", 60, classes={"common": (30, 30, 220)})
    paint(tmp_path / "d", 2, classes={"rare": (220, 30, 30)})
    data, _ = opened(tmp_path / "d")
    assert {name: np.bincount(split.labels).tolist() for name, split in data.splits.items()} == {
        "train": [48, 1],
        "validation": [12, 1],
    }


def test_sizes_follow_the_images_and_what_is_asked(tmp_path):
    for name, size in (("a", 40), ("b", 50), ("c", 55), ("d", 60)):
        paint(tmp_path / "d", 3, size=size, classes={name: (30, 30, 220)})
    data, said = opened(tmp_path / "d")
    assert (data.image_size, data.resize) == (56, 56) and "median" in said[0]
    data, _ = opened(tmp_path / "d", resize=24)
    assert (data.image_size, data.resize) == (24, 24) and data.splits["train"].pixels.shape[1:] == (24, 24, 3)
    with pytest.raises(UsageError, match=r"8 to 16384 pixels, or HEIGHTxWIDTH as in 480x640\. Received: 4"):
        opened(tmp_path / "d", resize=4)


def test_streaming_equals_memory(tmp_path, monkeypatch):
    paint(tmp_path / "d", 20)
    kept, _ = opened(tmp_path / "d")
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    streamed, _ = opened(tmp_path / "d")
    for name in ("train", "validation"):
        assert streamed.splits[name].pixels is None
        pairs = list(zip(*(pipeline.evaluation_batches(d.splits[name], 16, 7) for d in (kept, streamed)), strict=True))
        assert pairs
        for (images, labels), (images2, labels2) in pairs:
            np.testing.assert_array_equal(images, images2)
            np.testing.assert_array_equal(labels, labels2)
    options = {"image_size": 16, "per_class": 3, "classes": 3, "seed": 0}
    samples = [pipeline.sample_balanced_images(d.splits["train"], **options) for d in (kept, streamed)]
    np.testing.assert_array_equal(*samples)
    trained = [whole(d.splits["train"], image_size=16, epochs=2) for d in (kept, streamed)]
    assert len(trained[0]) == 12
    for (images, labels), (images2, labels2) in zip(*trained, strict=True):
        np.testing.assert_array_equal(images, images2)
        np.testing.assert_array_equal(labels, labels2)


def test_unknown_and_unprepared_tfds_sets(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'cifar10'"):
        opened("cifar01", data_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"'cifar10' is not prepared.*--download"):
        opened("cifar10", data_dir=str(tmp_path))
    with pytest.raises(DataError, match="--data is empty"):
        opened("")


def test_a_download_without_a_network_fails_at_once(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise requests.ConnectionError

    released = threading.Event()

    def hang(*args, **options):
        released.wait(30)
        raise requests.ConnectionError

    monkeypatch.setattr(connectivity, "GIVE_UP_SECONDS", 0.2)
    for head in (refuse, hang):
        monkeypatch.setattr(requests, "head", head)
        with pytest.raises(DataError, match=r"cannot download cifar10: https://.* cannot be reached"):
            opened("cifar10", data_dir=str(tmp_path), download=True)
    released.set()


class Tinted(tfds.core.GeneratorBasedBuilder):
    """A set in the manner of cifar10: train and test only."""

    name = "tinted"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        image = tfds.features.Image(shape=(32, 32, 3))
        features = {
            "id": tfds.features.Text(),
            "image": image,
            "label": tfds.features.ClassLabel(names=["dark", "light"]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40), "test": self._generate_examples(10)}

    def _generate_examples(self, count):
        for index in range(count):
            pixels = np.full((32, 32, 3), 200 * (index % 2) + index, np.uint8)
            yield index, {"id": str(index), "image": pixels, "label": index % 2}


def test_a_prepared_tfds_set_by_name_and_by_folder(tmp_path):
    Tinted(data_dir=tmp_path).download_and_prepare()
    for source in ("tinted", str(tmp_path / "tinted" / "1.0.0")):
        data, said = opened(source, data_dir=str(tmp_path))
        assert data.classes == ("dark", "light") and data.flip_safe is None and data.image_size == 32
        assert {name: split.count for name, split in data.splits.items()} == {"train": 32, "validation": 8, "test": 10}
        assert any("no validation split" in line for line in said)
        test = data.splits["test"]
        np.testing.assert_array_equal(test.pixels[:, 0, 0, 0] >= 200, test.labels == 1)


class Spoilt(LabeledImages):
    """A set with one file that is no image."""

    name = "spoilt"

    def _generate_examples(self):
        text = epath.Path(self._data_dir_root) / "text.png"
        text.write_text("this is text")
        for index in range(50):
            image = str(text) if index == 7 else np.full((20, 20, 3), index, np.uint8)
            yield index, {"image": image, "label": index % 2}


@pytest.mark.parametrize("fits", [True, False])
def test_a_broken_image_of_a_tfds_set(tmp_path, monkeypatch, fits):
    Spoilt(data_dir=tmp_path).download_and_prepare()
    monkeypatch.setattr(tfds_source, "fits_in_memory", lambda *of: fits)
    options = {"data_dir": str(tmp_path), "image_size": 16}
    with pytest.raises(DataError, match=r"1 of 50 images cannot be read \(2\.0%\).*spoilt-train"):
        opened("spoilt", **options)
    data, said = opened("spoilt", max_unreadable=0.02, val_fraction=0.004, **options)
    assert sum(split.count for split in data.splits.values()) == 49 and data.splits["validation"].count == 1
    assert len([line for line in said if line.startswith("skipped: ")]) == 1
    labels = np.concatenate([labels for _, labels in pipeline.evaluation_batches(data.splits["train"], 16, 7)])
    np.testing.assert_array_equal(labels, data.splits["train"].labels)


def test_shapes_are_what_their_numbers_say():
    from keras_resnet.data.sources.shapes import KINDS, SIDE, draw

    seen = set()
    for number in range(40):
        drawing, again = draw(number), draw(number)
        np.testing.assert_array_equal(drawing.image, again.image)
        assert drawing.image.shape == (SIDE, SIDE, 3) and 1 <= len(drawing.kinds) <= 6
        seen |= set(drawing.kinds.tolist())
        for number_of, (left, top, right, bottom) in enumerate(drawing.boxes, 1):
            mine = drawing.ids == number_of
            assert mine.sum() >= 20 and not mine[: int(top)].any() and not mine[:, int(right) :].any()
            assert mine[int(top)].any() and mine[int(bottom) - 1].any() and mine[:, int(left)].any()
    assert seen == set(range(len(KINDS)))


def test_shapes_as_a_data_set(tmp_path, monkeypatch):
    for name, count in (("TRAIN", 60), ("VALIDATION", 20)):
        monkeypatch.setattr(shapes, name, count)
    data = load_dataset(DataSpec("shapes", data_dir=str(tmp_path), image_size=32), silent)
    assert data.classes == ("circle", "cross", "crescent", "square", "star", "triangle") and data.flip_safe
    assert [data.splits[name].count for name in ("train", "validation")] == [60, 20]
    assert np.bincount(data.splits["train"].labels).min() > 3


def test_images_of_other_channels_are_refused_with_the_reason():
    with pytest.raises(DataError, match=r"1797 of 1797 images .* channels are 1, and the network takes 2"):
        load_dataset(DataSpec("digits", channels=2), silent)
