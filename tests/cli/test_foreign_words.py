"""Words of other tools are answered by the right option or command."""

import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest

import keras_resnet
from keras_resnet.cli.main import COMMANDS as TABLE
from keras_resnet.config.foreign_names import FOREIGN_ATTRIBUTES, FOREIGN_METHODS, METHODS
from keras_resnet.config.foreign_words import (
    COMMANDS,
    EXPORT_FORMATS,
    EXPORT_OPTIONS,
    OF_COMMANDS,
    OPTIONS,
    UNNEEDED,
    VALUES,
    translate_export,
)
from keras_resnet.config.foreign_words import SCHEMES as WORDS_FOR_SCHEMES
from keras_resnet.errors import UsageError
from keras_resnet.export.evaluate import require_split
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.tflite_options import SCHEMES, require_scheme
from keras_resnet.run import Run as RunFolder


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["train", "--lr", "0.1"], "No such option '--lr'. Use --learning-rate."),
        (["train", "--lr0=0.1"], "Use --learning-rate."),
        (["train", "--batch", "32"], "Use --batch-size."),
        (["train", "-b", "32"], "Use --batch-size."),
        (["train", "--imgsz", "640"], "Use --image-size."),
        (["train", "--img-size", "640"], "Use --image-size."),
        (["train", "--arch", "resnet50"], "Use --model."),
        (["train", "-a", "resnet50"], "Use --model."),
        (["train", "--net", "resnet50"], "Use --model."),
        (
            ["train", "--pretrained"],
            "by --weights torchvision:resnet18, and --weights none trains from scratch.",
        ),
        (["train", "--from", "imagenet"], "Use --weights."),
        (["train", "--num-classes", "10"], "The number of classes is counted from the data."),
        (["train", "--workers", "8"], "kresnet launch --workers 2 -- train."),
        (["train", "--device", "0"], "Use --devices."),
        (["train", "--wd", "0.1"], "Use --weight-decay."),
        (["train", "--momentum", "0.9"], "Use --set optimizer.momentum=0.9."),
        (["train", "--opt", "sgd"], "Use --optimizer."),
        (["train", "--amp"], "Use --precision."),
        (["predict", "--accept", "0.9"], "No such option '--accept'. It is an option of kresnet calibrate."),
        (["predict", "x.png", "--unknown", "odd"], "It is an option of kresnet calibrate."),
        (["calibrate", "--corruptions", "fog"], "It is an option of kresnet robustness."),
        (["train", "--fp16"], "Use --precision."),
        (["train", "epochs=3"], "Options are written --epochs 3."),
        (["train", "data=photos", "imgsz=640"], "Options are written --data photos."),
        (["train", "imgsz=640"], "Use --image-size."),
        (["train", "."], "Images are named by an option: --data .."),
        (["train", "--weights", "imagenet"], "images of 64 pixels and more start from pretrained weights."),
        (["train", "--precision", "fp16"], "Use --precision mixed_float16."),
        (["train", "--set", "lr=0.1"], "unknown key 'lr' in the spec. Use --learning-rate."),
        (["train", "--task", "segmentation"], "Use --task segment."),
        (["train", "--devices", "cuda"], "Use --devices gpu:0, or auto."),
        (["train", "--set", "epochs=3"], "Did you mean 'training.epochs' (or --epochs)?"),
        (["train", "--set", "optimizer.lr=3"], "Did you mean 'optimizer.learning_rate' (or --learning-rate)?"),
        (["train", "--set", "training.bs=3"], "Did you mean 'training.batch_size' (or --batch-size)?"),
        (["train", "--set", "optimizer.zzz=3"], ", optimizer.clip_grad_norm, optimizer.label_smoothing"),
        (["train", "--set", "momentum=0.8"], "Did you mean 'optimizer.momentum'?"),
        (["train", "--set", "data.mean=[0,0,0]"], "Did you mean 'data.normalization.mean'?"),
        (["train", "--set", "augment=x"], "one of which --set KEY=VALUE names. Received: 'x'"),
        (["train", "--model", "resnet51"], "or 6n+2 for the CIFAR networks; did you mean 50?"),
        (["train", "--model", "resnext50"], "Did you mean 'resnext50_32x4d'? List them with: kresnet models"),
        (
            ["export", "--format", "tensorrt"],
            "does not write tensorrt. Use --tflite, --savedmodel, --onnx, --openvino, --coreml, --rknn or --c-array.",
        ),
        (
            ["export", "--format"],
            "--format names no format. Use --tflite, --savedmodel, --onnx, --openvino, --coreml, --rknn or --c-array.",
        ),
        (["predict", "RUN", "a.png", "--imgsz", "3"], "are brought to the size that the network was trained with."),
        (["predict", "--source", "a.png"], "Images are named without an option: kresnet predict RUN photo.jpg."),
        (["predict", "--model", "RUN", "a.png"], "The run is named without an option: kresnet predict RUN."),
        (["export", "--data", "photos"], "own validation images; images to calibrate with: --calibration-data."),
        (["export", "--imgsz", "640"], "of the size that the run was trained with: kresnet train --image-size."),
        (["export", "--weights", "RUN"], "The run is named without an option: kresnet export RUN."),
        (
            ["evaluate", "--data", "photos"],
            "run was trained with; kresnet train --data names others.",
        ),
        (["train", "--task", "yolo"], "there is no --task yolo. Use --task detect."),
        (["train", "--devices", "0"], "there is no --devices 0. Use --devices gpu:0, or auto."),
        (["train", "--devices", "cpu:0"], "--devices must name 1 to 1024 devices. Received: 'cpu:0'"),
        (["train", "--devices", "cpu:1025"], "--devices must name 1 to 1024 devices. Received: 'cpu:1025'"),
        (["launch", "--workers", "1025", "--", "train"], "--workers must be a whole number, 2 to 1024. Received: 1025"),
        (["verify", "a.tflite", "--on", "local", "--threads", "1025"], "--threads must be 1 to 1024. Received: 1025"),
        (
            ["train", "--model", "mobilenetv3"],
            "unknown network 'mobilenetv3'. kresnet trains ResNets: for a small one try --model resnet10 or resnet8, or"
            " --width 0.5. List them with: kresnet models",
        ),
        (["train", "--model", "efficientnet_b0"], "or --width 0.5. List them with: kresnet models"),
        (["train", "--model", "yolo11n"], "try --task detect --model resnet18. List them with: kresnet models"),
        (["val"], "No such command 'val'. Use kresnet evaluate."),
        (["test"], "Use kresnet evaluate."),
        (["convert"], "Use kresnet export."),
        (["quantize"], "Use kresnet export."),
        (["benchmark"], "Use kresnet verify."),
        (["infer"], "Use kresnet predict."),
        (["detect", "train"], "Use kresnet train --task detect."),
        (["list"], "Use kresnet runs."),
        (["ls"], "Use kresnet runs."),
        (["help", "trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["help", "convert"], "Use kresnet export."),
        (["man"], "Use kresnet --help."),
        (["man", "train"], "Use kresnet train --help."),
        (["push", "a", "foo/bar"], "Received: 'foo/bar'. Did you mean 'hf:foo/bar'?"),
        (["push", "https://huggingface.co/foo/bar"], "Did you mean 'hf:foo/bar'?"),
        (["push", "a", "b"], "most 96 together. Received: 'b'"),
        (["version"], "Use kresnet --version."),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_the_right_word_is_named(kresnet, tmp_path, arguments, answer):
    where = ["--runs", tmp_path] if arguments[0] == "train" else []
    code, out, err = kresnet(*arguments, *where)
    assert (code, out) == (2, "") and len(err) == 1 and err[0].startswith("kresnet: ") and err[0].endswith(answer)


def test_only_an_option_that_the_command_has_is_named(kresnet):
    code, _, err = kresnet("runs", "--lr", "0.1")
    assert code == 2 and "Use --learning-rate" not in err[-1]
    code, _, err = kresnet("runs", "--zzz")
    assert code == 2 and err == ["kresnet: No such option '--zzz'. See: kresnet runs --help"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--int4", "Received: 'int4'. Did you mean 'int8'?"),
        ("--w4a16", "Received: 'w4a16'"),
        ("--fp8", "Received: 'fp8'"),
        ("--quantize int8,int4", "Received: 'int4'. Did you mean 'int8'?"),
        (
            "--precision bf16",
            "--precision bf16: kresnet writes no such file; --quantize must be one of float32, float16",
        ),
        ("--target coral", "there is no --target coral. Use --target edgetpu."),
        ("--target raspberrypi", "int8.tflite runs there without a --target; verify it on the device itself: kresnet"),
        ("--target android", "int8.tflite runs on phones without a --target"),
        ("--target hailo", "Their compiler takes an ONNX file: kresnet export --onnx"),
        ("--target esp32", "Use --c-array, which writes an int8 file as C source for microcontrollers; it needs no"),
    ],
)
def test_what_no_file_can_be_is_answered_with_what_there_is(kresnet, trained, typed, said):
    code, out, err = kresnet("export", trained.folder, *typed.split())
    assert (code, out) == (2, "") and said in err[-1] and len(err) == 1, err
    assert "must be one of float32, float16, dynamic, int8" in err[-1] or "there is no --" in err[-1]


@pytest.mark.parametrize("command", ["train", "export", "verify", "predict", "check"])
@pytest.mark.parametrize("typed", ["--int4", "--minuts", "--xyz", "--on8"])
def test_only_options_that_are_alike_are_suggested(kresnet, command, typed):
    """Two short words are not alike for the two dashes that each begins with."""
    err = kresnet(command, typed)[2]
    for name in re.findall(r"Did you mean '(--[\w-]+)'", err[-1]):
        assert SequenceMatcher(None, typed.strip("-"), name.strip("-")).ratio() >= 0.6


def test_the_tables_name_what_there_is(kresnet):
    helps = "".join(kresnet(name, "--help")[1] for name in ("train", "export", "study", "predict")) + "--models"
    typed = [
        *(each for answers in OPTIONS.values() for each in answers),
        *(" ".join(e) for e in EXPORT_OPTIONS.values()),
    ]
    assert all(each.replace(",", "").split()[0] in helps for each in (*typed, *(f"--{name}" for name in FORMATS)))
    assert all(each.split()[0] in TABLE or each.startswith("--") for each in COMMANDS.values())
    assert not set(COMMANDS) & set(TABLE) and not set(OPTIONS) & set(UNNEEDED)
    known = set(re.findall(r"--[\w-]+", helps))
    for option, answers in VALUES.items():
        pattern = rf"Use {option} \w|Name a source|Use --c-array|int8\.tflite runs |kresnet writes no files for "
        assert option in known and all(re.match(pattern, each) for each in answers.values())
    for command, said in OF_COMMANDS.items():
        own = set(re.findall(r"--[\w-]+", kresnet(command, "--help-all")[1] or kresnet(command, "--help")[1]))
        assert command in TABLE and not own & set(said)
        assert all(option in known for each in said.values() for option in re.findall(r"--[\w-]+", each))


@pytest.mark.parametrize(
    ("typed", "taken", "remarks"),
    [
        (["RUN", "--int8"], ["RUN", "--quantize", "int8"], ["--int8: taken as --quantize int8"]),
        (["--float16", "--json"], ["--quantize", "float16", "--json"], ["--float16: taken as --quantize float16"]),
        (["--format", "tflite"], ["--tflite"], ["--format tflite: taken as --tflite"]),
        (["--format=onnx"], ["--onnx"], ["--format onnx: taken as --onnx"]),
        (["--format", "onnx,saved_model"], ["--onnx", "--savedmodel"], None),
        (["--tflite", "--quantize", "int8", "--max-drop=2"], ["--tflite", "--quantize", "int8", "--max-drop=2"], []),
        (["--format", "mlpackage,ov"], ["--coreml", "--openvino"], None),
        (["--precision", "int8"], ["--quantize", "int8"], ["--precision int8: taken as --quantize int8"]),
        (["--precision=fp16"], ["--quantize", "float16"], ["--precision fp16: taken as --quantize float16"]),
        (["--uint8"], ["--quantize", "int8"], ["--uint8: taken as --quantize int8"]),
        (["--quantize", "int8, float16"], ["--quantize", "int8", "--quantize", "float16"], []),
        (["--target=edgetpu,ethos-u55-128"], ["--target", "edgetpu", "--target", "ethos-u55-128"], []),
        (["RUN", "--quantize"], ["RUN", "--quantize"], []),
    ],
)
def test_exports_understand_what_is_meant(typed, taken, remarks):
    translated, told = translate_export(typed, FORMATS, (*SCHEMES, "all"))
    assert translated == taken and (remarks is None or told == remarks)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_understood(name):
    assert translate_export(["--format", name], FORMATS, SCHEMES)[0] == [f"--{name}"]


def test_words_for_formats_and_schemes_lead_to_what_there_is():
    assert set(EXPORT_FORMATS.values()) <= set(FORMATS) and not set(EXPORT_FORMATS) & set(FORMATS)
    assert set(WORDS_FOR_SCHEMES.values()) <= set(SCHEMES) and not set(WORDS_FOR_SCHEMES) & set(SCHEMES)


@pytest.mark.parametrize(("word", "scheme"), [("fp16", "float16"), ("half", "float16"), ("uint8", "int8")])
def test_a_scheme_of_another_tool_is_named(word, scheme):
    with pytest.raises(UsageError, match=f"there is no --quantize {word}. Use --quantize {scheme}"):
        require_scheme(word)


def test_points_may_be_written_as_percent(kresnet, tmp_path):
    code, _, err = kresnet("export", "--max-drop", "1%", "--runs", tmp_path)
    assert code == 1 and err[0] == "--max-drop 1%: taken as 1 point" and "there are no runs" in err[1]
    code, _, err = kresnet("export", "--max-drop", "one%", "--runs", tmp_path)
    assert code == 2 and "--max-drop must be a number, between 0 and 100 points. Received: 'one%'" in err[-1]


def test_a_split_of_another_tool_is_taken():
    told = []
    assert require_split("val", told.append) == "validation" and told == ["--split val: taken as --split validation"]
    assert require_split("train", told.append) == "train" and len(told) == 1


def test_an_export_says_what_it_takes_words_for(kresnet, tmp_path):
    code, out, err = kresnet("export", "--int8", "--runs", tmp_path)
    assert (code, out) == (1, "") and err[0] == "--int8: taken as --quantize int8" and "there are no runs" in err[1]


@pytest.mark.parametrize("name", ["verify", "evaluate", "predict", "report", "val", "convert"])
def test_methods_of_runs_are_named(name):
    meant = {"val": "evaluate", "convert": "export"}.get(name, name)
    with pytest.raises(AttributeError, match=rf"Use run\.{meant}\(…\), where run is what"):
        getattr(keras_resnet, name)


@pytest.mark.parametrize(("name", "meant"), [("network", "create_model"), ("resnet50", "ResNet50"), ("Rnu", "Run")])
def test_names_in_python(name, meant):
    with pytest.raises(AttributeError, match=f"Did you mean '{meant}'"):
        getattr(keras_resnet, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((each, r"Use run\.evaluate\(…\)\.") for each in ("val", "test", "score")),
        ("convert", r"Use run\.export\(…\)\."),
        ("benchmark", r"Use run\.verify\(…\)\."),
        ("predict_proba", r"Use run\.predict\(…\)\."),
        ("prune", r"Use run\.compress\(…\)\."),
        ("fit", r"Use keras_resnet\.train\(…\), which returns a new run"),
        ("summary", r"Use run\.model, a Keras model\."),
        ("evalute", r"Did you mean 'evaluate'\?"),
        ("zzz", "$"),
    ],
)
def test_a_run_names_the_method_that_is_meant(name, said):
    run = keras_resnet.Run(RunFolder(Path("nowhere")))
    with pytest.raises(AttributeError, match=rf"'Run' object has no attribute '{name}'(\. )?{said}"):
        getattr(run, name)
    assert not hasattr(run, name)


