"""Folders with boxes and masks: COCO's layout, Pascal VOC's, ImageNet's, and what is wrong in them."""

import json

import numpy as np
import pytest
from layouts import coco_folder, tiny_coco, write_image
from PIL import Image
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import shapes
from keras_resnet.data.sources.coco_images import NO_AREA, NOT_FOUR, REPEATED
from keras_resnet.data.sources.coco_masks import NO_MASK, UNREADABLE
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import worded


def counted(told, words):
    """Whether a line begins with these `words`, behind which the first of what is counted may stand."""
    return any(line == words or line.startswith(f"{words} (first: ") for line in told)


def test_a_folder_as_coco_has_it(tmp_path):
    root, told = coco_folder(tmp_path / "coco"), []
    spec = DataSpec(str(root), image_size=64, annotations="masks", max_unreadable=0.1)
    data = load_dataset(spec, told.append)
    assert data.classes == ("circle", "star", "cross")  # in the order of their ids
    train, held_out = data.splits["train"], data.splits["validation"]
    assert train.count == 21 and held_out.count == 24  # of validation the empty ones too
    for words in (
        "left out 2 boxes without an area",
        "left out 2 annotations of images that are not listed",
        "left out 2 annotations of categories that are not listed",
        "train: left out 3 of 24 images, which show no object",
    ):
        assert counted(told, words)
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
        load_dataset(DataSpec(str(root), image_size=64, annotations="masks"), silent)


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
    data = load_dataset(DataSpec(str(tmp_path), image_size=64, annotations="masks"), told.append)
    assert counted(told, f"left out {worded(1, NO_MASK if segmentation == [[]] else UNREADABLE)}")
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
    data = load_dataset(DataSpec(str(tmp_path), image_size=64, annotations="objects"), told.append)
    assert counted(told, f"left out {worded(1, NO_AREA if np.isfinite(box).all() else NOT_FOUR)}")
    assert (data.splits["train"].objects.labels >= 0).sum() == 3
    held_out = data.splits["validation"].objects
    assert np.isfinite(held_out.areas).all() and (held_out.labels >= 0).sum() == 4
    assert [0.0, 0.125, 0.375, 0.625] in held_out.boxes[0].tolist()  # cut at the image's edge


def test_what_is_called_the_same_is_one_class(tmp_path):
    tiny_coco(tmp_path, "train", categories=((3, "dog"), (4, "two\nwords"), (9, "dog")))
    tiny_coco(tmp_path, "val", categories=((3, "two words"), (5, "dog"), (4, "horse")))
    told = []
    data = load_dataset(DataSpec(str(tmp_path), image_size=64, annotations="objects"), told.append)
    assert data.classes == ("dog", "two words", "horse")
    # The dog of id 9 is that of id 3 once more.
    assert sorted(data.splits["train"].objects.labels[0].tolist()) == [0, 1]
    assert counted(told, f"left out {worded(2, REPEATED)}")
    assert sorted(data.splits["validation"].objects.labels[0].tolist()) == [0, 1, 2]
    assert "train: no object of 1 of the 3 classes: horse" in told


def test_images_of_one_id(tmp_path):
    tiny_coco(tmp_path, "train")
    file = tmp_path / "annotations" / "instances_train.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"images": [*document["images"], document["images"][0]]}))
    told = []
    assert load_dataset(DataSpec(str(tmp_path), image_size=64, annotations="objects"), told.append).splits
    assert counted(told, "left out 1 image that is listed twice")
    document["images"][1]["id"] = 1
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"its id is that of 'train 1\.png' too"):
        load_dataset(DataSpec(str(tmp_path), image_size=64, annotations="objects"), silent)


def test_validation_images_have_to_show_something(tmp_path):
    tiny_coco(tmp_path, "train")
    tiny_coco(tmp_path, "val")
    file = tmp_path / "annotations" / "instances_val.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    with pytest.raises(
        DataError, match="none of the 2 validation images shows an object: there is nothing to evaluate on"
    ):
        load_dataset(DataSpec(str(tmp_path), image_size=64, annotations="objects"), silent)


def test_a_folder_with_boxes_that_is_to_be_classified_says_what_it_is_for(tmp_path):
    tiny_coco(tmp_path, "train")
    with pytest.raises(
        DataError,
        match=r"holds 2 images and no class folders: .*; its boxes of objects are for --task localize",
    ):
        load_dataset(DataSpec(str(tmp_path)), silent)


def test_messages_name_what_is_wrong_with_the_images(tmp_path):
    spec = DataSpec(str(tmp_path), image_size=64, annotations="objects")
    tiny_coco(tmp_path, "train")
    tiny_coco(tmp_path, "val")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "train" / "train 1.png", exif=exif)
    with pytest.raises(DataError, match="has 48 × 64 pixels, upright as its EXIF says, its annotation says 64 × 48"):
        load_dataset(spec, silent)
    (tmp_path / "train").rename(tmp_path.parent / f"{tmp_path.name} pictures")
    with pytest.raises(DataError, match=r"none of the 2 train images .*: cannot read image .*train 1\.png: no such"):
        load_dataset(spec, silent)
    (tmp_path / "annotations" / "instances_train.json").rename(tmp_path / "annotations" / "instances_all.json")
    with pytest.raises(
        DataError,
        match=r"none of annotations/instances_all\.json, annotations/instances_val\.json has train in its name",
    ):
        load_dataset(spec, silent)


def voc_xml(size, objects):
    parts = [
        f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, hard, box in objects
    ]
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{''.join(parts)}</annotation>"


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
    data = load_dataset(DataSpec(str(root), image_size=50, annotations="objects"), told.append)
    assert data.classes == ("cat", "dog") and data.splits["train"].count == 2
    found = data.splits["validation"].objects
    np.testing.assert_allclose(found.boxes[0, 0], [0.1, 0.05, 0.6, 0.5])
    assert found.labels[0].tolist() == [1, 0] and found.iscrowd[0].tolist() == [False, True]
    assert counted(told, "left out 3 boxes without an area")
    with pytest.raises(DataError, match="whose boxes come without masks"):
        load_dataset(DataSpec(str(root), annotations="masks"), silent)
    (root / "Annotations" / "000003.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"cannot read the annotation .*000003\.xml"):
        load_dataset(DataSpec(str(root), annotations="objects"), silent)


def test_a_folder_as_imagenet_has_it(tmp_path):
    for split, name in (("train", "n01/n01_1"), ("train", "n02/n02_1"), ("val", "val_1")):
        write_image(tmp_path / "Data" / "CLS-LOC" / split / f"{name}.JPEG", (64, 64))
        file = tmp_path / "Annotations" / "CLS-LOC" / split / f"{name}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        kind = "n02" if "n02" in name else "n01"
        file.write_text(voc_xml((64, 64), [(kind, 0, (1, 1, 32, 64)), (kind, 0, (1, 1, 8, 8))]))
    data = load_dataset(DataSpec(str(tmp_path), image_size=32, annotations="object"), silent)
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
        load_dataset(DataSpec(str(tmp_path), annotations="objects"), silent)


def test_a_folder_without_boxes_says_what_it_lacks(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"has no boxes of objects.* from annotations/instances_"):
        load_dataset(DataSpec(str(tmp_path), annotations="objects"), silent)
