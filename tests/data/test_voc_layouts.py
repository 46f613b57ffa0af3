"""Where Pascal VOC's files lie: names of images, and lists."""

import label_tools as tools
import pytest
from voc_files import all_images_of, images_of, opened, rewritten

from keras_resnet.data.sources import detection_folder
from keras_resnet.data.sources.voc_layouts import UNLISTED
from keras_resnet.errors import DataError
from keras_resnet.runtime.plurals import worded


@pytest.fixture
def from_disk(monkeypatch):
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: False)


@pytest.fixture
def flat(tmp_path):
    """Five images with their annotations beside them."""
    tools.label_img_voc(tmp_path, ".jpg")
    return tmp_path


@pytest.mark.parametrize(
    "suffix",
    [".jpg", ".JPG", ".Jpg", ".jpeg", ".JPEG", ".png", ".PNG", ".bmp", ".BMP", ".webp", ".tif", ".TIFF", ".gif"],
)
@pytest.mark.parametrize("beside", [True, False])
def test_images_of_every_suffix(tmp_path, from_disk, suffix, beside):
    for name in tools.scene_names("train", 3):
        file = (tmp_path if beside else tmp_path / "Annotations") / f"{tools.stem(name)}.xml"
        tools.voc(file, "renamed since", tools.scene(name))
        tools.picture((tmp_path if beside else tmp_path / "JPEGImages") / (tools.stem(name) + suffix))
    assert all_images_of(opened(tmp_path)[0]) == [f"train {n}{suffix}" for n in range(3)]


@pytest.mark.parametrize("written", ["photo 7.png", "C:\\photos\\photo 7.png", "/home/me/photo 7.png", "photo%207.png"])
def test_filename_says_which_image_it_is(flat, from_disk, written):
    (flat / "train 0.jpg").unlink()
    tools.picture(flat / "photo 7.png")
    rewritten(flat, lambda text: text.replace("<filename>train 0.jpg<", f"<filename>{written}<"))
    data, _ = opened(flat)
    assert "photo 7.png" in all_images_of(data)


def test_filename_chooses_among_images_of_one_name(flat, from_disk):
    tools.picture(flat / "train 0.png")
    data, told = opened(flat)
    assert "train 0.jpg" in all_images_of(data)
    assert any("left out 1 image file that is in no split" in line for line in told)
    rewritten(flat, lambda text: text.replace("<filename>train 0.jpg<", "<filename>gone.jpg<"))
    with pytest.raises(
        DataError, match=r"train 0\.xml may be of each of train 0\.jpg, train 0\.png; its <filename> says"
    ):
        opened(flat)


def test_filename_never_leads_out_of_the_data_folder(tmp_path):
    root = tmp_path / "data"
    tools.label_img_voc(root, ".jpg")
    (root / "train 0.jpg").rename(tmp_path / "secret.jpg")
    rewritten(root, lambda text: text.replace("<filename>train 0.jpg<", "<filename>../secret.jpg<"))
    with pytest.raises(DataError, match=r"1 of 5 images cannot be read .*train 0\.\*: no such file called as"):
        opened(root)


def lists(root, **named):
    """A folder in VOC's layout with lists in ImageSets/Main: {"trainval": (0, 1, 2)} of images by number."""
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name in tools.scene_names("train", 6):
        tools.voc(root / "Annotations" / f"{tools.stem(name)}.xml", name, tools.scene(name))
        tools.picture(root / "JPEGImages" / name)
    for name, numbers in named.items():
        text = "".join(f"train {number}\n" for number in numbers)
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text)


