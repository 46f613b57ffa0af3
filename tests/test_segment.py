"""Detection and segmentation from data to files: they learn, and their files find the same, in data of any layout."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import finding, silent
from layouts import coco_folder
from PIL import Image

from keras_resnet import commands
from keras_resnet.data import shapes
from keras_resnet.data.sources import open_data
from keras_resnet.drawing import filled
from keras_resnet.errors import DataError, UsageError
from keras_resnet.run import Run
from keras_resnet.spec import (
    AugmentSpec,
    DataSpec,
    HeadSpec,
    Spec,
)


def test_a_run_segments_and_its_files_do(segmented, tmp_path, capsys):
    from keras_resnet.export.exporting import Wanted, export
    from keras_resnet.export.schemes import forms_of, full_forms

    first, last = segmented.log()[0], segmented.log()[-1]
    assert last["val_iou"] > first["val_iou"] + 0.02 and last["val_mask"] > first["val_mask"] + 0.05
    assert last["loss"] < 0.85 * first["loss"] and segmented.metrics()["metric"] == "mask mAP"
    assert last["val_mask mAP"] == pytest.approx(segmented.metrics()["value"], abs=1e-6) and last["val_box mAP"] > 0
    forms = forms_of(("float32", "int8"))
    wanted = Wanted(forms=(*forms, *full_forms(forms[1:], "segment")), max_drop=0.05)
    floats, integers, full = export(segmented, wanted, silent)
    assert full.value == pytest.approx(integers.value, abs=0.01) and full.agreement > 0.95
    assert full.largest_difference is None and full.operators["NON_MAX_SUPPRESSION_V4"] == 1
    assert floats.agreement == 1 and floats.largest_difference < 1e-2
    assert {"box mAP", "mask AP50", "box APs"} <= set(floats.details)
    for verdict in (floats, integers, full):
        low, high = verdict.drop_interval
        assert low <= verdict.drop <= high and (low + high) / 2 == pytest.approx(verdict.drop, abs=1e-9)
    assert np.ptp(floats.drop_interval) < np.ptp(integers.drop_interval)
    assert integers.all_integer and integers.metric == "mask mAP"
    image = tmp_path / "wide.png"
    Image.fromarray(np.load(segmented.exports / "golden.npz")["images"][0]).resize((128, 96)).save(image)
    save = ["--save", str(tmp_path / "found.png")]
    code = commands._main(["predict", str(segmented.exports / "float32.tflite"), str(image), "--json", *save])
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert code == 0 and all(each["probability"] >= 0.3 for each in found)
    for each in found:
        left, top, right, bottom = each["box"]
        ys, xs = np.nonzero(filled(each["mask"]))
        assert each["mask"]["size"] == [96, 128] and 0 <= left <= right <= 128 and 0 <= top <= bottom <= 96
        assert not len(xs) or (
            xs.min() >= left - 1 and xs.max() <= right and ys.min() >= top - 1 and ys.max() <= bottom
        )
    assert Image.open(tmp_path / "found.png").size == (128, 96)


def test_the_script_beside_the_files_finds_the_same(segmented):
    """It needs no kresnet: it runs in the exports' folder, in a process of its own."""
    command = [sys.executable, "detect.py", "float32.tflite", "--golden", "golden.npz"]
    done = subprocess.run(command, cwd=segmented.exports, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "16 of 16 images show what is expected" in done.stdout, done.stderr[-2000:]
    card = (segmented.exports / "model_card.md").read_text()
    assert "Detection of objects and their masks" in card and "mask mAP" in card


def test_what_detection_does_not_take(segmented, capsys):
    for key, value, words in (
        ("augment.mixup", 0.2, "augment.mixup must be left out for segment"),
        ("augment.scales", (2.0, 1.0), "augment.scales must be two numbers above 0"),
        ("head.masks", "none", "head.masks must be one of condinst, yolact"),
        ("head.convs", 0, "head.convs must be 1 or more"),
        ("data.annotations", "labels", "data.annotations must be masks for segment"),
    ):
        with pytest.raises(UsageError, match=words):
            finding().override(key, value)
    for changes in ({"head": HeadSpec(convs=3)}, {"augment": AugmentSpec(colour=0.1)}):
        with pytest.raises(UsageError, match="left alone for classify"):
            Spec(**changes)
    with pytest.raises(DataError, match="has no images with boxes of objects"):
        open_data(DataSpec("digits", annotations="masks"), silent)
    assert commands._main(["train", "--task", "segmant"]) == 2
    assert "task must be one of" in capsys.readouterr().err.splitlines()[-1]
    assert commands._main(["train", "--task", "detect", "--recipe", "he2015-cifar"]) == 2
    assert "he2015-cifar is for --task classify" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_as_coco_has_it(tmp_path):
    root, told = coco_folder(tmp_path / "coco"), []
    spec = DataSpec(str(root), image_size=64, annotations="masks", max_bad=0.1)
    data = open_data(spec, told.append)
    assert data.classes == ("circle", "star", "cross")  # in the order of their ids
    train, held_out = data.splits["train"], data.splits["validation"]
    assert train.count == 21 and held_out.count == 24  # of validation the empty ones too
    for words in (
        "left out 2 boxes without an area",
        "left out 2 annotations of images that are not listed",
        "left out 2 annotations of categories that are not listed",
        "train: left out 3 of 25 images, which show no object",
    ):
        assert words in told
    assert any("missing.jpg: no such file" in each for each in told)
    drawing = shapes.draw(0)
    boxes = train.objects.boxes[0][train.objects.labels[0] >= 0] * 160
    order = lambda found: sorted(found.round().tolist())  # noqa: E731
    assert order(boxes) == order(drawing.boxes)
    ids = train.objects.ids(0, 160)[:128, :128]
    # Polygons are boxes here, so that only the other masks are those drawn.
    for row in range(1, len(drawing.kinds)):
        if row % 3:
            seen = ids[drawing.ids == row + 1]
            assert len(np.unique(seen[seen > 0])) >= 1
    assert train.pixels.shape == (21, 64, 64, 3) and not train.pixels[:, 52:].any()
    with pytest.raises(DataError, match=r"2 of 50 images cannot be read"):
        open_data(DataSpec(str(root), image_size=64, annotations="masks"), silent)


def test_a_folder_as_coco_has_it_trains_evaluates_exports(tmp_path, capsys):
    root = coco_folder(tmp_path / "coco")
    runs = ["--runs", str(tmp_path / "runs")]
    options = ["--depth", "10", "--width", "0.25", "--image-size", "64", "--epochs", "1", "--precision", "float32"]
    options += ["--max-bad", "0.1", "--name", "ours", "--masks", "yolact", *runs]
    assert commands._main(["train", "--task", "segment", "--data", str(root), *options]) == 0
    capsys.readouterr()
    assert commands._main(["evaluate", "ours", "--json", *runs]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metric"] == "mask mAP" and result["samples"] == 24
    assert commands._main(["export", "ours", "--tflite", "--quantize", "float32", "--json", *runs]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["verdict"] == "PASSED" and verdict["samples"] == 24
    assert commands._main(["verify", str(Run(tmp_path / "runs" / "ours").exports / "float32.tflite"), *runs]) == 0


SQUARE = [[8, 8, 40, 8, 40, 40, 8, 40]]


def tiny_coco(root, split, segmentation=None, changed=None, categories=((1, "cat"), (2, "dog"))):
    """Two images of 64 × 48 pixels with a cat and a dog each; the first cat with this mask, and with what is
    `changed`."""
    images = [{"id": n, "file_name": f"{split} {n}.png", "width": 64, "height": 48} for n in (1, 2)]
    annotations = [
        {"image_id": n, "category_id": k, "bbox": [8, 8, 32, 32], "segmentation": SQUARE}
        for n in (1, 2)
        for k, _ in categories
    ]
    annotations[0] |= {"segmentation": SQUARE if segmentation is None else segmentation} | (changed or {})
    named = [{"id": known, "name": name} for known, name in categories]
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    document = {"images": images, "annotations": annotations, "categories": named}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    for each in images:
        write_image(root / split / each["file_name"], (64, 48))


@pytest.mark.parametrize(
    "segmentation",
    [
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 30, float("nan"), 5, 60]],
        [[500, 500, 600, 500, 600, 600]],
        {"size": [10, 10], "counts": [10, 20, 70]},
        {"size": [48, 64], "counts": [10, 20]},
        {"size": [48, 64], "counts": [10, 200000]},
        {"size": [48, 64], "counts": [48 * 64]},
        {"size": [48, 64], "counts": "@@@@zzz"},
        "words",
    ],
)
def test_masks_that_are_none_are_counted(tmp_path, segmentation):
    tiny_coco(tmp_path, "train", segmentation)
    tiny_coco(tmp_path, "val")
    told = []
    data = open_data(DataSpec(str(tmp_path), image_size=64, annotations="masks"), told.append)
    assert "left out 1 annotations whose mask is empty or cannot be read" in told
    train = data.splits["train"].objects
    assert (train.labels >= 0).sum() == 3
    assert [len(np.unique(train.ids(row, 64))) for row in range(2)] == [2, 2]  # the ground, and what is in front


@pytest.mark.parametrize(
    "box", [[100, 8, 9, 9], [-50, 8, 20, 9], [float("nan"), 8, 9, 9], [8, 8, float("inf"), 9], [8, 8, 9, -9]]
)
def test_boxes_that_are_none_are_counted(tmp_path, box):
    tiny_coco(tmp_path, "train", changed={"bbox": box})
    tiny_coco(tmp_path, "val", changed={"bbox": [-8, 8, 32, 32], "area": float("nan")})
    told = []
    data = open_data(DataSpec(str(tmp_path), image_size=64, annotations="objects"), told.append)
    assert "left out 1 boxes without an area" in told
    assert (data.splits["train"].objects.labels >= 0).sum() == 3
    held_out = data.splits["validation"].objects
    assert np.isfinite(held_out.areas).all() and (held_out.labels >= 0).sum() == 4
    assert [0.0, 0.125, 0.375, 0.625] in held_out.boxes[0].tolist()  # cut at the image's edge


def test_what_is_called_the_same_is_one_class(tmp_path):
    tiny_coco(tmp_path, "train", categories=((3, "dog"), (4, "two\nwords"), (9, "dog")))
    tiny_coco(tmp_path, "val", categories=((3, "two words"), (5, "dog"), (4, "horse")))
    told = []
    data = open_data(DataSpec(str(tmp_path), image_size=64, annotations="objects"), told.append)
    assert data.classes == ("dog", "two words", "horse")
    assert sorted(data.splits["train"].objects.labels[0].tolist()) == [0, 0, 1]
    assert sorted(data.splits["validation"].objects.labels[0].tolist()) == [0, 1, 2]
    assert "train: no object of 1 of the 3 classes: horse" in told


def test_images_of_one_id(tmp_path):
    tiny_coco(tmp_path, "train")
    file = tmp_path / "annotations" / "instances_train.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"images": [*document["images"], document["images"][0]]}))
    told = []
    assert open_data(DataSpec(str(tmp_path), image_size=64, annotations="objects"), told.append).splits
    assert "left out 1 images that are listed twice" in told
    document["images"][1]["id"] = 1
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"its id is that of 'train 1\.png' too"):
        open_data(DataSpec(str(tmp_path), image_size=64, annotations="objects"), silent)


