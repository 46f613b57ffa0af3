"""Whether a folder's images may be mirrored is measured, told, kept with the run, and overruled by an option."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from samples import paint, silent
from sklearn.datasets import load_digits

from keras_resnet.config.provenance import use_provenance
from keras_resnet.config.spec import DataSpec, NetworkSpec, Spec, TrainingSpec
from keras_resnet.data import mirroring
from keras_resnet.data.dataset import Split
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.run import Run
from keras_resnet.training import resolve as resolving
from keras_resnet.training.distribute import Devices
from keras_resnet.training.spec_request import build_spec, trace_spec
from keras_resnet.training.train import train

SIDE = 24


def write(folder, pixels, labels):
    """A folder for each label."""
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{number:04}.png")
    return folder


def digits(folder, count=600):
    scans = load_digits()
    return write(folder, np.round(scans.images[:count] * 255 / 16).astype(np.uint8), scans.target[:count])


def drawn(folder, kinds, count=300):
    """Light figures at random places of dark images with some noise."""
    rng = np.random.default_rng(2)
    pixels, labels = [], []
    for number in range(count):
        image = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(0, 90, 3).tolist()))
        reach = int(rng.integers(6, 9))
        x, y = rng.integers(reach, SIDE - reach, 2).tolist()
        FIGURES[kinds[number % len(kinds)]](ImageDraw.Draw(image), x, y, reach)
        pixels.append(np.clip(np.asarray(image) + rng.normal(0, 10, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8))
        labels.append(kinds[number % len(kinds)])
    return write(folder, pixels, labels)


def _arrow(turn):
    def draw(brush, x, y, reach):
        points = [(-reach, 0), (0, -reach), (0, -2), (reach, -2), (reach, 2), (0, 2), (0, reach)]
        brush.polygon([(x + turn * dx, y + dy) for dx, dy in points], fill="white")

    return draw


FIGURES = {
    "left": _arrow(1),
    "right": _arrow(-1),
    "disc": lambda brush, x, y, reach: brush.ellipse((x - reach, y - reach, x + reach, y + reach), fill="white"),
    "square": lambda brush, x, y, reach: brush.rectangle((x - reach, y - reach, x + reach, y + reach), fill="white"),
    "roof": lambda brush, x, y, reach: brush.polygon(
        [(x, y - reach), (x - reach, y + reach), (x + reach, y + reach)], fill="white"
    ),
}


def decided(folder, **options):
    data = load_dataset(DataSpec(str(folder), **options), silent)
    return mirroring.decide_flip(data.splits["train"], data.image_size, data.classes)


def test_digits_as_a_folder_train_unmirrored_and_the_reason_is_told(tmp_path, kresnet, monkeypatch):
    options = ("--depth", 8, "--data", digits(tmp_path / "d"), "--runs", tmp_path, "--name", "run")
    code, _, told = kresnet("train", *options, "--precision", "float32", "--steps", 2, "--stop-after", 1)
    assert code == 0
    (why,) = [line for line in told if line.startswith("horizontal flips: ")]
    assert why.startswith("horizontal flips: off (in a quick trial a small classifier recognized 9")
    assert ", but only " in why and why.endswith("% of their mirror images (p < 0.001); override with --flip)")
    assert any(line == "augmentation: random crops" for line in told)
    assert Run(tmp_path / "run").spec().augment.flip is False


@pytest.mark.parametrize(
    ("kinds", "mirror"),
    [
        (("disc", "square", "roof"), True),
        (("left", "right"), False),
        (("disc", "square", "roof", "left", "right"), False),
    ],
)
def test_figures(tmp_path, kinds, mirror):
    """Arrows to the left and to the right are each other's mirror images, also where they are two classes of many."""
    found = decided(drawn(tmp_path / "d", kinds))
    assert found.flip is mirror
    assert found.why.endswith("trained on mirror images too (p < 0.001)" if not mirror else "of their mirror images")


def test_colours_are_mirrored_also_by_the_command(tmp_path, kresnet):
    options = ("--data", paint(tmp_path / "d", 20), "--runs", tmp_path, "--name", "run", "--steps", 2)
    code, _, told = kresnet("train", "--depth", 8, "--precision", "float32", *options)
    assert code == 0 and Run(tmp_path / "run").spec().augment.flip is True
    (why,) = [line for line in told if line.startswith("horizontal flips: ")]
    assert why.startswith("horizontal flips: on (") and why.endswith(
        "and 100.0% of their mirror images; override with --no-flip)"
    )
    assert "augmentation: random crops, flips" in told


def test_what_cannot_be_told_apart_decides_nothing():
    pixels = np.random.default_rng(1).integers(0, 256, (120, 16, 16, 3), dtype=np.uint8)
    found = mirroring.decide_flip(Split("train", np.arange(120) % 2, pixels), 16, "ab")
    assert found == mirroring.FlipDecision(True, "the default; a quick trial could not tell")


