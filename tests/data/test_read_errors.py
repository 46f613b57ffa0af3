"""An image that is damaged while a training reads it ends the training in one sentence, by whatever way it is read."""

import re
from pathlib import Path

import label_tools as tools
import numpy as np
import pytest
import tensorflow as tf
from samples import paint, silent
from tfds_sets import LabeledImages

from keras_resnet.config.spec import AugmentSpec, DataSpec
from keras_resnet.data import pipeline, read_errors
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import detection_folder, image_folder
from keras_resnet.data.sources import tfds as tfds_source
from keras_resnet.errors import DataError, TrainingError
from keras_resnet.runtime.image import read_image
from keras_resnet.training.distribute import translate_worker_errors

ROOT = Path(__file__).parents[2]
PLAIN = AugmentSpec(flip=False)
BY_PILLOW = AugmentSpec(flip=False, auto_augment="randaugment")
MIXED = AugmentSpec(flip=False, mosaic=1.0, copy_paste=1.0)
DAMAGES = {
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:60]),
    "gone": Path.unlink,
    "no image": lambda file: file.write_text("an error page\nof two lines"),
}


class Painted(LabeledImages):
    """24 images of two classes."""

    name = "painted"

    def _generate_examples(self):
        for index in range(24):
            yield index, {"image": np.full((20, 20, 3), index, np.uint8), "label": index % 2}


@pytest.fixture(autouse=True)
def from_disk(monkeypatch):
    """Nothing fits in memory."""
    for module in (detection_folder, image_folder, tfds_source):
        monkeypatch.setattr(module, "fits_in_memory", lambda *of: False)


def opened(source, **fields):
    """Without the cache, whose images are not read again."""
    return load_dataset(DataSpec(str(source), image_size=16, cache="off", **fields), silent, ("train", "validation"))


def trained_on(split, augment=PLAIN):
    """All that a training shows of `split` in two epochs, as `train` reads it."""
    stream = pipeline.TrainPipeline(split, 16, 2, 0, lambda truth: truth, augment)
    with translate_worker_errors():
        for _ in stream.batches(0, 2 * stream.steps):
            pass


def told_of(work):
    with pytest.raises(DataError) as told:
        work()
    return str(told.value)


def sentence(file):
    """What is told of a file, as it is told of one that is read outside any pipeline."""
    with pytest.raises(DataError) as found:
        read_image(file)
    return f"{found.value}; it could be read when the training began"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("augment", [PLAIN, BY_PILLOW], ids=["by TensorFlow", "by Pillow"])
def test_of_a_folder(tmp_path, damage, augment):
    """Whatever is damaged, and whichever way images are varied: the very words, the file's name with its line break."""
    root = paint(tmp_path / "images", 6)
    file = (root / "red" / "000.png").rename(root / "red" / "line\nbreak.png")
    split = opened(root, val_fraction=0.1).splits["train"]
    assert str(file) in split.images.files
    trained_on(split, augment)
    DAMAGES[damage](file)
    assert told_of(lambda: trained_on(split, augment)) == sentence(str(file))


@pytest.mark.parametrize("max_unreadable", [0.1, 1.0])
def test_what_max_bad_allows_is_left_out_before_and_not_meanwhile(tmp_path, max_unreadable):
    root = paint(tmp_path / "images", 6)
    bad = root / "red" / "003.png"
    DAMAGES["no image"](bad)
    with pytest.raises(DataError, match=r"1 of 18 images cannot be read .*--max-unreadable 0 allows"):
        opened(root, max_unreadable=0)
    split = opened(root, max_unreadable=max_unreadable, val_fraction=0.2).splits["train"]
    assert str(bad) not in split.images.files
    trained_on(split)
    file = Path(split.images.files[4])
    DAMAGES["cut off"](file)
    assert told_of(lambda: trained_on(split)) == sentence(str(file))