def test_validation_images_have_to_show_something(tmp_path):
    tiny_coco(tmp_path, "train")
    tiny_coco(tmp_path, "val")
    file = tmp_path / "annotations" / "instances_val.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    with pytest.raises(
        DataError, match="none of the 2 validation images shows an object: there is nothing to judge by"
    ):
        open_data(DataSpec(str(tmp_path), image_size=64, annotations="objects"), silent)


def test_a_folder_with_boxes_that_is_to_be_classified_says_what_it_is_for(tmp_path):
    tiny_coco(tmp_path, "train")
    with pytest.raises(
        DataError, match=r"holds no images: .*; its boxes of objects are for --task localize, detect or"
    ):
        open_data(DataSpec(str(tmp_path)), silent)


def test_messages_name_what_is_wrong_with_the_images(tmp_path):
    spec = DataSpec(str(tmp_path), image_size=64, annotations="objects")
    tiny_coco(tmp_path, "train")
    tiny_coco(tmp_path, "val")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "train" / "train 1.png", exif=exif)
    with pytest.raises(DataError, match="has 48 × 64 pixels, upright as its EXIF says, its annotation says 64 × 48"):
        open_data(spec, silent)
    (tmp_path / "train").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match=r"none of the 2 train images .*: cannot read image .*train 1\.png: no such"):
        open_data(spec, silent)
    (tmp_path / "annotations" / "instances_train.json").rename(tmp_path / "annotations" / "instances_all.json")
    with pytest.raises(
        DataError, match=r"holds no instances_train….json, but instances_all\.json, instances_val\.json"
    ):
        open_data(spec, silent)


