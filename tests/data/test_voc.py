"""Pascal VOC's files as tools write them: fields, and what is wrong in them."""

import label_tools as tools
import numpy as np
import pytest
from PIL import Image
from voc_files import objects_in, opened, rewritten

from keras_resnet.data.sources import annotation_files, voc
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import worded


@pytest.fixture
def flat(tmp_path):
    """Five images with their annotations beside them."""
    tools.label_img_voc(tmp_path, ".jpg")
    return tmp_path


def object_of(name="cat", box="<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>", more=""):
    return f"<object><name>{name}</name>{more}{box}</object></annotation>"


def edges(*values):
    names = ("xmin", "ymin", "xmax", "ymax")
    return "<bndbox>" + "".join(f"<{n}>{v}</{n}>" for n, v in zip(names, values, strict=False)) + "</bndbox>"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (object_of(name=""), voc.NO_NAME),
        (object_of(name=" \n "), voc.NO_NAME),
        (object_of().replace("<name>cat</name>", ""), voc.NO_NAME),
        (object_of(box=""), voc.NO_BOX),
        (object_of(box="<polygon><x1>1</x1></polygon>"), voc.NO_BOX),
        (object_of(box="<robndbox><cx>9</cx></robndbox>"), voc.ROTATED),
        (object_of(box=edges("a", 1, 2, 3)), voc.NOT_FOUR),
        (object_of(box=edges(1, 2, 3)), voc.NOT_FOUR),
        (object_of(box=edges(1, 2, 3, "")), voc.NOT_FOUR),
        (object_of(box=edges(1, 2, "inf", 4)), voc.NOT_FOUR),
        (object_of(box=edges(1, 2, "nan", 4)), voc.NOT_FOUR),
        (object_of(box=edges(1, 2, "9" * 400, 4)), voc.NOT_FOUR),
        (object_of(box=edges(30, 30, 20, 20)), annotation_files.NO_AREA),
        (object_of(box=edges(100, 100, 120, 120)), annotation_files.NO_AREA),
        (object_of(more="<difficult>maybe</difficult>"), voc.NO_FLAG),
    ],
)
def test_an_object_that_is_none_is_counted(flat, written, words):
    rewritten(flat, lambda text: text.replace("</annotation>", written))
    data, told = opened(flat)
    assert any(line.startswith(f"left out {worded(1, words)} (first: train 0.") for line in told), told
    assert objects_in(data) == 10 and data.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("value", "hard"),
    [("1", True), ("true", True), ("1.0", True), ("0", False), ("", False), (" 0 ", False), (None, False)],
)
def test_difficult_as_tools_write_it(flat, value, hard):
    more = "" if value is None else f"<difficult>{value}</difficult>"
    rewritten(flat, lambda text: text.replace("</annotation>", object_of(more=more)))
    data, _ = opened(flat)
    assert objects_in(data) == 11
    assert sum(int(part.objects.iscrowd.sum()) for part in data.splits.values()) == hard


def test_difficult_objects_are_told_with_the_way_out(flat):
    for file in flat.glob("*.xml"):
        file.write_text(file.read_text().replace("<difficult>0<", "<difficult>1<", 1))
    _, told = opened(flat)
    assert any("train: 4 of 8 objects are marked as crowds" in line and "difficult" in line for line in told)
    data, _ = opened(flat, crowds="learn")
    assert not data.splits["train"].objects.iscrowd.any()
    for file in flat.glob("*.xml"):
        file.write_text(file.read_text().replace("<difficult>0<", "<difficult>1<"))
    with pytest.raises(DataError, match=r"train: 8 of 8 objects are marked as crowds .*--set data\.crowds=learn"):
        opened(flat)


def test_a_name_in_many_lines_is_one_class(flat):
    rewritten(flat, lambda text: text.replace("<name>cat</name>", "<name>\n  cat\n</name>"))
    assert opened(flat)[0].classes == ("cat", "dog")


def test_a_second_box_is_an_object_too(flat):
    box = object_of()[len("<object><name>cat</name>") : -len("</object></annotation>")]
    rewritten(flat, lambda text: text.replace("</annotation>", object_of(box=box + box.replace("20", "30"))))
    data, told = opened(flat)
    assert objects_in(data) == 12 and any(
        line.startswith(f"{worded(1, voc.SECOND)} (first: train 0.xml") for line in told
    )


def test_boxes_of_parts_are_no_objects(flat):
    part = "<part><name>head</name><bndbox><xmin>6</xmin><ymin>6</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    rewritten(flat, lambda text: text.replace("</annotation>", object_of(more=part)))
    data, _ = opened(flat)
    assert objects_in(data) == 11 and data.classes == ("cat", "dog")


