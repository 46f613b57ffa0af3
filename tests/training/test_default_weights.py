"""Weights that a training starts from where nobody says from which: of the cache, of a source, or random ones."""

import hashlib
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_resnet.config.provenance import use_provenance
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.pretrained import hub
from keras_resnet.run.command import training_command
from keras_resnet.training.default_weights import choose_start, lengthen_random_start
from keras_resnet.training.spec_request import build_spec, trace_spec

CONTENT = (Path(__file__).parents[1] / "golden" / "resnet8.pth").read_bytes()
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]
FILE = f"resnet8-{DIGEST}.pth"
DEVICES = SimpleNamespace(is_chief=True, broadcast=lambda word: word)


@pytest.fixture(autouse=True)
def source(tmp_path, monkeypatch):
    """A source that knows weights of a ResNet-8, and an empty cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setitem(hub.TORCHVISION_HASHES, "resnet8", (DIGEST,))
    return tmp_path / "keras" / "models"


@pytest.fixture
def cached(source):
    source.mkdir(parents=True)
    (source / FILE).write_bytes(CONTENT)


def started(size=64, images=600, **options):
    """Return (the spec that training goes on with, what was logged) for so many images of that size."""
    lines: list[str] = []
    given = {"data": "photos", "depth": 8, **options}
    spec = build_spec(given, Path("runs"), lines.append)
    split = Split("train", np.zeros(images, np.int64), pixels=np.zeros((images, 1, 1, 3), np.uint8))
    with use_provenance(trace_spec(given, Path("runs"))):
        spec = choose_start(
            spec, DatasetSplits("photos", ("a",), {"train": split}, None, size, size), DEVICES, lines.append
        )
    return spec, lines


def test_those_in_the_cache_are_taken_and_fine_tuned(cached):
    spec, lines = started()
    assert lines == [
        "weights: torchvision:resnet8.v1 (in the cache; images of 64 pixels and more start from pretrained ones;"
        " --weights none starts from random ones)",
        "fine-tuning: learning rate 0.01, 30 epochs, batch norms keep their statistics (--set start.freeze_bn=false"
        " trains them) (for pretrained weights and 600 training images; options override it)",
    ]
    assert (spec.start.weights, spec.start.freeze_bn) == ("torchvision:resnet8.v1", True)
    assert (spec.optimizer.learning_rate, spec.training.epochs) == (0.01, 30)
    assert spec.data.normalization.mean == pytest.approx((123.675, 116.28, 103.53))


def test_fine_tuning_follows_the_images_and_leaves_what_was_asked_for(cached):
    spec, _ = started(images=6000, epochs=3)
    assert (spec.training.epochs, spec.start.freeze_bn, spec.optimizer.learning_rate) == (3, False, 0.01)
    spec, _ = started(images=3000, learning_rate=0.05)
    assert (spec.training.epochs, spec.optimizer.learning_rate) == (20, 0.05)
    assert started(settings=("start.freeze_bn=false",))[0].start.freeze_bn is False


def test_the_shorter_side_decides_and_other_tasks_have_a_rate_of_their_own(cached):
    spec, _ = started(size=(64, 128))
    assert spec.start.weights == "torchvision:resnet8.v1"
    wide = replace(spec, data=replace(spec.data, image_size=(64, 128)))
    assert "--weights torchvision:resnet8.v1 --image-size 64x128" in training_command(wide, {})
    assert started(size=(48, 128))[0].start.weights is None
    several, lines = started(task="multilabel")
    assert several.start.weights and several.optimizer.learning_rate == pytest.approx(4e-4)
    assert "learning rate 0.0004, 30 epochs" in lines[-1]


def test_without_a_network_training_starts_from_random_ones_at_once(source):
    before = time.perf_counter()
    spec, lines = started()
    assert time.perf_counter() - before < 2
    assert spec.start.weights is None and spec.optimizer.learning_rate == 0.05
    assert lines == [
        f"weights: random (cannot download {FILE}: https://download.pytorch.org cannot be reached, because"
        f" KRESNET_OFFLINE is set). Pretrained ones need fewer images; to start from them, download"
        f" https://download.pytorch.org/models/{FILE} on a computer with internet access, copy the file into {source},"
        " and train again"
    ]


def test_a_source_that_answers_is_asked(source, tmp_path, monkeypatch):
    served = tmp_path / "served" / "models"
    served.mkdir(parents=True)
    (served / FILE).write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=served.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("KRESNET_OFFLINE")
    monkeypatch.setattr(hub, "TORCH_HOST", f"http://127.0.0.1:{server.server_port}")
    try:
        spec, lines = started()
    finally:
        server.shutdown()
        server.server_close()
    assert spec.start.weights == "torchvision:resnet8.v1" and "(downloaded; " in lines[0]
    assert (source / FILE).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 63}, ["weights: random (images of 63 pixels; those of 64 start from pretrained ones)"]),
        ({"depth": 26}, ["weights: random (there are no pretrained ones of resnet26)"]),
        ({"width": 0.75}, ["weights: random (there are no pretrained ones of resnet8 with these settings)"]),
        ({"weights": "none"}, []),
    ],
)
def test_where_there_are_none_that_fit_the_line_says_so(cached, options, words):
    spec, lines = started(**options)
    assert (spec.start.weights, lines) == (None, words)


@pytest.mark.parametrize(
    "options", [{"data": "digits"}, {"data": "shapes/single", "task": "localize"}, {"recipe": "edge"}]
)
def test_bundled_data_and_recipes_are_trained_as_they_were(cached, options):
    options = {"depth": 8, **options} if "recipe" not in options else options
    assert build_spec(options, Path("runs"), lambda line: None).start.weights is None


def test_the_command_of_a_report_names_the_weights_that_were_taken(cached):
    request = {"data.source": "photos", "network.depth": 8}
    assert "--weights torchvision:resnet8.v1 --image-size 64" in training_command(
        started()[0].override("data.image_size", 64), request
    )
    random = started(weights="none")[0].override("data.image_size", 64)
    assert training_command(random, request).endswith("--depth 8 --data photos --epochs 15 --weights none")


def lengthened(per_epoch, start=None, **options):
    """Return (the epochs of a training of so many steps an epoch that starts from these weights, what was logged)."""
    lines: list[str] = []
    given = {"data": "photos", "depth": 8, **options}
    spec = build_spec(given, Path("runs"), str).override("start.weights", start)
    with use_provenance(trace_spec(given, Path("runs"))):
        return lengthen_random_start(spec, per_epoch, lines.append).training.epochs, lines


def test_few_images_get_more_epochs_from_random_weights():
    assert lengthened(16) == (
        63,
        ["epochs: 63 (16 steps per epoch; random weights need about 1,000 steps; --epochs overrides it)"],
    )
    assert lengthened(3)[0] == 100


@pytest.mark.parametrize(
    ("per_epoch", "options"),
    [
        (67, {}),
        (16, {"epochs": 15}),
        (16, {"steps": 50}),
        (16, {"data": "digits"}),
        (16, {"task": "detect"}),
        (16, {"recipe": "edge"}),
        (16, {"start": "keras:resnet50"}),
    ],
)
def test_other_trainings_are_as_long_as_they_were(per_epoch, options):
    """Those whose length was asked for or is long enough, and those that are not a classifier's own from nothing."""
    assert lengthened(per_epoch, **options)[1] == []
