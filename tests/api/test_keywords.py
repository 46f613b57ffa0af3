"""Keywords are the command's options: the same names, refused in the same words, each with its type and its help."""

import inspect
import os
import pydoc
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest

import keras_resnet as kr
from keras_resnet.api.exporting import sort_names
from keras_resnet.api.keywords import to_options
from keras_resnet.api.predicting import predict_images
from keras_resnet.api.session import in_python_words
from keras_resnet.api.signatures import KEYWORDS, names
from keras_resnet.cli.main import cli
from keras_resnet.compression.plan import plan_compression
from keras_resnet.errors import UsageError
from keras_resnet.export.formats import FORMATS

ROOT = Path(__file__).parents[2]
PATH = {**os.environ, "PYTHONPATH": str(ROOT)}
PATHLIKE = ", as a str or a path"
FORMATS_AS_OPTIONS = {name.replace("-", "_") for name in FORMATS}
# Options that are something else in Python: functions of their own, what is returned, what is given by position, and
# what decides the type that is returned.
ELSEWHERE = {
    "train": {"find_lr", "find_batch_size", "as_json", "settings", "data", "seeds"},
    "compress": {"as_json", "settings", "run"},
    "export": {"runs", "as_json", "run", "quantize", *FORMATS_AS_OPTIONS},
    "verify": {"runs", "as_json", "of_run", "target", "outputs", "where"},
    "search": {"as_json", "data", "budget", "dry_run"},
}


def options_of(command):
    return {each.name: each for each in cli.get_command(click.Context(cli), command).params}


@pytest.mark.parametrize(
    ("command", "declared"),
    [
        ("train", "TrainOptions"),
        ("compress", "CompressOptions"),
        ("export", "ExportOptions"),
        ("verify", "VerifyOptions"),
        ("search", "SearchOptions"),
    ],
)
def test_every_option_of_the_command_is_a_keyword(command, declared):
    options = set(options_of(command)) - ELSEWHERE[command]
    assert set(names(KEYWORDS[declared])) - {"set"} == options


