"""Fields of COCO's files as tools write them, and as no format has them: each is a sentence, none a traceback."""

import json

import label_tools as tools
import numpy as np
import pytest
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import coco, coco_masks, detection_folder
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import worded

HUGE = 10**400


def written(root, change=None, count=5, mark=lambda box: {"segmentation": [tools.polygon(box)]}):
    """A folder in COCO's layout whose one file is `change`d before it is written."""
    names = tools.scene_names("train", count)
    file = root / "annotations" / "instances_train.json"
    tools.coco(file, names, mark=mark)
    for name in names:
        tools.picture(root / "train" / name)
    if change:
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
    return file


def opened(root, annotations="objects", **fields):
    told = []
    data = load_dataset(DataSpec(str(root), image_size=64, annotations=annotations, **fields), told.append)
    return data, told


def counted(told, words):
    return [line for line in told if line.startswith(f"left out {worded(1, words)}")]


def objects_in(data):
    return sum(int((part.objects.labels >= 0).sum()) for part in data.splits.values())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("bbox", None, coco.NO_BOX),
        ("bbox", [], coco.NO_BOX),
        ("bbox", [1, 2, 3, 4, 5], coco.NOT_FOUR),
        ("bbox", [1, 2, 3], coco.NOT_FOUR),
        ("bbox", [1, 2, HUGE, 4], coco.NOT_FOUR),
        ("bbox", [1, 2, float("inf"), 4], coco.NOT_FOUR),
        ("bbox", [float("nan"), 2, 3, 4], coco.NOT_FOUR),
        ("bbox", ["left", 2, 3, 4], coco.NOT_FOUR),
        ("bbox", [[1], 2, 3, 4], coco.NOT_FOUR),
        ("bbox", {"x": 1}, coco.NOT_FOUR),
        ("bbox", "1,2,3,4", coco.NOT_FOUR),
        ("bbox", 7, coco.NOT_FOUR),
        ("bbox", [20, 20, -9, -9], coco.NO_AREA),
        ("bbox", [20, 20, 0, 9], coco.NO_AREA),
        ("bbox", [200, 20, 9, 9], coco.NO_AREA),
        ("bbox", [1e300, 20, 1e300, 9], coco.NO_AREA),
        ("iscrowd", "maybe", coco.NO_FLAG),
        ("iscrowd", 2, coco.NO_FLAG),
        ("iscrowd", [0], coco.NO_FLAG),
        ("iscrowd", float("nan"), coco.NO_FLAG),
        ("iscrowd", HUGE, coco.NO_FLAG),
        ("image_id", None, coco.NO_IMAGE),
        ("image_id", [1], coco.NO_IMAGE),
        ("image_id", True, coco.NO_IMAGE),
        ("image_id", HUGE, coco.NO_IMAGE),
        ("category_id", None, coco.NO_CATEGORY),
        ("category_id", {}, coco.NO_CATEGORY),
        ("category_id", float("inf"), coco.NO_CATEGORY),
    ],
)
def test_an_annotation_that_is_none_is_counted_and_quoted(tmp_path, field, value, words):
    written(tmp_path, lambda document: document["annotations"][0].update({field: value}))
    data, told = opened(tmp_path)
    lines = counted(told, words)
    assert len(lines) == 1 and "instances_train.json)" in lines[0], told
    assert objects_in(data) == 9
    if words != coco.NO_AREA or "first: {" in lines[0]:
        assert '"id": 1' in lines[0]


@pytest.mark.parametrize("entry", [None, 5, "words", [], [[]]])
def test_an_annotation_that_is_no_object_is_counted(tmp_path, entry):
    written(tmp_path, lambda document: document["annotations"].append(entry))
    data, told = opened(tmp_path)
    assert counted(told, coco.NO_IMAGE) and objects_in(data) == 10


