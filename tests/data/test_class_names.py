"""Labels: what a class may be called, in every source and under every locale."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath
from samples import paint, silent
from sources import opened

from keras_resnet.config.spec import DataSpec, Spec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.errors import DataError
from keras_resnet.run import Run

BREAKS = ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def images(labels):
    """uint8 images and their labels."""
    return np.zeros((len(labels), 8, 8, 3), np.uint8), np.array(labels)


@pytest.mark.parametrize("line_break", BREAKS, ids=[f"{ord(each):#x}" for each in BREAKS])
def test_a_line_break_in_a_label_is_refused(tmp_path, line_break):
    for name in (f"a{line_break}b", "cup", "dog"):
        paint(tmp_path, 3, classes={name: (9, 9, 9)})
    with pytest.raises(DataError, match=r"a label must be one line, without a line break of any kind\. Received: 'a"):
        opened(tmp_path)
    for label in (f"a{line_break}b", f"a{line_break}", f"{line_break}a"):
        with pytest.raises(DataError, match="classes: a label must be one line"):
            in_memory(images([0, 1]), images([0, 1]), [label, "cup"])


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["", "cup"], r"a label must have a character that is seen\. Received: ''"),
        (["cup", " \t"], r"a label must have a character that is seen\. Received: ' \\t'"),
        (["cup", "dog", "cup"], r"each label must be there once\. Received twice: 'cup'"),
        (["caf\udce9", "cup"], r"a label must be text that UTF-8 can hold\. Received: 'caf\\udce9'"),
    ],
)
def test_labels_that_are_refused(labels, told):
    numbers = list(range(len(labels)))
    with pytest.raises(DataError, match=told):
        in_memory(images(numbers), images(numbers), labels)


def test_a_class_folder_of_spaces_is_refused(tmp_path):
    paint(tmp_path, 3, classes={"  ": (9, 9, 9), "cup": (99, 9, 9)})
    with pytest.raises(DataError, match="a label must have a character that is seen"):
        opened(tmp_path)


def test_a_class_folder_named_in_latin_1_is_refused(tmp_path):
    paint(tmp_path, 3, classes={os.fsdecode(b"caf\xe9"): (9, 9, 9), "cup": (99, 9, 9)})
    with pytest.raises(
        DataError, match=r"class folder .*/caf\\xe9 has a name that is not UTF-8, as labels are; rename"
    ):
        opened(tmp_path)


def test_files_and_folders_named_in_latin_1_are_read(tmp_path):
    root = tmp_path / os.fsdecode(b"donn\xe9es")
    paint(root, 3, classes={"cat": (9, 9, 9), "dog": (99, 9, 9)})
    (root / "cat" / "000.png").rename(root / "cat" / os.fsdecode(b"\xe9t\xe9.png"))
    data, _ = opened(root)
    assert data.name == r"donn\xe9es" and sum(split.count for split in data.splits.values()) == 6


@pytest.mark.parametrize(
    "label", ["café", "naïve ü 漢字", "🐕", "a\tb", " spaced ", "#1, 'x'", "$x_1$", "\u00a0x\u200b"]
)
def test_a_run_keeps_its_labels(tmp_path, label):
    run = Run.create(tmp_path, Spec(), ("cup", label, "dog"))
    assert run.classes() == ("cup", label, "dog")
    assert run.labels_file.read_bytes() == f"cup\n{label}\ndog\n".encode()


def test_a_run_of_labels_with_other_line_breaks_is_read_as_it_was_written(tmp_path):
    run = Run.create(tmp_path, Spec(), ("a\u2028b", "cup", "dog\x85", "e\x0b"))
    assert run.classes() == ("a\u2028b", "cup", "dog\x85", "e\x0b")


def test_labels_under_an_ascii_locale(tmp_path):
    paint(tmp_path / "données", 3, classes={"café": (9, 9, 9), "dog": (99, 9, 9)})
    code = (
        "import sys; from pathlib import Path\n"
        "from keras_resnet.data.load import load_dataset\n"
        "from keras_resnet.run import Run; from keras_resnet.config.spec import DataSpec, Spec\n"
        "assert sys.getfilesystemencoding() == 'ascii'\n"
        "data = load_dataset(DataSpec(sys.argv[1]), lambda message: None)\n"
        "saved_under_utf8 = sys.argv[1].encode('ascii', 'surrogateescape').decode('utf-8')\n"
        "assert load_dataset(DataSpec(saved_under_utf8), lambda message: None).name == data.name\n"
        "print(ascii((data.classes, Run.create(Path(sys.argv[2]), Spec(), data.classes, 'a').classes())))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "données"), str(tmp_path / "runs")]
    done = subprocess.run(command, env=os.environ | ASCII, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == ascii((("café", "dog"),) * 2), done.stderr
    assert (tmp_path / "runs" / "a" / "labels.txt").read_bytes() == "café\ndog\n".encode()


@pytest.mark.parametrize("place", [b"runs\xe9", b"caf\xe9/runs"])
def test_runs_in_a_folder_that_tensorflow_cannot_write_to(tmp_path, kresnet, place):
    home = tmp_path / os.fsdecode(place)
    paint(tmp_path / "d", 3)
    code, _, err = kresnet("train", "--data", tmp_path / "d", "--depth", 8, "--runs", home)
    assert code == 2 and "TensorFlow takes paths in UTF-8 only" in err[-1] and "\\xe9" in err[-1]
    assert not home.exists()


@pytest.mark.slow
def test_commands_under_an_ascii_locale(tmp_path):
    paint(tmp_path / "données", 12, classes={"café": (9, 9, 200), "dog": (200, 9, 9)})

    here = {"KRESNET_RUNS": "runs"}

    def kresnet(*arguments):
        command = [sys.executable, "-m", "keras_resnet", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | ASCII | here, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode()

    kresnet("train", "--data", "données", "--depth", 8, "--steps", 20, "--batch-size", 8)
    run = Run(tmp_path / "runs" / "resnet8-donnes")
    kresnet("export", run.name, "--tflite", "--quantize", "float32", "--max-drop", 100)
    assert run.classes() == ("café", "dog")
    assert (run.exports / "labels.txt").read_text(encoding="utf-8") == "café\ndog\n"
    assert "café" in run.report_file.read_text(encoding="utf-8")
    kresnet("report", run.name, "--again")
    assert '"caf\\u00e9"' in kresnet("inspect", run.exports / "float32.tflite", "--json")


class Partly(tfds.core.GeneratorBasedBuilder):
    """A set with images without labels: some to train on, all to test with."""

    name = "partly"
    pkg_dir_path = epath.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")
    LABELS = ("dark", "light")
    UNLABELLED = ("test",)

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(16, 16, 3)),
            "label": tfds.features.ClassLabel(names=list(self.LABELS)),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in ("train", "validation", "test")}

    def _generate_examples(self, name):
        for index in range(20):
            without = name in self.UNLABELLED or (name == "train" and index < 5)
            pixels = np.full((16, 16, 3), 200 * (index % 2), np.uint8)
            yield index, {"image": pixels, "label": -1 if without else index % 2}


def test_images_of_a_tfds_set_without_labels_are_left_out(tmp_path):
    Partly(data_dir=tmp_path).download_and_prepare()
    data, said = opened("partly", data_dir=str(tmp_path))
    assert {name: split.count for name, split in data.splits.items()} == {"train": 15, "validation": 20}
    assert sorted(np.bincount(data.splits["train"].labels).tolist()) == [7, 8]
    assert any(line.startswith("train: left out 5 of 20 images, which have no label") for line in said)
    assert "test: no image has a label, so nothing can be evaluated on them" in said


def test_evaluating_on_images_without_labels_is_refused(tmp_path):
    Partly(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(DataError, match="none of the test images of dataset 'partly' has a label"):
        load_dataset(DataSpec("partly", data_dir=str(tmp_path)), silent, ("test",))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_training_without_labels_is_refused(tmp_path, monkeypatch, split):
    monkeypatch.setattr(Partly, "UNLABELLED", (split,))
    Partly(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(DataError, match=f"none of the {split} images of dataset 'partly' has a label"):
        opened("partly", data_dir=str(tmp_path))


def test_labels_of_a_tfds_set_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(Partly, "LABELS", ("dark", "li\u2028ght"))
    Partly(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(DataError, match="dataset 'partly': a label must be one line"):
        opened("partly", data_dir=str(tmp_path))