def voc_xml(size, objects):
    parts = [
        f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, hard, box in objects
    ]
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{''.join(parts)}</annotation>"


def write_image(file, size):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(file)


def test_a_folder_as_pascal_voc_has_it(tmp_path):
    root = tmp_path / "VOC2007"
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name in ("000001", "a photo.rf.12", "000003"):
        write_image(root / "JPEGImages" / f"{name}.jpg", (100, 50))
        objects = [("dog", 0, (11, 6, 60, 50)), ("cat", 1, (1, 1, 5, 5)), ("cat", 0, (7, 7, 6, 9))]
        (root / "Annotations" / f"{name}.xml").write_text(voc_xml((100, 50), objects))
    (root / "ImageSets" / "Main" / "train.txt").write_text("000001\na photo.rf.12\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("000003\n")
    told = []
    data = open_data(DataSpec(str(root), image_size=50, annotations="objects"), told.append)
    assert data.classes == ("cat", "dog") and data.splits["train"].count == 2
    found = data.splits["validation"].objects
    np.testing.assert_allclose(found.boxes[0, 0], [0.1, 0.05, 0.6, 0.5])
    assert found.labels[0].tolist() == [1, 0] and found.crowd[0].tolist() == [False, True]
    assert "left out 3 boxes without an area" in told
    with pytest.raises(DataError, match="whose boxes come without masks"):
        open_data(DataSpec(str(root), annotations="masks"), silent)
    (root / "Annotations" / "000003.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"cannot read the annotation .*000003\.xml"):
        open_data(DataSpec(str(root), annotations="objects"), silent)


def test_a_folder_as_imagenet_has_it(tmp_path):
    for split, name in (("train", "n01/n01_1"), ("train", "n02/n02_1"), ("val", "val_1")):
        write_image(tmp_path / "Data" / "CLS-LOC" / split / f"{name}.JPEG", (64, 64))
        file = tmp_path / "Annotations" / "CLS-LOC" / split / f"{name}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        kind = "n02" if "n02" in name else "n01"
        file.write_text(voc_xml((64, 64), [(kind, 0, (1, 1, 32, 64)), (kind, 0, (1, 1, 8, 8))]))
    data = open_data(DataSpec(str(tmp_path), image_size=32, annotations="object"), silent)
    assert data.classes == ("n01", "n02") and [split.count for split in data.splits.values()] == [2, 1]
    np.testing.assert_allclose(data.splits["validation"].objects.boxes[0, 0], [0, 0, 0.5, 1])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "cannot read .*instances_train"),
        ("{}", "it has no list of images, annotations, categories"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "x"}]}', "has no 'file_name'"),
        ("[]", "it has no list of images, annotations, categories"),
        (
            '{"images": [], "annotations": [], "categories": [{"name": "x"}]}',
            r"category \{.name.: .x.\}: it has no 'id'",
        ),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": " "}]}', "its name is empty"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]}',
            "its id is that of 'x' too",
        ),
        ('{"images": [], "annotations": [], "categories": []}', "names no categories"),
    ],
)
def test_a_damaged_file_of_annotations(tmp_path, document, words):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text(document)
    with pytest.raises(DataError, match=words):
        open_data(DataSpec(str(tmp_path), annotations="objects"), silent)