def test_pixels_count_from_zero_where_a_box_begins_there(flat):
    plain = opened(flat)[0].splits["train"].objects.boxes
    box = edges(0, 0, 8, 8)
    rewritten(flat, lambda text: text.replace("</annotation>", object_of(box=box)), "train 1.xml")
    data, told = opened(flat)
    assert any(line.startswith(f"{worded(1, voc.FROM_ZERO)}") for line in told)
    moved = data.splits["train"].objects.boxes[:, :2]
    assert np.isclose(np.sort((moved * 64).ravel())[-2:], np.sort((plain * 64).ravel())[-2:]).all()
    assert not np.isclose(moved[0, 0, 0], plain[0, 0, 0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.replace("<width>64<", "<width>0<"),
            r"train 0\.xml says 0 × 48 of its image; width and height are",
        ),
        (lambda text: text.replace("<width>64<", "<width><"), r"says empty × 48 of its image"),
        (lambda text: text.replace("<width>64</width>", ""), r"says none × 48 of its image"),
        (lambda text: text.replace("<height>48<", "<height>inf<"), r"says 64 × inf of its image"),
        (lambda text: text.replace("<height>48<", "<height>47<"), r"has 64 × 48 pixels, its annotation says 64 × 47"),
        (lambda text: text[:60], r"cannot read the annotation .*train 0\.xml: "),
        (lambda text: "", r"cannot read the annotation .*train 0\.xml: no element found"),
        (
            lambda text: text.replace("annotation>", "annotations>"),
            r"begins with 'annotations', .*export it from CVAT as",
        ),
        (
            lambda text: f'<?xml version="1.0" encoding="martian"?>{text}',
            r"cannot read the annotation .*unknown encoding",
        ),
        (lambda text: text + "<more/>", r"cannot read the annotation .*junk after document element"),
    ],
)
def test_an_annotation_that_cannot_be_used_makes_a_bad_image(flat, change, words):
    rewritten(flat, change)
    with pytest.raises(DataError, match=rf"1 of 5 images cannot be read .*{words}"):
        opened(flat)
    data, told = opened(flat, max_unreadable=0.2)
    assert sum(part.count for part in data.splits.values()) == 4
    assert any("skipped 1 of 5 images" in line for line in told)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings(flat, encoding):
    declared = encoding if encoding[:3] != "utf" else encoding.removesuffix("-sig")
    for file in flat.glob("*.xml"):
        text = file.read_text().replace("cat", "Kätzchen")
        file.write_bytes(f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(encoding))
    assert opened(flat)[0].classes == ("Kätzchen", "dog")


BOMB = "".join(
    f'<!ENTITY l{level} "{"".join(f"&l{level - 1};" for _ in range(10)) if level else "lol"}">' for level in range(12)
)


@pytest.mark.parametrize(
    "declared",
    [BOMB, '<!ENTITY secret SYSTEM "file:///etc/passwd">', '<!ENTITY % more SYSTEM "http://host/x.dtd"> %more;'],
    ids=["bomb", "file", "web"],
)
def test_entities_are_refused_before_they_grow(flat, declared):
    rewritten(flat, lambda text: f"<!DOCTYPE annotation [{declared}]>{text.replace('cat', '&l11;&secret;')}")
    with pytest.raises(DataError, match=r"train 0\.xml: it declares the entity '\w+'; none is allowed"):
        opened(flat)


def test_elements_in_each_other_without_end(flat):
    rewritten(flat, lambda text: text.replace("</annotation>", f"{'<a>' * 100_000}{'</a>' * 100_000}</annotation>"))
    assert objects_in(opened(flat)[0]) == 10


def test_only_what_exif_turns_is_said_to_be_turned(flat):
    tools.picture(flat / "train 0.jpg", (48, 64))
    with pytest.raises(DataError, match="has 48 × 64 pixels, its annotation says 64 × 48"):
        opened(flat)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", tools.SIZE).save(flat / "train 0.jpg", exif=exif)
    with pytest.raises(DataError, match="has 48 × 64 pixels, upright as its EXIF says, its annotation says 64 × 48"):
        opened(flat)


def test_nothing_but_empty_annotations(tmp_path):
    for name in tools.scene_names("train", 3):
        tools.voc(tmp_path / f"{tools.stem(name)}.xml", name, [])
        tools.picture(tmp_path / name)
    with pytest.raises(DataError, match="name no objects"):
        opened(tmp_path)


def test_two_annotations_of_one_image(tmp_path):
    """In subfolders that the images do not have."""
    for folder in ("a", "b"):
        tools.voc(tmp_path / "Annotations" / folder / "1.xml", "1.jpg", tools.scene("1.jpg"))
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        tools.picture(tmp_path / "images" / name)
        if name != "1.jpg":
            tools.voc(tmp_path / "Annotations" / f"{name[0]}.xml", name, tools.scene(name))
    with pytest.raises(
        DataError, match=r"1 of 4 images cannot be read .*b/1\.xml is of .*1\.jpg, which .*a/1\.xml is of too"
    ):
        opened(tmp_path)
    assert sum(part.count for part in opened(tmp_path, max_unreadable=0.3)[0].splits.values()) == 3
