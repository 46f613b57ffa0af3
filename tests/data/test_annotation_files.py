"""Exports of label tools are read as the tools made them: splits, images, boxes, masks."""

from collections import Counter

import label_tools as tools
import numpy as np
import pytest
from pycocotools.coco import COCO
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.annotations import decode_rle
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import detection_folder
from keras_resnet.errors import DataError

# Of each export: the splits that the tool made; without one for validation, a share of training's is held out.
COCO_EXPORTS = {
    tools.cvat_coco: ("train", "validation", "test"),
    tools.roboflow_coco: ("train", "validation", "test"),
    tools.label_studio_coco: ("train",),
    tools.fiftyone_coco: ("train", "validation"),
    tools.fiftyone_flat_coco: ("train",),
    tools.via_coco: ("train",),
    tools.mixed_masks_coco: ("train", "validation"),
}
VOC_EXPORTS = {
    tools.voc2007: ("train", "test"),
    tools.cvat_voc: ("train", "validation", "test"),
    tools.roboflow_voc: ("train", "validation", "test"),
    tools.label_img_voc: ("train",),
    tools.label_studio_voc: ("train",),
    tools.fiftyone_voc: ("train",),
}
EXPORTS = COCO_EXPORTS | VOC_EXPORTS


def opened(root, log=silent, **fields):
    return load_dataset(
        DataSpec(str(root), image_size=64, **{"annotations": "objects", "crowds": "learn", **fields}), log
    )


@pytest.fixture
def from_disk(monkeypatch):
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: False)


def shown(data, split, row):
    """Names and boxes, left, top, width, height in pixels, of the objects of an image."""
    objects = data.splits[split].objects
    there = objects.labels[row] >= 0
    boxes = objects.boxes[row][there] * 64
    boxes[:, 2:] -= boxes[:, :2]
    names = [data.classes[label] for label in objects.labels[row][there]]
    return sorted(zip(names, boxes.round(3).tolist(), strict=True))


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_the_split_images_and_boxes_are_the_tools(tmp_path, from_disk, export):
    export(tmp_path)
    data, splits = opened(tmp_path), EXPORTS[export]
    assert data.classes == tools.NAMES
    assert set(data.splits) == {"train", "validation", *splits}
    found = {split: [file.rpartition("/")[2] for file in part.images.files] for split, part in data.splits.items()}
    if "validation" not in splits:
        assert len(found["validation"]) == 1  # a fifth of five
        found["train"] = found["train"] + found.pop("validation")
    for split in splits:
        wanted = [name.rpartition(".")[0] for name in tools.scene_names(split, tools.COUNTS[split])]
        assert sorted(name.rpartition(".")[0] for name in found[split]) == wanted
    for split, part in data.splits.items():
        for row, file in enumerate(part.images.files):
            name = f"{file.rpartition('/')[2].rpartition('.')[0]}.jpg"
            boxes = [(kind, list(map(float, box))) for kind, box in tools.scene(name)]
            if export is tools.cvat_voc and name == "train 0.jpg":
                boxes.append(("dog", [0.0, 0.0, 9.0, 9.0]))
            assert shown(data, split, row) == sorted(boxes), file


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_images_from_disk_are_those_in_memory(tmp_path, monkeypatch, export):
    export(tmp_path)
    here = opened(tmp_path)
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: False)
    there = opened(tmp_path)
    for split, part in here.splits.items():
        other = there.splits[split]
        assert part.pixels is not None and other.pixels is None
        np.testing.assert_array_equal(part.pixels, [other.read_pixels(row) for row in range(other.count)])
        np.testing.assert_array_equal(part.objects.boxes, other.objects.boxes)


@pytest.mark.parametrize("export", [tools.mixed_masks_coco, tools.cvat_coco, tools.fiftyone_coco])
def test_masks_are_those_that_pycocotools_reads(tmp_path, from_disk, export):
    export(tmp_path)
    data = opened(tmp_path, annotations="masks")
    compared = 0
    for file in tmp_path.rglob("*.json"):
        reference = COCO(str(file))
        by_name = {image["file_name"]: known for known, image in reference.imgs.items()}
        for part in data.splits.values():
            for row, path in enumerate(part.images.files):
                known = by_name.get(path.rpartition("/")[2])
                theirs = reference.loadAnns(reference.getAnnIds([known])) if known is not None else []
                wanted = Counter(
                    (reference.cats[each["category_id"]]["name"], reference.annToMask(each).tobytes())
                    for each in theirs
                )
                if wanted:
                    there = part.objects.labels[row] >= 0
                    masks = [decode_rle(counts, tools.SIZE) for counts in part.objects.masks[row][there]]
                    names = [data.classes[label] for label in part.objects.labels[row][there]]
                    assert Counter((n, mask.tobytes()) for n, mask in zip(names, masks, strict=True)) == wanted
                    compared += 1
    assert compared == sum(tools.COUNTS[split] for split in COCO_EXPORTS[export])


def test_a_category_that_only_groups_others_is_no_class(tmp_path):
    tools.roboflow_coco(tmp_path)
    told = []
    assert opened(tmp_path, told.append).classes == ("cat", "dog")
    assert "left out 1 category that has no objects and only groups others (first: animals)" in told


def test_a_category_that_groups_others_and_has_objects_is_a_class(tmp_path):
    names = tools.scene_names("train", 3)
    categories = [{"id": 5, "name": "dog", "supercategory": "none"}, {"id": 9, "name": "cat", "supercategory": "dog"}]
    tools.coco(tmp_path / "train" / "_annotations.coco.json", names, categories=categories)
    for name in names:
        tools.picture(tmp_path / "train" / name)
    assert opened(tmp_path).classes == ("dog", "cat")