@pytest.mark.parametrize(("mirrored", "flip"), [(26, True), (10, False)])
def test_a_few_dozen_images_need_a_clear_loss(mirrored, flip):
    """Of 48 images 40 are recognized; of 24 by chance. A mirror that leaves 26 of them, and not 32, may be bad luck."""
    first = [np.arange(48) < count for count in (40, mirrored, 40)]
    found = mirroring.decide_from_trial(mirroring.FlipTrial(*first, 0.5), np.arange(48) % 2, "ab")
    assert found.flip is flip
    if flip:
        assert found.why.startswith("the default; in a quick trial") and "too few images to tell (p = 0." in found.why
    else:
        assert "but only 20.8% of their mirror images (p < 0.001)" in found.why


def test_a_class_of_a_few_images_is_harmed_beyond_chance_or_not_at_all():
    """Six images of one class that are recognized without mirrored copies alone: p is 2/64, which is not enough."""
    plain, labels = np.ones(48, bool), np.arange(48) % 2
    for lost, flip in ((6, True), (12, False)):
        both = ~np.isin(np.arange(48), np.flatnonzero(labels == 0)[:lost])
        found = mirroring.decide_from_trial(mirroring.FlipTrial(plain, plain, both, 0.5), labels, "ab")
        assert found.flip is flip, found


def test_a_handful_of_images_decides_nothing(tmp_path):
    found = decided(paint(tmp_path / "d", 3))
    assert found == mirroring.FlipDecision(True, "the default; 3 images of each class would be needed to try it")


def test_rare_classes_are_left_out_and_many_are_sampled():
    labels = np.concatenate([np.repeat(np.arange(130), 20), [130, 130]])
    pixels = (labels[:, None, None, None] + np.zeros((1, 8, 8, 3))).astype(np.uint8)
    rows = mirroring._sample_rows(Split("train", labels, pixels))
    counts = np.bincount(labels[rows])
    assert len(rows) <= mirroring.MAX_IMAGES and counts.tolist() == [15] * 100


def test_images_that_stay_on_disk_give_the_same_answer(tmp_path, monkeypatch):
    folder = digits(tmp_path / "d", 300)
    kept = decided(folder)
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    assert decided(folder) == kept == decided(folder) and not kept.flip


@pytest.fixture
def unmeasured(monkeypatch):
    def refuse(split, image_size, classes):
        raise AssertionError("measured")

    monkeypatch.setattr(resolving, "decide_flip", refuse)


def test_an_option_overrules_what_is_known(tmp_path, tfds_home, kresnet, unmeasured):
    options = ("--data-dir", tfds_home, "--runs", tmp_path, "--name", "run", "--stop-after", 1)
    code, _, told = kresnet("train", "--depth", 8, "--precision", "float32", "--flip", *options)
    assert code == 0 and Run(tmp_path / "run").spec().augment.flip is True
    assert "horizontal flips: on (set by --flip)" in told and "augmentation: random crops, flips" in told


@pytest.mark.parametrize("flip", [True, False])
def test_what_is_asked_is_not_measured(tmp_path, unmeasured, flip):
    data = load_dataset(DataSpec(str(paint(tmp_path / "d", 10))), silent)
    told = []
    asked = {"flip": flip}
    with use_provenance(trace_spec(asked, tmp_path)):
        spec = build_spec(asked, tmp_path, silent)
        spec = resolving._resolve_mirroring(spec, data, Devices(strategy=None, reason=""), told.append)
    words = "horizontal flips: on (set by --flip)" if flip else "horizontal flips: off (set by --no-flip)"
    assert spec.augment.flip is flip and told == [words]


@pytest.mark.slow
def test_a_run_goes_on_and_is_compressed_as_it_was_decided(tmp_path, monkeypatch):
    from keras_resnet.compression.plan import QAT, spec_for_compression
    from keras_resnet.errors import TrainingInterrupted
    from keras_resnet.training.train import resume

    folder = digits(tmp_path / "d", 120)
    spec = Spec(
        data=DataSpec(str(folder)), network=NetworkSpec(8), training=TrainingSpec(epochs=2, precision="float32")
    )

    def interrupt(line):
        if line.startswith("  1/2"):
            raise TrainingInterrupted("here")

    with pytest.raises(TrainingInterrupted):
        train(spec, tmp_path, "run", interrupt)
    run = Run(tmp_path / "run")
    assert run.spec().augment.flip is False
    monkeypatch.setattr(resolving, "decide_flip", lambda *data: pytest.fail("measured"))
    resume(run, silent)
    assert spec_for_compression(run, QAT, set(), silent).augment.flip is False


def test_all_workers_do_what_the_first_one_found(tmp_path, unmeasured):
    data = load_dataset(DataSpec(str(paint(tmp_path / "d", 10))), silent)

    class Other(Devices):
        def broadcast(self, text):
            return "do not mirror"

    here = Other(strategy=None, reason="", rank=1, world_size=2)
    assert resolving._resolve_mirroring(Spec(), data, here, silent).augment.flip is False


def test_what_is_known_is_not_measured(tmp_path, unmeasured):
    data = load_dataset(DataSpec(str(paint(tmp_path / "d", 10))), silent)
    told = []
    for name, flip in (("cifar10", True), ("mnist", False)):
        known = replace(data, name=name, flip_safe=flip)
        spec = resolving._resolve_mirroring(Spec(), known, Devices(strategy=None, reason=""), told.append)
        assert spec.augment.flip is flip
    assert told == [
        "horizontal flips: on (right for cifar10; override with --no-flip)",
        "horizontal flips: off (right for mnist; override with --flip)",
    ]