def test_a_folder_without_boxes_says_what_it_lacks(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match="holds neither annotations/instances_"):
        open_data(DataSpec(str(tmp_path), annotations="objects"), silent)


def test_a_file_makes_the_objects_that_numpy_makes(segmented):
    """Of outputs in which much is found, which a network after five epochs does not: in order, sides and classes."""
    from ai_edge_litert.interpreter import Interpreter

    from keras_resnet.detections import DYNAMIC_COEFFICIENTS, GROUND, SHARED, answer_of
    from keras_resnet.export.card import Card
    from keras_resnet.export.full import _behind

    rng, cells = np.random.default_rng(0), (8, 4)
    outputs = {
        "scores": rng.normal(-3, 2, (1, 80, 3)).astype(np.float32),
        "distances": rng.uniform(0.3, 2, (1, 80, 4)).astype(np.float32),
        "coefficients": rng.normal(size=(1, 80, DYNAMIC_COEFFICIENTS)).astype(np.float32),
        "prototypes": rng.normal(size=(1, 16, 16, SHARED)).astype(np.float32),
    }
    for task, guesses in (("segment", 0), ("localize", 3)):
        given = outputs if task == "segment" else {name: outputs[name] for name in ("scores", "distances")}
        card = Card(("a", "b", "c"), 64, 64, {}, task, cells)
        interpreter = Interpreter(model_content=_behind({name: each.shape for name, each in given.items()}, card))
        found = interpreter.get_signature_runner("objects")(**given)
        ours, masks = answer_of({name: each[0] for name, each in given.items()}, cells, guesses=guesses)
        theirs, their_masks = answer_of({name: each[0] for name, each in found.items()}, cells, guesses=guesses)
        assert len(ours.labels) > 20 or guesses
        assert theirs.labels.tolist() == ours.labels.tolist()
        np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-5)
        np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=1e-6)
        if masks is not None:
            around = masks != GROUND  # elsewhere only the file computes them
            assert around.mean() > 0.3
            np.testing.assert_allclose(their_masks[around], masks[around], rtol=1e-3, atol=1e-3)


def test_files_that_make_objects_are_of_detectors(capsys, trained, runs):
    assert commands._main(["export", trained.name, "--tflite", "--full", "--runs", str(runs)]) == 2
    assert "--full is for runs that localize, detect or segment" in capsys.readouterr().err
    assert commands._main(["export", trained.name, "--onnx", "--full", "--runs", str(runs)]) == 2
    assert "--full is for TFLite files" in capsys.readouterr().err