def test_the_types_are_those_that_the_settings_have():
    command = [sys.executable, str(ROOT / "scripts" / "python-options"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "write them by scripts/python-options"


@pytest.mark.parametrize("function", [kr.train, kr.compress, kr.Run.export, kr.Run.compress, kr.Run.verify])
def test_help_shows_each_keyword_with_its_words(function):
    parameters = inspect.signature(function).parameters
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    keyword_only = [each.name for each in parameters.values() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert len(keyword_only) > 10
    for name in keyword_only:
        assert f"- {name}: " in function.__doc__ or f"`{name}`" in function.__doc__


@pytest.mark.parametrize("function", [kr.train, kr.compress, kr.search, kr.Run.export, kr.Run.compress, kr.Run.verify])
def test_help_has_a_line_for_each_keyword(function):
    lines = pydoc.render_doc(function, renderer=pydoc.plaintext).splitlines()
    (end,) = [number for number, line in enumerate(lines) if line.startswith(")")]
    said = [line.partition(":")[0].strip(" *,") for line in lines[3:end] if line.strip() != "*,"]
    assert max(map(len, lines)) <= 125 and said == list(inspect.signature(function).parameters)


def test_the_help_is_the_command_lines():
    depth = options_of("train")["depth"].help
    assert f"- depth: {depth}" in " ".join(kr.train.__doc__.split()) and "--" not in kr.train.__doc__


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"lr": 0.1}, "train takes no keyword 'lr'. Use learning_rate."),
        ({"epoch": 3}, "train takes no keyword 'epoch'. Use epochs."),
        ({"imgsz": 96}, "train takes no keyword 'imgsz'. Use image_size."),
        ({"num_classes": 3}, "train takes no keyword 'num_classes'. The number of classes is counted from the data."),
        ({"find_lr": True}, "train takes no keyword 'find_lr'. Use keras_resnet.find_learning_rate."),
        ({"epochs": "3"}, "epochs must be a whole number, 1 or more. Received: '3'"),
        ({"image_size": 3}, "image_size must be 8 to 16384 pixels, or HEIGHTxWIDTH as in 480x640. Received: 3"),
        ({"depth": 18, "model": "resnet18"}, "model names the whole network; it takes no depth"),
        ({"set": {"optimizer.momentum": 3}}, "optimizer.momentum must be 0 or more and below 1. Received: 3"),
        ({"set": "optimizer.momentum=0.5"}, "set must be a dictionary"),
        ({"epochz": 3}, "train takes no keyword 'epochz'. Did you mean 'epochs'?"),
        ({"optimizer": "adagrad"}, "optimizer must be one of sgd, adamw, lamb, muon. Received: 'adagrad'"),
        ({"optimizer": "adam"}, "there is no optimizer adam. Use optimizer='adamw'."),
        ({"freeze_bn": 1}, "freeze_bn must be True or False. Received: 1"),
        ({"data_changed": True}, "data_changed is for a run that goes on: it needs resume"),
        ({"resume": "a", "name": "b"}, "resume continues a run as it was started; it takes no name"),
        ({"resume": "a", "epochs": 3}, "resume continues a run as it was started; it takes no epochs"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_pythons_words(keywords, said):
    with pytest.raises(UsageError) as refused:
        kr.train(**({} if "resume" in keywords else {"data": "digits"}), **keywords)
    assert str(refused.value).startswith(said) and "tensorflow.python" not in str(refused.traceback[-1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kr.train(3), f"data must be a folder, a file or the name of a dataset{PATHLIKE}. Received: 3 (int)"),
        (
            lambda: kr.train(np.zeros((9, 8, 8, 3))),
            f"data must be a folder, a file or the name of a dataset{PATHLIKE}. Received: numpy.ndarray",
        ),
        (
            lambda: kr.train(b"photos"),
            f"data must be a folder, a file or the name of a dataset{PATHLIKE}. Received: b'photos' (bytes)",
        ),
        (lambda: kr.check(3), f"data must be a folder, a file or the name of a dataset{PATHLIKE}. Received: 3 (int)"),
        (lambda: kr.check("photos", run=3), "run must be what open_run returns, or the name or the folder of a run"),
        (lambda: kr.check("photos", save=3), f"save must be where to write the page{PATHLIKE}. Received: 3 (int)"),
        (lambda: kr.check("photos", tsk="detect"), "check takes no keyword 'tsk'. Did you mean 'task'?"),
        (lambda: kr.check("photos", strict=True), "check takes no keyword 'strict'. keras_resnet.check returns all"),
        (lambda: kr.find_learning_rate(3), f"data must be a folder, a file or the name of a dataset{PATHLIKE}."),
        (lambda: kr.train(resume=3), f"resume must be the name or the folder of a run{PATHLIKE}. Received: 3 (int)"),
        (lambda: kr.train(name=3), "name must be the name of a run, as a str. Received: 3 (int)"),
        (lambda: kr.train(model=3), "model must be the name of a network, as a str. Received: 3 (int)"),
        (lambda: kr.train(recipe=3), "recipe must be the name of a recipe, as a str. Received: 3 (int)"),
        (lambda: kr.train(weights=3), "weights must be a file, the name or the folder of a run, or a source such as"),
        (lambda: kr.train(runs=3), f"runs must be the folder where runs live{PATHLIKE}. Received: 3 (int)"),
        (lambda: kr.train(quick="yes"), "quick must be True or False. Received: 'yes'"),
        (lambda: kr.open_run(3), f"name must be the name or the folder of a run{PATHLIKE}. Received: 3 (int)"),
        (lambda: kr.open_run("a", runs=3), f"runs must be the folder where runs live{PATHLIKE}. Received: 3 (int)"),
        (
            lambda: kr.compress(3, qat=True),
            f"run must be what open_run returns, or the name or the folder of a run{PATHLIKE}. Received: 3 (int)",
        ),
        (lambda: kr.compress("a", qat=3), "qat must be True, 'native' or 'tfmot'. Received: 3 (int)"),
        (
            lambda: plan_compression(prune="half"),
            "--prune must be the share of weights that become zero, between 0 and 1. Received: 'half'",
        ),
        (
            lambda: plan_compression(cluster="many"),
            "--cluster must be how many different weights a kernel has, 2 to 256. Received: 'many'",
        ),
        (
            lambda: predict_images(SimpleNamespace(card=SimpleNamespace(channels=3)), 3),
            "images must be paths (str or path), Pillow's images, or arrays of uint8 pixels (H, W, 3)",
        ),
        (
            lambda: predict_images(None, "two.png", top="five"),
            "top must be a whole number, 1 or more. Received: 'five'",
        ),
        (
            lambda: predict_images(None, "two.png", threshold=30),
            "threshold must be a number from 0 to 1. Received: 30 (int)",
        ),
        (lambda: sort_names([3]), "what to export must be one of float32,"),
        (lambda: kr.create_model(3), "name must be that of a network, as a str, or a NetworkSpec. Received: 3 (int)"),
        (lambda: kr.ResNet50(weights=3), "weights must be"),
        (
            lambda: kr.load_weights(3, "torchvision:resnet18"),
            "load_weights takes a Keras model first. Received: 3 (int)",
        ),
        (lambda: kr.ResNet50(input_shape=160), "input_shape must be (height, width, channels). Received: 160"),
        (lambda: kr.ResNet50(classes="5"), "a classifier needs a whole number of classes, 2 or more. Received: '5'"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_sentence(call, said):
    with pytest.raises(UsageError) as refused:
        call()
    assert str(refused.value).startswith(said)


def test_values_become_what_a_spec_takes():
    given = {"data": Path("photos"), "epochs": np.int64(3), "mixup": np.float32(0.5), "train_sizes": [32, 48]}
    assert to_options({**given, "freeze": "stem,stage1", "track": "mlflow", "set": {"data.levels": [0, 4095]}}) == {
        "data": "photos",
        "epochs": 3,
        "mixup": 0.5,
        "train_sizes": (32, 48),
        "freeze": ("stem", "stage1"),
        "track": ("mlflow",),
        "settings": {"data.levels": (0, 4095)},
    }


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--image-size changes it", "image_size changes it"),
        ("Use --precision mixed_float16", "Use precision='mixed_float16'"),
        ("set by --no-flip", "set by flip=False"),
        ("resume it with: kresnet train --resume night-2", "resume it with: keras_resnet.train(resume='night-2')"),
        ("list them with: kresnet runs", "list them with: kresnet runs"),
        ("(kresnet compress --qat): --quantize must be", "(kresnet compress --qat): quantize must be"),
        ("3 – 4 -- five", "3 – 4 -- five"),
        ("train longer: --epochs 9", "train longer: epochs=9"),
        ("pretrained ones need fewer: --weights timm:resnet18", "pretrained ones need fewer: weights='timm:resnet18'"),
        ("--class-weights balanced or --sampling sqrt", "class_weights='balanced' or sampling='sqrt'"),
        ("--max-unreadable 0.1 allows: x", "max_unreadable=0.1 allows: x"),
        ("--max-unreadable allows 1.0%", "max_unreadable allows 1.0%"),
        ("for --task classify alone, by --run RUN", "for task='classify' alone, by run=…"),
        ("override with --flip", "override with flip=True"),
        ("add --download to download it", "add download=True to download it"),
        ("(--set start.freeze_bn=false trains them)", "(set={'start.freeze_bn': False} trains them)"),
        ("(--set optimizer.warmup_epochs=N changes it)", "(set={'optimizer.warmup_epochs': N} changes it)"),
        ("Use --set optimizer.momentum=0.9.", "Use set={'optimizer.momentum': 0.9}."),
        ("Use --set optimizer.schedule=cosine.", "Use set={'optimizer.schedule': 'cosine'}."),
        ("--set data.normalization.mean=[0,0,0]", "set={'data.normalization.mean': [0, 0, 0]}"),
        ("Use --recipe, or --set KEY=VALUE.", "Use recipe, or set={KEY: VALUE}."),
        ("in place of --set training.seed", "in place of set={'training.seed': …}"),
        ("Type it before the command: kresnet --verbose.", "Type it before the command: kresnet --verbose."),
        (
            "return to a temperature of 1 with --forget, which",
            "return to a temperature of 1 with run.forget_calibration(), which",
        ),
        ("Do not use --reject for such images.", "Do not use reject=True for such images."),
        ("Calibrate again with --score energy, which", "Calibrate again with score='energy', which"),
        ("with --unknown FOLDER, or train", "with unknown=…, or train"),
        ("try learning rates: kresnet train --find-lr", "try learning rates: keras_resnet.find_learning_rate"),
    ],
)
def test_messages_name_keywords(typed, said):
    assert in_python_words(typed) == said


def test_nothing_of_it_imports_tensorflow():
    words = "import sys, keras_resnet as kr; kr.train, kr.open_run, kr.Run; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        check=True,
        env=PATH,
    )
    assert done.stdout.strip() == "False"


def test_threads_leave_standard_error_alone(tmp_path, capfd):
    """It is the process's: two threads that redirect it would take it from each other for good."""
    before = os.fstat(2)
    said = []

    def ask():
        try:
            kr.open_run("nothing", runs=tmp_path)
        except kr.KresnetError as error:
            said.append((str(error), os.fstat(2) == before))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert said == [(f"no run called 'nothing' in {tmp_path}. In a terminal, kresnet runs lists them.", True)] * 8
    assert os.fstat(2) == before