@pytest.mark.parametrize(
    ("named", "train", "validation", "test"),
    [
        ({"train": (0, 1), "val": (2,)}, {0, 1}, {2}, None),
        ({"Train": (0, 1), "Validation": (2,), "Test": (3,)}, {0, 1}, {2}, {3}),
        ({"trainval": (0, 1, 2, 3), "test": (4, 5)}, {0, 1, 2, 3}, None, {4, 5}),
        ({"trainval": (0, 1, 2), "val": (2,)}, {0, 1}, {2}, None),
        ({"trainval": (0, 1, 2), "train": (0, 1)}, {0, 1}, {2}, None),
        ({"trainval": (0, 1, 2), "train": (0, 1), "val": (2,), "test": (3,)}, {0, 1}, {2}, {3}),
        ({"train": (0, 1, 2), "test": (3,)}, {0, 1, 2}, None, {3}),
        ({"default": (0, 1, 2)}, {0, 1, 2}, None, None),
        ({"mine": (0, 1, 2)}, {0, 1, 2}, None, None),
        ({"train": (0, 1, 2), "val": ()}, {0, 1, 2}, None, None),
        ({"TRAIN": (0, 1), "VAL": (2,), "cat_train": (3, 4), "cat_val": (5,)}, {0, 1}, {2}, None),
    ],
)
def test_lists_say_which_images_are_for_what(tmp_path, from_disk, named, train, validation, test):
    lists(tmp_path, **named)
    data, told = opened(tmp_path)
    found = {split: {int(name[6:-4]) for name in names} for split, names in images_of(data).items()}
    if validation is None:
        assert found["train"] | found["validation"] == train and len(found["validation"]) == 1
    else:
        assert found["train"] == train and found["validation"] == validation
    assert found.get("test") == test
    rest = 6 - len(train | (validation or set()) | (test or set()))
    assert any(line.startswith(f"left out {worded(rest, UNLISTED)}") for line in told) == bool(rest)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"test": (0, 1)}, "names no training images: ImageSets/Main has lists of test only"),
        ({"one": (0, 1), "two": (2,)}, r"holds one\.txt, two\.txt, but none of train\.txt, trainval\.txt"),
        ({"train": (0, 1, 2), "val": (2, 3)}, r"1 of 2 validation images is among those of training, .*train 2\.jpg"),
        ({"train": (0, 1, 2), "test": (2, 3)}, r"1 of 2 test images is among those of training, .*train 2\.jpg"),
        ({"train": (0, 1), "Train": (2, 3)}, "are both for train: keep one of them"),
        ({"train": (0, 1, 99)}, r"1 of 3 images cannot be read .*cannot read the annotation .*train 99\.xml"),
    ],
)
def test_lists_that_say_nothing_usable(tmp_path, named, words):
    lists(tmp_path, **named)
    with pytest.raises(DataError, match=words):
        opened(tmp_path)


@pytest.mark.parametrize(
    "line", ['"train {}"', "train {}.jpg", "train {} 1", "train {} -1", "\ufefftrain {}", " train {}\t"]
)
def test_lines_as_tools_write_them(tmp_path, line):
    lists(tmp_path)
    text = "\r\n".join(line.format(number) for number in range(3))
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text(text.replace("\n\ufeff", "\n"), encoding="utf-8")
    assert sum(part.count for part in opened(tmp_path)[0].splits.values()) == 3


def test_a_folder_around_several_sets_is_refused(tmp_path):
    """VOCdevkit holds VOC2007: read as one folder, its lists would be passed by."""
    tools.voc2007(tmp_path / "VOC2007")
    with pytest.raises(DataError, match=r"holds VOC2007, which has annotations of its own: give --data .*VOC2007"):
        opened(tmp_path)


def test_twins_of_macos_and_copies_of_servers_are_passed_by(flat):
    for twin in ("._train 0.xml", "@eaDir/train 1.xml", "__MACOSX/train 2.xml", ".hidden/train 3.xml"):
        (flat / twin).parent.mkdir(exist_ok=True)
        (flat / twin).write_bytes(b"\0\5\26\7\0\2")
    data, _ = opened(flat)
    assert sum(part.count for part in data.splits.values()) == 5
