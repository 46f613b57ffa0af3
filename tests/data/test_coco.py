"""Fields of COCO's files as tools write them, and as no format has them: each is a sentence, none a traceback."""

import label_tools as tools
import numpy as np
import pytest
from coco_files import HUGE, counted, objects_in, opened, written
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.sources import coco_images, detection_folder
from keras_resnet.errors import DataError


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("bbox", None, coco_images.NO_BOX),
        ("bbox", [], coco_images.NO_BOX),
        ("bbox", [1, 2, 3, 4, 5], coco_images.NOT_FOUR),
        ("bbox", [1, 2, 3], coco_images.NOT_FOUR),
        ("bbox", [1, 2, HUGE, 4], coco_images.NOT_FOUR),
        ("bbox", [1, 2, float("inf"), 4], coco_images.NOT_FOUR),
        ("bbox", [float("nan"), 2, 3, 4], coco_images.NOT_FOUR),
        ("bbox", ["left", 2, 3, 4], coco_images.NOT_FOUR),
        ("bbox", [[1], 2, 3, 4], coco_images.NOT_FOUR),
        ("bbox", {"x": 1}, coco_images.NOT_FOUR),
        ("bbox", "1,2,3,4", coco_images.NOT_FOUR),
        ("bbox", 7, coco_images.NOT_FOUR),
        ("bbox", [20, 20, -9, -9], coco_images.NO_AREA),
        ("bbox", [20, 20, 0, 9], coco_images.NO_AREA),
        ("bbox", [200, 20, 9, 9], coco_images.NO_AREA),
        ("bbox", [1e300, 20, 1e300, 9], coco_images.NO_AREA),
        ("iscrowd", "maybe", coco_images.NO_FLAG),
        ("iscrowd", 2, coco_images.NO_FLAG),
        ("iscrowd", [0], coco_images.NO_FLAG),
        ("iscrowd", float("nan"), coco_images.NO_FLAG),
        ("iscrowd", HUGE, coco_images.NO_FLAG),
        ("image_id", None, coco_images.NO_IMAGE),
        ("image_id", [1], coco_images.NO_IMAGE),
        ("image_id", True, coco_images.NO_IMAGE),
        ("image_id", HUGE, coco_images.NO_IMAGE),
        ("category_id", None, coco_images.NO_CATEGORY),
        ("category_id", {}, coco_images.NO_CATEGORY),
        ("category_id", float("inf"), coco_images.NO_CATEGORY),
    ],
)
def test_an_annotation_that_is_none_is_counted_and_quoted(tmp_path, field, value, words):
    written(tmp_path, lambda document: document["annotations"][0].update({field: value}))
    data, told = opened(tmp_path)
    lines = counted(told, words)
    assert len(lines) == 1 and "instances_train.json)" in lines[0], told
    assert objects_in(data) == 9
    if words != coco_images.NO_AREA or "first: {" in lines[0]:
        assert '"id": 1' in lines[0]


@pytest.mark.parametrize("entry", [None, 5, "words", [], [[]]])
def test_an_annotation_that_is_no_object_is_counted(tmp_path, entry):
    written(tmp_path, lambda document: document["annotations"].append(entry))
    data, told = opened(tmp_path)
    assert counted(told, coco_images.NO_IMAGE) and objects_in(data) == 10


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
    assert sum(int(part.objects.iscrowd.sum()) for part in data.splits.values()) == crowd
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
    assert not any(part.objects.iscrowd.any() for part in data.splits.values()) and objects_in(data) == 10
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
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: kept)
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

    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: kept)
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