@pytest.mark.parametrize(
    ("export", "annotations", "augment"),
    [
        (tools.cvat_coco, "objects", PLAIN),
        (tools.voc2007, "objects", PLAIN),
        (tools.cvat_coco, "objects", AugmentSpec(flip=False, mosaic=1.0)),
        (tools.mixed_masks_coco, "masks", PLAIN),
        (tools.mixed_masks_coco, "masks", MIXED),
    ],
)
def test_of_images_with_objects(tmp_path, export, annotations, augment):
    """Also of one that is only mixed into others."""
    export(tmp_path)
    split = opened(tmp_path, annotations=annotations, crowds="learn").splits["train"]
    file = Path(split.images.files[0])
    DAMAGES["cut off"](file)
    assert told_of(lambda: trained_on(split, augment)) == sentence(str(file))


@pytest.mark.parametrize("augment", [PLAIN, BY_PILLOW], ids=["by TensorFlow", "by Pillow"])
def test_of_a_data_set_of_tfds(tmp_path, augment):
    """Its records are overwritten, first the images in them, then all."""
    Painted(data_dir=tmp_path).download_and_prepare()
    split = opened("painted", data_dir=str(tmp_path)).splits["train"]
    (file,) = map(Path, split.images.records.files)
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"\x89PNG", b"\0\0\0\0"))
    told = told_of(lambda: trained_on(split, augment))
    assert re.fullmatch(r"cannot read image .+; it could be read when the training began", told)
    file.write_bytes(b"\xff" * len(whole))
    told = told_of(lambda: trained_on(split, augment))
    assert re.fullmatch(rf"record \d+ \({file.name}\) is damaged: .+; it could be read when the training began", told)


def test_of_a_validation_image(tmp_path):
    split = opened(paint(tmp_path / "images", 6), val_fraction=0.2).splits["validation"]
    file = Path(split.images.files[-1])
    DAMAGES["gone"](file)

    @translate_worker_errors()
    def validate():
        for _ in pipeline.validation_batches(split, 16, 2, lambda truth: truth):
            pass

    assert told_of(validate) == sentence(str(file))


def test_it_is_told_of_its_own_training_only(tmp_path):
    """What an earlier pipeline met, and nobody came to, is no reason of another error; a lost worker goes first."""
    split = opened(paint(tmp_path / "images", 6), val_fraction=0.2).splits["train"]
    for file in split.images.files:
        DAMAGES["gone"](Path(file))

    def fails_anyhow():
        with pytest.raises(tf.errors.OpError):
            list(pipeline.evaluation_batches(split, 16, 2))

    fails_anyhow()
    with pytest.raises(tf.errors.InternalError, match="of another kind"), translate_worker_errors():
        raise tf.errors.InternalError(None, None, "of another kind")
    with pytest.raises(TrainingError, match="worker 1 has died"), translate_worker_errors():
        fails_anyhow()
        raise tf.errors.UnavailableError(None, None, "lost /job:worker/replica:0/task:1")
    with pytest.raises(DataError, match="no such file"), translate_worker_errors():
        fails_anyhow()
        raise tf.errors.CancelledError(None, None, "cancelled")
    assert read_errors.take_read_error() is None


def test_an_earlier_pipeline_that_still_reads_ahead_is_not_blamed(tmp_path):
    split = opened(paint(tmp_path / "images", 6), val_fraction=0.2).splits["train"]
    for file in split.images.files:
        DAMAGES["gone"](Path(file))

    @translate_worker_errors()
    def read_all():
        read_errors._raised.append(DataError("met by an earlier pipeline"))
        list(pipeline.evaluation_batches(split, 16, 2))

    assert re.search(r"images/(red|green|blue)/\d+\.png: no such file", told_of(read_all))


def test_pipelines_read_in_one_way_only():
    """Any other would hand on no more than a text. The generator of a data service keeps its errors itself, which
    test_service.py tests."""
    ways = re.compile(r"\.(?:numpy_function|py_function|py_func|from_generator)\(")
    sources = [file for top in ("keras_resnet", "export") for file in (ROOT / top).rglob("*.py")]
    assert {file.stem for file in sources if ways.search(file.read_text())} == {"read_errors", "service"}
