"""Localization: boxes move with their images, the network learns them, files keep them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image
from samples import silent

from keras_resnet.cli import main
from keras_resnet.config.spec import DataSpec, NetworkSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.data.annotations import Annotation, pad_annotations
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import shapes
from keras_resnet.errors import DataError, UsageError
from keras_resnet.metrics import iou as geometry
from keras_resnet.models.layers import Layers
from keras_resnet.run import Run
from keras_resnet.runtime.image import preprocess
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.postprocess import anchor_points
from keras_resnet.runtime.predictions import decode_predictions, format_predictions
from keras_resnet.tasks import get_task

GENERATOR = np.random.default_rng(0)


def random_boxes(*shape):
    corners = np.sort(GENERATOR.uniform(0, 1, (*shape, 2, 2)), axis=-2)
    return corners.reshape(*shape, 4).astype(np.float32)


def test_overlaps_are_those_of_the_pixels():
    """IoU counted on a grid of pixels; GIoU equals it where the hull is the union, and falls below 0 far apart."""
    ours, theirs = (np.round(random_boxes(50) * 64) for _ in range(2))
    rows, columns = np.mgrid[0:64, 0:64] + 0.5

    def inside(box):
        return (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])

    for a, b in zip(ours, theirs, strict=True):
        shared, union = (inside(a) & inside(b)).sum(), (inside(a) | inside(b)).sum()
        assert geometry.iou(a, b) == pytest.approx(shared / union if union else 0, abs=1e-6)
    overlap, general = geometry.generalized_iou(tf.constant(ours), tf.constant(theirs))
    np.testing.assert_allclose(overlap, geometry.iou(ours, theirs), atol=1e-5)
    assert (np.asarray(general) <= np.asarray(overlap) + 1e-6).all() and (np.asarray(general) >= -1).all()
    one = tf.constant([[0.1, 0.2, 0.5, 0.6]])
    np.testing.assert_allclose(geometry.generalized_iou(one, one), 1, atol=1e-6)


def test_objects_are_packed_by_area():
    small, large, crowd = [1, 1, 2, 2], [1, 1, 9, 9], [0, 0, 10, 10]
    first = Annotation.from_boxes((10, 5), [small, large, crowd], [3, 4, 5], [False, False, True])
    objects = pad_annotations([first, Annotation.from_boxes((10, 10), [small, [4, 4, 4, 8]], [5, 6])])
    np.testing.assert_array_equal(objects.labels, [[4, 3, 5], [5, -1, -1]])
    np.testing.assert_allclose(objects.boxes[0, 0], [0.1, 0.1, 0.9, 0.5])  # cut at the image's lower edge
    assert objects.iscrowd.tolist() == [[False, False, True], [False] * 3] and objects.sizes.tolist() == [
        [10, 5],
        [10, 10],
    ]
    assert objects.subset(np.array([1])).labels.tolist() == [[5, -1, -1]]


def test_answers_are_in_pixels_of_the_image():
    """An image of 200 × 100 stands at the top of its square."""
    scores, distances = np.full((1, 4, 2), -5.0), np.zeros((1, 4, 4))
    scores[0, 1, 1], distances[0, 1] = 4.0, (0.5, 0.3, 0.3, 0.4)  # the upper right of four cells
    card = ModelMetadata(("cat", "dog"), 64, 64, {}, "localize", "letterbox", "main_object", (2,))
    (found,) = decode_predictions(card, {"scores": scores, "distances": distances}, 1, [(200, 100)])
    assert found == [{"label": "dog", "probability": pytest.approx(0.982, abs=1e-3), "box": [100, 20, 180, 90]}]
    assert format_predictions(found) == "dog 98.2% at 100, 20, 180, 90"
    (both,) = decode_predictions(card, {"scores": scores, "distances": distances}, None, [(200, 100)])
    assert [each["label"] for each in both] == ["dog", "cat"]
    (likely,) = decode_predictions(card, {"scores": scores, "distances": distances}, None, [(200, 100)], 0.5)
    assert likely == found
    every = replace(card, postprocessing="objects")
    (usual, more, fewer) = (
        decode_predictions(every, {"scores": scores, "distances": distances}, None, [(200, 100)], threshold)[0]
        for threshold in (None, 0, 0.99)
    )
    assert [len(each) for each in (usual, more, fewer)] == [1, 8, 0]
    pixels = preprocess(Image.new("RGB", (200, 100), "white"), "letterbox", 64, 64)
    assert pixels.shape == (64, 64, 3) and pixels[:32].min() == 255 and pixels[32:].max() == 0


def localizing(**changes):
    data = DataSpec("shapes/single", image_size=64, annotations="object")
    return Spec(task="localize", network=NetworkSpec(18, width=0.25), data=data, **changes)


def test_the_right_class_in_the_right_place_is_right():
    """Right; the class right and the box not; another class, and the right one as second guess."""
    task = get_task(localizing(), ("a", "b"))
    assert task.cells == (4, 2)
    boxes = np.array([[0.25, 0.25, 0.75, 0.75], [0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5]], np.float32)
    truth = {"labels": np.array([[1, 0], [1, -1], [0, -1]]), "boxes": np.stack([boxes, boxes], axis=1)}
    truth |= {"iscrowd": np.zeros((3, 2), bool), "sizes": np.array([[80, 40], [40, 40], [40, 80]])}
    middles, widths = anchor_points(task.cells)
    scores = np.full((3, 20, 2), -5.0)
    scores[0, 3, 1] = scores[1, 3, 1] = scores[2, 3, 1] = 3.0
    scores[2, 5, 0] = 1.0
    wanted = boxes.copy()
    wanted[1] = boxes[0]
    distances = np.concatenate([middles - wanted[:, None, :2], wanted[:, None, 2:] - middles], axis=2) / widths
    judged = task.compute_metrics(task.postprocess({"scores": scores, "distances": distances}, truth), truth)
    np.testing.assert_array_equal(judged.correct, [True, False, False])
    assert judged.values == {"localized": 1 / 3} and judged.by_class == {"a": 0, "b": 0.5}
    assert judged.details["class"] == 2 / 3 and judged.details["top5"] == 2 / 3
    targets = task.encode_targets({name: truth[name] for name in ("labels", "boxes", "iscrowd")})
    assert targets["labels"].tolist() == [[1], [1], [0]]


def test_what_localization_does_not_take():
    for key, value, words in (
        ("augment.mixup", 0.2, "augment.mixup is for --task classify or multilabel; leave it out with --task localize"),
        ("augment.crop", "resized", "augment.crop must be pad"),
        (
            "distill.teacher",
            "run",
            "distill.teacher is for --task classify or multilabel; leave it out with --task localize",
        ),
        ("data.annotations", "labels", "data.annotations must be object for localize"),
    ):
        with pytest.raises(UsageError, match=words):
            localizing().override(key, value)
    with pytest.raises(UsageError, match=r"network\.family must be resnet"):
        Spec(task="localize", network=NetworkSpec(11, "vgg"), data=DataSpec("shapes", annotations="object"))
    with pytest.raises(DataError, match="no images with boxes of objects"):
        load_dataset(DataSpec("digits", annotations="object"), silent)


class Odd(tfds.core.GeneratorBasedBuilder):
    """Wide and tall images, one of them empty, one with a box of no area."""

    name = "odd_boxes"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        kind = tfds.features.ClassLabel(names=["x", "y"])
        objects = tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": kind})
        features = {"image": tfds.features.Image(), "objects": objects}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in ("train", "validation")}

    def _generate_examples(self, name):
        whole = {"bbox": tfds.features.BBox(0.0, 0.5, 1.0, 1.0), "label": 1}
        flat = {"bbox": tfds.features.BBox(0.2, 0.5, 0.2, 1.0), "label": 0}
        for number, (shape, objects) in enumerate(
            (((20, 40, 3), [flat, whole]), ((40, 20, 3), [whole]), ((8, 8, 3), []))
        ):
            yield number, {"image": np.full(shape, 99, np.uint8), "objects": objects}


def test_boxes_of_images_that_are_not_square(tmp_path):
    Odd(data_dir=tmp_path).download_and_prepare()
    told = []
    data = load_dataset(DataSpec("odd_boxes", data_dir=str(tmp_path), image_size=32, annotations="object"), told.append)
    split = data.splits["train"]
    wide, tall = (
        split.objects.boxes[list(split.pixels[:, 31, 0, 0] > 0).index(is_tall), 0] for is_tall in (False, True)
    )
    np.testing.assert_allclose(wide, [0.5, 0, 1, 0.5])
    np.testing.assert_allclose(tall, [0.25, 0, 0.5, 1])
    assert split.objects.labels.tolist() == [[1], [1]] and data.classes == ("x", "y")
    assert "train: left out 1 of 3 images, which shows no object" in told


@pytest.fixture(scope="module")
def localized(tmp_path_factory):
    """A small network after a few epochs on few shapes."""
    from keras_resnet.training.train import train

    patch = pytest.MonkeyPatch()
    patch.setattr(shapes, "TRAIN", 240)
    patch.setattr(shapes, "VALIDATION", 40)
    home = tmp_path_factory.mktemp("localize")
    spec = localizing(
        optimizer=OptimizerSpec(learning_rate=0.02), training=TrainingSpec(epochs=8, precision="float32")
    ).override("data.data_dir", str(home / "tfds"))
    yield train(spec, home, "found", silent)
    patch.undo()


@pytest.mark.slow
def test_a_run_localizes_and_its_files_do(localized, tmp_path, capsys):
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options

    first, last = localized.read_log()[0], localized.read_log()[-1]
    assert last["val_iou"] > first["val_iou"] + 0.05 and last["val_quality"] > first["val_quality"]
    assert localized.metrics()["metric"] == "localized"
    forms = tuple(build_tflite_options(("float32", "int8")))
    floats, integers = export(localized, ExportRequest(tflite=forms, max_drop=20), silent)
    assert floats.agreement == 1 and floats.largest_difference < 1e-3 and floats.drop_interval is not None
    assert {"top5", "class", "IoU"} <= set(floats.details) and integers.all_integer
    golden = np.load(localized.exports / "golden.npz")
    assert {"float32.tflite:scores", "int8.tflite:distances"} <= set(golden)
    assert np.abs(golden["int8.tflite:scores"] - golden["float32.tflite:scores"]).mean() < 0.3
    Image.fromarray(golden["images"][0]).resize((128, 64)).save(tmp_path / "wide.png")
    save = ["--save", str(tmp_path / "found.png")]
    code = main.run_command(
        ["predict", str(localized.exports / "float32.tflite"), str(tmp_path / "wide.png"), "--json", *save]
    )
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert code == 0 and len(found) == 5 and 0 <= found[0]["box"][2] <= 128 and 0 <= found[0]["box"][3] <= 64
    before, after = (np.asarray(Image.open(tmp_path / name)) for name in ("wide.png", "found.png"))
    assert before.shape == after.shape and (before != after).any()
    assert main.run_command(["predict", str(localized.folder), str(tmp_path / "wide.png"), "--save", "found.txt"]) == 2
    assert "--save must name an image file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_body_from_a_classification_run(localized):
    """The heads are new, the rest is taken."""
    import keras

    from keras_resnet.models import build
    from keras_resnet.pretrained.load import assign_weights, fetch_weights

    plain = build.build_classifier(Layers(keras), localized.spec().network, classes=6, input_shape=(64, 64, 3))
    assert assign_weights(plain, fetch_weights(str(localized.model_file)), "the run").layers > 20
    spec = localized.spec()
    again = get_task(spec, Run(localized.folder).classes()).build_model(Layers(keras), spec)
    assert assign_weights(again, fetch_weights(str(localized.model_file)), "the run").unused == ()
