"""Objects in COCO's files: masks that are none, what is there twice, boxes of other kinds, ids."""

import label_tools as tools
import pytest
from coco_files import HUGE, counted, objects_in, opened, written

from keras_resnet.data.sources import coco_images, coco_masks
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import worded


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, coco_masks.NO_MASK),
        ([], coco_masks.NO_MASK),
        ([[]], coco_masks.NO_MASK),
        ({}, coco_masks.NO_MASK),
        ([[1, 2, 3, 4, 5]], coco_masks.UNREADABLE),
        ([[1, 2, 3, 4, 5, 6, 7]], coco_masks.UNREADABLE),
        ([[1, 1, 9, 9, 18, 18]], coco_masks.UNREADABLE),  # on one line
        ([1, 2, 30, 4, 5, 40], coco_masks.UNREADABLE),
        ([["1", "2", "30", "4", "5", "40"]], coco_masks.UNREADABLE),
        ([[1, 2, HUGE, 4, 5, 6]], coco_masks.UNREADABLE),
        ([[1, 2, 1e30, 4, 5, 6]], coco_masks.UNREADABLE),  # the library would walk there
        ([[1, 2, None, 4, 5, 6]], coco_masks.UNREADABLE),
        (7, coco_masks.UNREADABLE),
        (True, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": "b'abc'"}, coco_masks.PYTHON_BYTES),
        ({"size": [48, 64], "counts": 'b"abc"'}, coco_masks.PYTHON_BYTES),
        ({"size": [48, 64], "counts": "äö"}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": "P^1"}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": "aaa"}, coco_masks.UNREADABLE),  # ends within a number
        ({"size": [48, 64], "counts": "1" * 100_000}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": "\0"}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": [10.5, 3061.5]}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": [-5, 3077]}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": [2**40, 5]}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": [HUGE]}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": ["10", "3062"]}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": [10, None]}, coco_masks.UNREADABLE),
        ({"size": [48, 64], "counts": 5}, coco_masks.UNREADABLE),
        ({"size": [48, 64]}, coco_masks.UNREADABLE),
        ({"size": "48x64", "counts": [10, 3062]}, coco_masks.UNREADABLE),
        ({"size": [64, 48], "counts": [10, 3062]}, coco_masks.UNREADABLE),
        ({"counts": [10, 3062]}, coco_masks.UNREADABLE),
    ],
)
def test_a_mask_that_is_none_is_counted(tmp_path, segmentation, words):
    written(tmp_path, lambda document: document["annotations"][0].update(segmentation=segmentation))
    data, told = opened(tmp_path, "masks")
    assert counted(told, words), told
    assert objects_in(data) == 9
    assert objects_in(opened(tmp_path)[0]) == 10  # detection asks for no masks


def test_part_of_a_mask_that_is_no_polygon_is_counted(tmp_path):
    written(tmp_path, lambda document: document["annotations"][0]["segmentation"].append([1, 2, 3, 4]))
    data, told = opened(tmp_path, "masks")
    assert counted(told, coco_masks.NO_POLYGON) and objects_in(data) == 10


def test_boxes_alone_are_no_masks(tmp_path):
    tools.label_studio_coco(tmp_path)
    with pytest.raises(
        DataError, match=r"none of the 4 train images .*shows an object: left out were 10 annotations without"
    ):
        opened(tmp_path, "masks")


def test_what_is_there_twice_is_counted_once(tmp_path):
    written(tmp_path, lambda document: document["annotations"].append({**document["annotations"][0], "id": 99}))
    data, told = opened(tmp_path)
    assert counted(told, coco_images.REPEATED) and objects_in(data) == 10


def test_a_box_in_the_same_place_with_another_mask_or_name_is_another_object(tmp_path):
    def change(document):
        first = document["annotations"][0]
        document["annotations"] += [{**first, "segmentation": [[1, 1, 9, 1, 9, 9]]}, {**first, "category_id": 2}]

    written(tmp_path, change)
    assert objects_in(opened(tmp_path)[0]) == 12


def test_rotated_boxes_are_told(tmp_path):
    def change(document):
        document["annotations"][0]["attributes"] = {"rotation": 30.5}
        document["annotations"][1]["attributes"] = {"rotation": 0.0}
        document["annotations"][2]["attributes"] = {"rotation": "words"}

    written(tmp_path, change)
    data, told = opened(tmp_path)
    assert any(line.startswith(f'{worded(1, coco_images.ROTATED)} (first: {{"id": 1, ') for line in told)
    assert objects_in(data) == 10


def test_boxes_as_corners_are_told(tmp_path):
    """Left, top, right, bottom, as other formats have it: most reach beyond their image."""

    def change(document):
        for each in document["annotations"]:
            left, top, width, height = each["bbox"]
            each["bbox"] = [left + 20, top + 10, left + width + 20, top + height + 10]

    written(tmp_path, change)
    _, told = opened(tmp_path)
    assert any("reach beyond their image, cut at its edge; are they left, top, right, bottom?" in line for line in told)


def test_boxes_in_shares_are_refused(tmp_path):
    def change(document):
        for each in document["annotations"]:
            each["bbox"] = [value / 64 for value in each["bbox"]]

    written(tmp_path, change)
    with pytest.raises(
        DataError, match=r"instances_train\.json has boxes in fractions of their images, such as \[.*pixels"
    ):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("own", "named"), [(str, int), (int, str), (str, str), (float, int), (lambda n: f"id-{n}", None)]
)
def test_ids_as_words_and_as_numbers(tmp_path, own, named):
    """Some tools write 1 in one place and "1" in the other."""

    def change(document):
        for each in document["images"]:
            each["id"] = own(7 * each["id"])
        for each in document["annotations"]:
            each["image_id"] = (named or own)(7 * each["image_id"])
            each["category_id"] = str(each["category_id"])

    plain = objects_in(opened(written(tmp_path / "plain").parents[1])[0])
    written(tmp_path / "other", change)
    assert objects_in(opened(tmp_path / "other")[0]) == plain == 10


def test_an_image_under_two_ids_is_one(tmp_path):
    def change(document):
        document["images"].append({**document["images"][0], "id": 50})
        document["annotations"][1]["image_id"] = 50

    written(tmp_path, change)
    data, told = opened(tmp_path)
    assert sum(part.count for part in data.splits.values()) == 5 and objects_in(data) == 10
    assert any(line.startswith("1 image that is listed under a second id, taken as one") for line in told)