@pytest.mark.parametrize(
    ("value", "crowd"),
    [
        *((value, False) for value in ("0", "false", False, 0.0, "", None)),
        *((value, True) for value in ("1", "True", True, 1.0, 1)),
    ],
)
def test_iscrowd_as_tools_write_it(tmp_path, value, crowd):
    written(tmp_path, lambda document: document["annotations"][0].update(iscrowd=value))
    data, told = opened(tmp_path)
    assert objects_in(data) == 10
    assert sum(int(part.objects.crowd.sum()) for part in data.splits.values()) == crowd
    assert (
        any("1 of 8 objects is marked as a crowd" in line or "1 of 2 objects is marked as a" in line for line in told)
        == crowd
    )


def test_crowds_that_are_half_of_all_are_told_with_the_way_out(tmp_path):
    def change(document):
        for each in document["annotations"][::2]:
            each["iscrowd"] = 1

    written(tmp_path, change)
    data, told = opened(tmp_path)
    line = next(line for line in told if line.startswith("train: 4 of 8 objects are marked as crowds"))
    assert "--set data.crowds=learn" in line and "CVAT" in line
    data, told = opened(tmp_path, crowds="learn")
    assert not any(part.objects.crowd.any() for part in data.splits.values()) and objects_in(data) == 10
    assert any("and learned as all others" in line for line in told)


def test_crowds_alone_are_refused_with_the_way_out(tmp_path):
    tools.cvat_coco(tmp_path)
    with pytest.raises(
        DataError, match=r"train: 10 of 10 objects are marked as crowds .*nothing is left.*crowds=learn"
    ):
        opened(tmp_path, "masks")
    data, _ = opened(tmp_path, "masks", crowds="learn")
    assert data.splits["train"].objects.ids(0, 64).max() == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: d["images"][0].update(id=None),
            r"image \{\"id\": null.*: its id is null; an id is a number or a word",
        ),
        (lambda d: d["images"][0].update(id=[1]), "an id is a number or a word"),
        (lambda d: d["images"][0].update(id=HUGE), "an id is a number or a word"),
        (lambda d: d["images"][0].update(id=float("nan")), "its id is NaN; an id is a number or a word"),
        (lambda d: d["images"][0].pop("file_name"), "it has no 'file_name'"),
        (lambda d: d["images"][0].update(file_name=""), "its file_name is empty; it is text"),
        (lambda d: d["images"][0].update(file_name=None), "its file_name is empty; it is text"),
        (lambda d: d["images"][0].update(file_name=["a"]), r"its file_name is \[\"a\"\]; it is text"),
        (lambda d: d["categories"][0].update(name="\ud800"), r"category .*ud800.*: its name holds half a letter"),
        (lambda d: d["images"].append(None), "the image null: it is no JSON object"),
        (lambda d: d["images"].append([1]), "the image .*: it is no JSON object"),
        (lambda d: d["categories"][0].update(id=None), "its id is null"),
        (lambda d: d["categories"][0].update(name=None), "its name is empty"),
        (lambda d: d["categories"].append("cat"), "the category .*: it is no JSON object"),
        (lambda d: d.update(images={}), "it has no list of images"),
        (lambda d: d.update(annotations=None), "it has no list of annotations"),
    ],
)
def test_what_all_else_hangs_on_is_refused_in_a_sentence(tmp_path, change, words):
    written(tmp_path, change)
    with pytest.raises(DataError, match=words) as caught:
        opened(tmp_path)
    assert "instances_train.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "side", [None, 0, -64, 0.5, "wide", [], HUGE, float("inf"), 10**9], ids=lambda side: str(side)[:9]
)
def test_a_width_that_is_none_makes_a_bad_image(tmp_path, side):
    file = written(tmp_path, lambda document: document["images"][0].update(width=side))
    with pytest.raises(
        DataError, match=r"1 of 5 images cannot be read .*train 0\.jpg: instances_train\.json says .* × 48"
    ):
        opened(tmp_path)
    _, told = opened(tmp_path, max_unreadable=0.2)
    assert any("skipped 1 of 5 images" in line for line in told) and file.is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"images": ' * 50_000, "nested too deeply|Expecting"),
        ("", "cannot read .*instances_train.json: Expecting value"),
        ('{"images": [], "annotations": [], "categories": [' + "9" * 5000 + "]}", "cannot read|no JSON object"),
        ("\0\0\0", "cannot read .*instances_train.json"),
    ],
)
def test_documents_that_no_tool_writes(tmp_path, text, words):
    file = written(tmp_path)
    file.write_text(text)
    with pytest.raises(DataError, match=words):
        opened(tmp_path)