def test_an_error_inside_a_property_stays_what_it_is(monkeypatch):
    monkeypatch.setattr(RunFolder, "spec", lambda run: run.nothing)
    with pytest.raises(AttributeError, match="'nothing'"):
        keras_resnet.Run(RunFolder(Path("nowhere"))).spec  # noqa: B018


def test_what_the_methods_lead_to_is_there():
    attributes = {words.split()[0].rstrip(",").removesuffix("(…)") for words in FOREIGN_ATTRIBUTES.values()}
    for path in attributes - {"kresnet"}:
        owner, _, name = path.partition(".")
        assert hasattr(keras_resnet.Run if owner == "run" else keras_resnet, name)
    assert all(hasattr(keras_resnet.Run, each) for each in (*METHODS, *FOREIGN_METHODS.values()))
    assert not any(hasattr(keras_resnet.Run, each) for each in (*FOREIGN_METHODS, *FOREIGN_ATTRIBUTES))


@pytest.mark.parametrize(
    ("keywords", "name"), [({"int8": True}, "int8"), ({"half": True}, "float16"), ({"c_array": True}, "c-array")]
)
def test_files_are_named_without_a_keyword(keywords, name):
    (given,) = keywords
    with pytest.raises(
        UsageError, match=rf"^export takes no keyword '{given}'\. Files are named .+ run\.export\('{name}'"
    ):
        keras_resnet.Run(RunFolder(Path("nowhere"))).export(**keywords)


def test_the_package_export_says_what_it_is():
    with pytest.raises(TypeError, match=r"keras_resnet\.export is a package: use run\.export\(…\), where run is what"):
        keras_resnet.export("run", "int8")


@pytest.mark.parametrize("typed", ["--arch", "--crop", "--mixup"])
def test_no_command_suggests_an_option_that_it_has_not(kresnet, typed):
    """These are other tools' words, or options of `kresnet train`."""
    code, out, err = kresnet("check", "photos", typed, "x")
    assert (code, out) == (2, "") and err[-1].startswith(f"kresnet: No such option '{typed}'")
    suggested = re.findall(r"'(--[a-z-]+)'", err[-1])[1:]
    assert all(each in kresnet("check", "--help")[1] for each in suggested)


def test_a_function_that_others_call_load():
    with pytest.raises(AttributeError, match=r"no attribute 'load'\. Did you mean 'open_run'\?"):
        keras_resnet.load  # noqa: B018
