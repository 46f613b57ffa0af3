"""Shared data: folders of generated images, a private home for TFDS, one trained run."""

import contextlib
import gc
import os
import pickle
import pty
import shutil
import sys
import threading
from collections import Counter
from pathlib import Path

from samples import finding, silent
from shared_folders import make_once

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from keras_resnet.config.spec import AugmentSpec, DataSpec, NetworkSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.machine.garbage_collection import COLLECT_AFTER

# What is made once for the machine stays where it is when the cache below is emptied: LiteRT.js, and the fonts that
# Matplotlib lists for seconds.
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
os.environ.setdefault("KRESNET_WEB", os.path.join(CACHE, "kresnet", "web"))
# No test downloads the weights that a training begins with, nor finds those of the user's.
os.environ.setdefault("KRESNET_OFFLINE", "1")
os.environ.setdefault("MPLCONFIGDIR", os.path.join(CACHE, "matplotlib"))


# Of files these take longest. While one process makes what `exported` holds, for the first of them, another one does
# what needs no exported run; and none is left alone with a long file at the end.
LONGEST = (
    "test_documented_commands.py",
    "test_distribute.py",
    "test_instance_segmentation.py",
    "test_multilabel.py",
    "test_converters.py",
    "test_train.py",
    "test_pipeline.py",
    "test_report_in_browser.py",
)


def pytest_configure(config):
    config.option.loadscopereorder = False  # of xdist, which would begin with the files of most tests


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Let the longest files begin, then those with most tests."""
    counts = Counter(item.path for item in items)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (places.get(item.path.name, len(LONGEST)), -counts[item.path], item.path))


def pytest_collection_finish():
    """Keep the garbage collector from looking again and again at what stays, TensorFlow's modules and the tests; let it
    look as rarely as within a command."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch):
    """An empty cache of the user's for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session", autouse=True)
def tried_once():
    """Copies of files that were opened are not tried in another process again."""
    import opening

    with opening.tried_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def converter_that_stays():
    """The process that converts stays to the end: it takes seconds to start."""
    from keras_resnet.export import convert

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "IDLE_SECONDS", 1800)
        yield


@pytest.fixture(scope="session", autouse=True)
def untimed():
    """How fast files are is measured of those of `exported` alone."""
    import timing

    with timing.untimed():
        yield


@pytest.fixture(scope="session")
def tfds_home(tmp_path_factory):
    """Where the digits are prepared, once."""
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="session")
def quick_spec(tfds_home):
    """ResNet-8 on the digits, eight epochs: seconds of training, and it learns."""
    return Spec(
        network=NetworkSpec(depth=8),
        data=DataSpec(data_dir=tfds_home),
        optimizer=OptimizerSpec(learning_rate=0.1),
        training=TrainingSpec(epochs=8, precision="float32"),
    )


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A home of runs."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def trained(quick_spec, runs, tmp_path_factory):
    """A finished run."""
    from keras_resnet.run import Run
    from keras_resnet.training.train import train

    made = make_once(tmp_path_factory, "trained", lambda home: train(quick_spec, home, "resnet8-digits", silent))
    return Run(shutil.copytree(made / "resnet8-digits", runs / "resnet8-digits"))


@pytest.fixture(scope="session")
def segmented(tmp_path_factory):
    """A small network after a few epochs on few shapes."""
    from keras_resnet.data.sources import shapes
    from keras_resnet.run import Run
    from keras_resnet.training.train import train

    def make(home):
        spec = finding(augment=AugmentSpec(scales=(0.8, 1.25), color_jitter=0.2)).override(
            "data.data_dir", str(home / "tfds")
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shapes, "TRAIN", 200)
            patch.setattr(shapes, "VALIDATION", 40)
            train(spec, home, "found", silent)

    return Run(make_once(tmp_path_factory, "segment", make) / "found")


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """The run with files of every kind, and their verdicts by file name."""
    from timing import timed

    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import LITERT_QUANTIZER, SCHEMES, TFLiteOptions, build_tflite_options
    from keras_resnet.run import Run

    forms = (
        *build_tflite_options(("float32", "int8")),
        TFLiteOptions(SCHEMES["int8"], "uint8", keep_float=("logits", "stage1_unit1_conv1")),
        TFLiteOptions(SCHEMES["int8"], "uint8", engine=LITERT_QUANTIZER),
        TFLiteOptions(SCHEMES["dynamic"], "float", batch=None),
    )
    wanted = ExportRequest(tflite=forms, formats=("savedmodel", "onnx", "c-array"), samples=200)

    def make(home):
        run = Run(shutil.copytree(trained.folder, home / trained.name))
        with timed():
            (home / "verdicts").write_bytes(pickle.dumps(export(run, wanted, silent)))

    made = make_once(tmp_path_factory, "exported", make)
    shutil.copytree(made / trained.name, trained.folder, dirs_exist_ok=True)
    return trained, {verdict.file: verdict for verdict in pickle.loads((made / "verdicts").read_bytes())}


@pytest.fixture(scope="session")
def pixels(exported):
    """Thirty of its validation images, uint8."""
    from keras_resnet.data.load import load_dataset

    run, _ = exported
    return load_dataset(run.spec().data, silent).splits["validation"].pixels[:30]


@pytest.fixture
def kresnet(capsys):
    """A command as typed → (exit code, standard output, lines of standard error)."""
    from keras_resnet.cli import main

    def call(*arguments):
        code = main.run_command([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err.strip().splitlines()

    return call


@pytest.fixture
def on_terminal(monkeypatch):
    """A command as typed on a terminal of 80 columns → (exit code, all that was written to it)."""
    from keras_resnet.cli import main

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")

    def call(*arguments):
        own, theirs = pty.openpty()
        written = []

        def read():
            # The end of a pseudo-terminal is an error on Linux.
            with contextlib.suppress(OSError):
                while part := os.read(own, 4096):
                    written.append(part)

        reader = threading.Thread(target=read)
        reader.start()
        with os.fdopen(theirs, "w") as screen, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            patch.setattr(sys, "stderr", screen)
            code = main.run_command([str(each) for each in arguments])
        reader.join()
        os.close(own)
        return code, b"".join(written).decode()

    return call


@pytest.fixture(scope="session")
def litert():
    """LiteRT.js, which scripts/web installs."""
    from keras_resnet.errors import ExportError
    from keras_resnet.export.demo import page

    try:
        page.require_litert_js()
    except ExportError as error:
        if os.environ.get("CI"):
            raise  # which has to have it
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """A folder with what goes beside exported files, and without kresnet."""
    folder = tmp_path_factory.mktemp("device")
    from keras_resnet.export import device_scripts
    from keras_resnet.runtime import preprocess

    for source in (preprocess.__file__, Path(device_scripts.__file__).with_name("classify.py")):
        shutil.copy(source, folder)
    return folder