def test_points_and_what_has_no_category_are_counted(tmp_path):
    tools.via_coco(tmp_path)
    told = []
    opened(tmp_path, told.append)
    assert any(line.startswith('left out 1 annotation without a box (first: {"id": 901, ') for line in told)
    assert any(line.startswith("left out 1 annotation of categories that are not listed") for line in told)


def test_images_of_cvat_without_a_subset(tmp_path):
    names = tools.scene_names("train", 5)
    tools.coco(tmp_path / "annotations" / "instances_default.json", names)
    for name in names:
        tools.picture(tmp_path / "images" / "default" / name)
    assert {name: split.count for name, split in opened(tmp_path).splits.items()} == {"train": 4, "validation": 1}


@pytest.mark.parametrize(
    "written",
    [
        "images\\train 0.jpg",
        "images/train%200.jpg",
        "train%200.jpg",
        "./images/train 0.jpg",
        "/home/somebody/project/images/train 0.jpg",
        "C:\\Users\\me\\images\\train 0.jpg",
        "images/images/train 0.jpg",
        "http://host/data/upload/1/train%200.jpg",
        "../images/train 0.jpg",
        "/data/local-files/?d=images/train 0.jpg",
    ],
)
def test_names_as_tools_write_them(tmp_path, from_disk, written):
    tools.label_studio_coco(tmp_path, lambda name: written if name == "train 0.jpg" else f"images/{name}")
    files = [file for part in opened(tmp_path).splits.values() for file in part.images.files]
    assert sorted(files) == [str(tmp_path / "images" / f"train {n}.jpg") for n in range(5)]


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "..\\secret.jpg", "%2e%2e/secret.jpg", "{outside}/secret.jpg", "a/../../secret.jpg"]
)
def test_names_never_lead_out_of_the_data_folder(tmp_path, name):
    root = tmp_path / "data"
    tools.picture(tmp_path / "secret.jpg")
    name = name.format(outside=tmp_path)
    tools.label_studio_coco(root, lambda own: name if own == "train 0.jpg" else f"images/{own}")
    with pytest.raises(DataError, match=r"1 of 5 images cannot be read .*secret\.jpg: no such file in"):
        opened(root)


def test_a_name_is_not_taken_for_another_entrys_file(tmp_path):
    """ "b/x.jpg" is not there, and x.jpg is an image of its own."""
    names = ["train 0.jpg", "gone/train 0.jpg", "train 2.jpg"]
    tools.coco(tmp_path / "result.json", names)
    for name in names[::2]:
        tools.picture(tmp_path / "images" / name)
    with pytest.raises(DataError, match=r"1 of 3 images cannot be read .*gone/train 0\.jpg: no such file"):
        opened(tmp_path)


def test_images_of_one_name_in_subfolders(tmp_path, from_disk):
    names = ["a/1.jpg", "b/1.jpg", "b/2.jpg"]
    tools.coco(tmp_path / "annotations" / "instances_train.json", names)
    for name in names:
        tools.picture(tmp_path / "images" / "train" / name)
    data = opened(tmp_path)
    for part, split in ((part, split) for split, part in data.splits.items()):
        for row, file in enumerate(part.images.files):
            wanted = [(kind, list(map(float, box))) for kind, box in tools.scene("/".join(file.split("/")[-2:]))]
            assert shown(data, split, row) == sorted(wanted)


def test_images_that_nothing_lists_are_counted(tmp_path):
    tools.roboflow_coco(tmp_path)
    tools.picture(tmp_path / "train" / "forgotten.png")
    told = []
    opened(tmp_path, told.append)
    assert f"left out 1 image file that is in no split (first: {tmp_path / 'train' / 'forgotten.png'})" in told


def test_one_file_for_training_and_validation_is_refused(tmp_path):
    tools.mixed_masks_coco(tmp_path)
    folder = tmp_path / "annotations"
    (folder / "instances_val2017.json").write_bytes((folder / "instances_train2017.json").read_bytes())
    with pytest.raises(DataError, match=r"instances_train2017\.json and .*instances_val2017\.json are the same"):
        opened(tmp_path)


def test_an_image_of_training_and_validation_is_refused(tmp_path):
    names = tools.scene_names("train", 5)
    for split, listed in (("train", names), ("val", names[3:])):
        tools.coco(tmp_path / "annotations" / f"instances_{split}.json", listed)
    for name in names:
        tools.picture(tmp_path / "images" / name)
    with pytest.raises(DataError, match=r"2 of 2 validation images are among those of training, .*train 3\.jpg first"):
        opened(tmp_path)


def test_two_files_for_one_split_are_refused(tmp_path):
    tools.mixed_masks_coco(tmp_path)
    (tmp_path / "annotations" / "instances_train2014.json").write_text("{}")
    with pytest.raises(DataError, match="are both for train: keep one of them"):
        opened(tmp_path)


def test_a_folder_around_the_data_is_named(tmp_path):
    tools.roboflow_coco(tmp_path / "unpacked")
    with pytest.raises(DataError, match=r"did you mean --data .*unpacked\?"):
        opened(tmp_path)


def test_a_test_split_that_is_not_there_does_not_stop_training(tmp_path):
    tools.roboflow_coco(tmp_path)
    for file in (tmp_path / "test").glob("*.jpg"):
        file.unlink()
    told = []
    assert set(opened(tmp_path, told.append).splits) == {"train", "validation"}
    assert any(line.startswith("test: left out, because none of the 2 test images can be read") for line in told)


def test_a_folder_of_pictures_alone(tmp_path):
    tools.picture(tmp_path / "cats" / "1.jpg")
    with pytest.raises(DataError, match=r"has no boxes of objects\. kresnet reads them from .* export them$"):
        opened(tmp_path)