def test_a_file_that_is_no_text(tmp_path):
    written(tmp_path).write_bytes(b'{"images": "\xff\xfe\xfa"}')
    with pytest.raises(DataError, match=r"cannot read .*instances_train\.json: "):
        opened(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("layout", [tools.mixed_masks_coco, tools.fiftyone_flat_coco])
def test_encodings_of_windows(tmp_path, encoding, layout):
    layout(tmp_path)
    plain, _ = opened(tmp_path)
    for file in tmp_path.rglob("*.json"):
        file.write_bytes(file.read_text().encode(encoding))
    data, _ = opened(tmp_path)
    np.testing.assert_array_equal(data.splits["train"].objects.boxes, plain.splits["train"].objects.boxes)


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
    assert counted(told, coco.REPEATED) and objects_in(data) == 10


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
    assert any(line.startswith(f'{worded(1, coco.ROTATED)} (first: {{"id": 1, ') for line in told)
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
        DataError, match=r"instances_train\.json has boxes in shares of their images, such as \[.*pixels"
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


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "from disk"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: tools.picture(file, (48, 64)), r"has 48 × 64 pixels, its annotation says 64 × 48"),
        (lambda file: tools.picture(file, (65, 48)), "has 65 × 48 pixels, its annotation says 64 × 48"),
        (lambda file: file.write_bytes(file.read_bytes()[:300]), "cannot read image"),
        (lambda file: file.write_bytes(b""), "cannot read image .*: not an image"),
        (lambda file: file.write_text("<html>"), "cannot read image .*: not an image"),
        (lambda file: file.unlink(), "cannot read image .*: no such file"),
        (lambda file: (file.unlink(), file.mkdir()), "cannot read image"),
    ],
    ids=["turned", "wider", "cut off", "empty", "html", "gone", "a folder"],
)
def test_images_are_checked_wherever_they_are_kept(tmp_path, monkeypatch, kept, damage, words):
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda images, resize: kept)
    written(tmp_path)
    damage(tmp_path / "train" / "train 0.jpg")
    with pytest.raises(
        DataError, match=rf"1 of 5 images cannot be read \(20\.0%\), more than --max-unreadable 0\.01 .*{words}"
    ):
        opened(tmp_path)
    data, told = opened(tmp_path, max_unreadable=0.2)
    assert sum(part.count for part in data.splits.values()) == 4
    assert "skipped 1 of 5 images that cannot be read (--max-unreadable allows 20.0%)" in told


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "from disk"])
def test_only_what_exif_turns_is_said_to_be_turned(tmp_path, monkeypatch, kept):
    from PIL import Image

    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda images, resize: kept)
    written(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", tools.SIZE).save(tmp_path / "train" / "train 0.jpg", exif=exif)
    with pytest.raises(DataError, match="has 48 × 64 pixels, upright as its EXIF says, its annotation says 64 × 48"):
        opened(tmp_path)
    exif[0x0112] = 3  # upside down: of the size that its annotation says
    Image.new("RGB", tools.SIZE).save(tmp_path / "train" / "train 0.jpg", exif=exif)
    assert sum(part.count for part in opened(tmp_path)[0].splits.values()) == 5


def test_the_words_for_crowds_are_checked():
    with pytest.raises(ValueError, match=r"data\.crowds must be one of ignore, learn"):
        DataSpec(crowds="learned")
    assert silent("") is None
