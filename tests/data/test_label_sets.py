"""Several labels an image where they stand otherwise: in features of TFDS, and as objects of annotations."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
import yolo_layout
from coco_files import opened as opened_coco
from coco_files import written
from samples import silent
from tfds_sets import LabeledImages

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.dataset import Split
from keras_resnet.data.label_set_split import split_label_sets
from keras_resnet.data.load import load_dataset
from keras_resnet.data.pipeline import sample_balanced_rows
from keras_resnet.errors import DataError

NAMES = ["cat", "dog", "owl"]
# Labels of each image, by its number.
SETS = [[0, 2], [], [1], [1, 2]] * 3


class Tagged(LabeledImages, skip_registration=True):
    """Images with a list of labels, or a feature for each."""

    BUILDER_CONFIGS = tuple(tfds.core.BuilderConfig(name=name) for name in ("list", "flags", "objects"))

    def _info(self):
        label = tfds.features.ClassLabel(names=NAMES)
        truth = {
            "list": {"labels": tfds.features.Sequence(label)},
            "flags": {"attributes": {name: np.bool_ for name in NAMES}},
            "objects": {"objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": label})},
        }
        features = {"image": tfds.features.Image(), **truth[self.builder_config.name]}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _generate_examples(self):
        for number, labels in enumerate(SETS):
            box = tfds.features.BBox(0.1, 0.1, 0.6, 0.6)
            truth = {
                "list": {"labels": labels},
                "flags": {"attributes": {name: label in labels for label, name in enumerate(NAMES)}},
                "objects": {"objects": [{"bbox": box, "label": label} for label in labels]},
            }
            image = np.full((16, 16, 3), 20 * number, np.uint8)
            yield number, {"image": image, **truth[self.builder_config.name]}


@pytest.mark.parametrize("form", ["list", "flags", "objects"])
def test_tfds_features_of_several_labels_are_read(tmp_path, form):
    builder = Tagged(config=form, data_dir=tmp_path)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(verify_ssl=False))
    data = load_dataset(DataSpec(str(builder.data_path), annotations="label_sets", image_size=16), silent)
    assert data.classes == tuple(NAMES)
    for split in data.splits.values():
        for pixels, row in zip(split.pixels, split.label_sets, strict=True):
            assert np.flatnonzero(row).tolist() == SETS[int(pixels[0, 0, 0]) // 20]


def test_a_set_with_one_label_an_image_is_refused(tfds_home):
    with pytest.raises(DataError, match=r"'digits' has no images with several labels each .* it has: image, label"):
        load_dataset(DataSpec("digits", annotations="label_sets", data_dir=tfds_home), silent)


def test_an_image_has_the_labels_of_its_objects(tmp_path):
    """COCO's categories, and YOLO's classes by a data.yaml that is named."""
    written(tmp_path / "coco", count=6)
    objects, _ = opened_coco(tmp_path / "coco")
    sets, told = opened_coco(tmp_path / "coco", "label_sets")
    assert sets.classes == objects.classes and "labels: those of the objects in each image" in told

    def by_file(data, labels):
        return {f: set(labels(s, row)) for s in data.splits.values() for row, f in enumerate(s.files)}

    assert by_file(sets, lambda s, row: np.flatnonzero(s.label_sets[row]).tolist()) == by_file(
        objects, lambda s, row: s.objects.labels[row][s.objects.labels[row] >= 0].tolist()
    )

    def without_first(document):
        document["images"][0]["file_name"] = "gone.png"

    written(tmp_path / "gone", without_first, count=6)
    with pytest.raises(DataError, match=r"1 of 6 images cannot be read .*gone\.png"):
        opened_coco(tmp_path / "gone", "label_sets")
    root = yolo_layout.folder(tmp_path / "yolo", ("0 0.5 0.5 0.25 0.5", "1 0.5 0.5 0.25 0.5"))
    named = DataSpec(str(root / "data.yaml"), annotations="label_sets", image_size=16)
    assert load_dataset(named, silent).splits["train"].label_sets.tolist() == [[1, 1], [1, 1]]


def test_labels_that_validation_lacks_are_told_and_those_that_training_lacks_refused(tmp_path):
    root = yolo_layout.folder(tmp_path)
    yolo_layout.label(root / "labels" / "train" / "train0.txt", "1 0.5 0.5 0.25 0.5")
    told = []
    spec = DataSpec(str(root), annotations="label_sets", image_size=16)
    load_dataset(spec, told.append)
    assert "no validation image has 1 of 2 labels: dog" in told
    yolo_layout.label(root / "labels" / "train" / "train0.txt", "0 0.5 0.5 0.25 0.5")
    with pytest.raises(DataError, match="no train image has 1 of 2 labels: dog; what no image shows cannot be"):
        load_dataset(spec, silent)


def test_held_out_sets_keep_rare_labels_on_both_sides():
    rng = np.random.default_rng(0)
    sets = (rng.random((200, 5)) < (0.5, 0.3, 0.1, 0.0, 0.0)).astype(np.uint8)
    sets[[3, 70], 3], sets[9, 4] = 1, 1
    train, held_out = split_label_sets(sets, 0.2)
    assert sorted([*train, *held_out]) == list(range(200)) and len(held_out) == pytest.approx(40, abs=4)
    share = sets[held_out].sum(axis=0) / sets.sum(axis=0)
    np.testing.assert_allclose(share[:3], 0.2, atol=0.06)
    assert sets[held_out, 3].sum() == 1 and sets[train, 4].sum() == 1
    assert [len(part) for part in split_label_sets(sets[:2], 0.2)] == [1, 1]
    with pytest.raises(DataError, match="needs 2 or more: one to train on"):
        split_label_sets(sets[:1], 0.2)


def test_each_label_is_calibrated_with_and_no_image_twice():
    sets = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.uint8)
    split = Split.with_label_sets("train", sets, pixels=np.zeros((4, 8, 8, 3), np.uint8))
    rows = sample_balanced_rows(split, per_class=2, classes=2, seed=0)
    assert rows.tolist() == [0, 1, 2] and split.labels.tolist() == [0, 0, 1, -1]
    assert split.subset(np.array([2, 0])).label_sets.tolist() == [[0, 1], [1, 0]]
