"""A data service delivers what a training alone would see, in order, whichever of its workers end."""

import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import tensorflow as tf
from samples import paint
from sources import opened, stream_of

from keras_resnet.config.spec import AugmentSpec, DataSpec, Spec
from keras_resnet.data.service import RemoteBatches, require_files, require_service, require_usable
from keras_resnet.data.training_reader import TrainingReader, read_batch
from keras_resnet.errors import DataError, UsageError

SETTINGS = [
    AugmentSpec(flip=True),
    AugmentSpec(flip=True, crop="resized", auto_augment="randaugment", random_erase=0.5, mixup=0.2),
]


@pytest.fixture
def servers():
    """Starts `kresnet data-service` with options, and returns the process and its address."""
    started = []

    def start(*options):
        command = [sys.executable, "-m", "keras_resnet", "data-service", "--host", "127.0.0.1", *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stderr:
            if found := re.search(r"--data-service (\S+?)[; ]", line + " "):
                return process, found[1]
        raise AssertionError("no service")

    yield start
    for process in started:
        process.kill()
        process.communicate()


def batches(split, augment, first=0, **options):
    stream = stream_of(split, augment=augment, **options)
    return [(np.asarray(images), np.asarray(labels)) for images, labels in stream.batches(first, 3 * stream.steps)]


def same(one, other):
    assert len(one) == len(other) > 0
    for (images, labels), (images2, labels2) in zip(one, other, strict=True):
        np.testing.assert_array_equal(images, images2)
        np.testing.assert_array_equal(labels, labels2)


@pytest.mark.slow
def test_two_processes_deliver_what_one_would(tmp_path, servers):
    root = paint(tmp_path / "photos", 40)
    _, address = servers("--port", "0")
    helper, _ = servers("--dispatcher", address)
    data, said = opened(root, image_size=12, service=address)
    train = data.splits["train"]
    assert any(line.endswith("; a data service reads them") for line in said) and train.pixels is None
    for augment in SETTINGS:
        alone = batches(train, augment)
        same(alone, batches(train, augment, service=address))
        same(alone[5:], batches(train, augment, first=5, service=address))
    parts = [batches(train, SETTINGS[0], service=address, rank=rank, ranks=2) for rank in range(2)]
    same(
        batches(train, SETTINGS[0]),
        [tuple(map(np.concatenate, zip(*each, strict=True))) for each in zip(*parts, strict=True)],
    )
    wide = {"image_size": (8, 12), "fit": "pad", "channels": 1}
    gray = opened(root, **wide, annotations="labels", service=address)[0].splits["train"]
    shown = {"image_size": (8, 12), "fit": "pad"}
    for augment in SETTINGS:
        alone = batches(gray, augment, **shown)
        assert alone[0][0].shape == (8, 8, 12, 1)
        same(alone, batches(gray, augment, **shown, service=address))
    table = tmp_path / "labels.csv"
    table.write_text("path,labels\n" + "".join(f"{file},{Path(file).parent.name}\n" for file in train.files))
    several = opened(table, image_size=12, annotations="label_sets", service=address)[0].splits["train"]
    alone = batches(several, augment)
    assert several.pixels is None and alone[0][1].shape == (8, 3)
    same(alone, batches(several, augment, service=address))
    alone = batches(train, augment)
    helper.kill()
    same(alone, batches(train, augment, service=address))
    Path(train.files[0]).write_text("this is text")
    with pytest.raises(tf.errors.OpError, match=r"DataError: data service: cannot read image \S+\.png: not an image"):
        batches(train, augment, service=address)


def test_what_a_worker_took_with_it_is_read_here(tmp_path, monkeypatch):
    """Steps that come in another order, twice, or not at all."""
    train = opened(paint(tmp_path, 20), image_size=12)[0].splits["train"]
    reader = TrainingReader(SETTINGS[1], (), train.resize, 12, 12, 5)
    files = tf.constant(train.files)
    remote = RemoteBatches(
        "", reader, 4, lambda step: (files[step * 4 : step * 4 + 4], step * 4 + tf.range(4, dtype=tf.int64))
    )
    expected = [
        read_batch(reader.to_text().encode(), files[4 * n : 4 * n + 4].numpy(), 4 * n + np.arange(4)) for n in range(10)
    ]
    monkeypatch.setattr("keras_resnet.data.service.MAX_AHEAD", 3)
    for order in ([0, 3, 2, 1, 2, 5, 6, 7, 8, 9, 4], [9, 8, 1], [], list(range(10))):
        delivered = ((number, expected[number]) for number in order)
        monkeypatch.setattr(RemoteBatches, "_deliver", lambda self, remote, made=delivered: made)
        steps, images = zip(*remote._in_order(None, 0, 10), strict=True)
        assert steps == tuple(range(10))
        np.testing.assert_array_equal(np.stack(images), np.stack(expected))


def test_a_service_may_run_in_another_folder(tmp_path, monkeypatch):
    """Files are named by whole paths; one that is not there is an error that says so."""
    paint(tmp_path / "here" / "photos", 20)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train = opened("photos", image_size=12)[0].splits["train"]
    alone = batches(train, SETTINGS[0])
    assert not any(Path(file).is_absolute() for file in train.files)

    def deliver_nothing(*_):
        """So that all is read here, in the folder of a service."""
        os.chdir(tmp_path / "elsewhere")
        return []

    monkeypatch.setattr(RemoteBatches, "_remote", deliver_nothing)
    same(alone, batches(train, SETTINGS[0], service="127.0.0.1:1"))
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "here")
    with pytest.raises(DataError) as caught:
        read_batch(TrainingReader(SETTINGS[0], (), 12, 12, 12, 5).to_text().encode(), [b"/a.png"], [0])

    def deliver():
        raise tf.errors.UnknownError(None, None, f"DataError: {caught.value}\nTraceback")
        yield

    remote = RemoteBatches("", None, 4, None)
    with pytest.raises(DataError, match=r"data service: .*/a\.png: no such file \(the folder must have the same path"):
        list(remote._deliver(deliver()))


def test_a_reader_is_carried_by_text():
    augment = AugmentSpec(flip=True, crop="resized", train_sizes=(8, 12), scaled_decoding=True)
    reader = TrainingReader(augment, (0.0, 4095.0), (16, 24), (12, 18), 12, 7, "pad", 5)
    assert TrainingReader.from_text(reader.to_text()) == reader


@pytest.mark.parametrize("address", ["", "host", "host:", ":5050", "host:0", "host:99999", "host:x"])
def test_addresses_that_are_none(address):
    with pytest.raises(UsageError, match=r"--data-service must be HOST:PORT, as in 127\.0\.0\.1:5050\. Received: "):
        require_service(address)


def test_a_service_that_is_not_there():
    with pytest.raises(UsageError, match=r"--data-service 127\.0\.0\.1:1: no data service can be reached there \(.+\)"):
        require_service("127.0.0.1:1")


def test_what_answers_is_something_else():
    """A server that speaks HTTP."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        with pytest.raises(UsageError, match=f"{address}: what answers there is no data service; start one with: "):
            require_service(address)
        server.shutdown()


def test_images_that_a_service_does_not_read(tmp_path):
    with pytest.raises(UsageError, match="--data-service reads images for --task classify and --task multilabel only"):
        require_usable(DataSpec("shapes", annotations="objects", service="127.0.0.1:1"))
    train = opened("digits", data_dir=str(tmp_path))[0].splits["train"]
    with pytest.raises(UsageError, match=r"reads folders of image files\. Received: --data digits"):
        require_files(DataSpec("digits", service="127.0.0.1:1"), train)
    require_usable(Spec().data)
