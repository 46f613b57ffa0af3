"""An error about an option names the option, whoever finds it: click, the settings, or what the option leads to."""

import re

import click
import pytest

from keras_resnet.cli.command import list_all
from keras_resnet.cli.main import cli
from keras_resnet.config.given_options import SETTINGS
from keras_resnet.errors import KresnetError
from keras_resnet.training.spec_request import build_spec

BAD = {int: -(10**6), float: -1e6, str: "nonsense"}
# What only the data, the devices or the network can judge; and flags.
JUDGED_LATER = {"data", "data_dir", "devices", "freeze"}


@pytest.mark.parametrize(
    "name", [name for name, each in SETTINGS.items() if each.kind in BAD and name not in JUDGED_LATER]
)
def test_settings(tmp_path, name):
    setting = SETTINGS[name]
    value = (BAD[setting.kind],) if setting.is_list else BAD[setting.kind]
    task = {"task": "detect"} if setting.key.startswith("head.") else {}
    with pytest.raises(KresnetError) as caught:
        build_spec({**task, name: value}, tmp_path, lambda message: None)
    assert setting.option.flag in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("train --depth 51", "--depth: 51 is not a ResNet depth"),
        ("train --depth fifty", "--depth must be a whole number, at most 2000. Received: 'fifty'"),
        ("train --model resnet51", "kresnet: --model: 51 is not a ResNet depth"),
        ("train --weights nothing", "--weights: no run called 'nothing'"),
        ("train --weights none.pth", "--weights: there is no file"),
        ("train --teacher none", "--teacher: no run called 'none'"),
        ("train --deepen none --depth 56", "--deepen: no run called 'none'"),
        ("train --resume none", "--resume: no run called 'none'"),
        ("train --set optimizer.warmup_epochs=20", "optimizer.warmup_epochs must be below --epochs (15)"),
        (
            "train --task detect --mixup 0.2",
            "--mixup is for --task classify or multilabel; leave it out with",
        ),
        ("train --task multilabel --class-weights balanced", "--class-weights is for --task classify, in which each"),
        ("train --head-convs 3", "--head-convs is for --task localize, detect or segment; leave it out with --task cl"),
        ("train --scaled-decoding", "--scaled-decoding has an effect only with --crop resized; here it is pad"),
        ("train --task detect --masks yolact", "--masks has an effect only with --task segment; here it is detect"),
        ("train --set training.focal_gamma=3", "training.focal_gamma has an effect only with --loss focal; here it is"),
        ("train --set distill.weight=0.3", "distill.weight has an effect only with --teacher"),
        ("train --epochs 3 --steps 5", "--steps decides the number of epochs; it takes no --epochs"),
        ("launch -- train", "kresnet: launch needs --workers, a whole number, 2 to 1024. See: kresnet launch --help"),
        ("completion", "kresnet: completion needs one of bash, zsh, fish. See: kresnet completion --help"),
        ("predict", "predict needs a run or an exported file, and then images"),
        ("inspect", "kresnet inspect takes an exported file"),
        ("bundle", "kresnet bundle takes an exported file"),
        ("train --flip maybe", "--flip takes no value. Received: 'maybe'"),
        ("train --find-lr --name x", "--find-lr makes no run; it takes no --name"),
        ("train --weights nonee", "Did you mean 'none'? Weights are none (random ones), a file (.keras, .h5, .pth,"),
        ("train --weights resnet18", "Did you mean 'torchvision:resnet18'? Weights are none"),
        ("demo --save page --open", "--save writes the page and serves none; it takes no --open"),
        ("demo --save page --port 80", "--save writes the page and serves none; it takes no --port"),
        ("train --model resnet50 --depth 18", "--model names the whole network; it takes no --depth"),
        ("train --find-lr --find-batch-size", "--find-lr and --find-batch-size"),
        ("train --resume none --epochs 5", "it takes no --epochs"),
        ("export --max-drop 101", "--max-drop must be between 0 and 100"),
        ("export --calibration-images 5", "--calibration-images must be 20 or more. Received: 5"),
        ("compress none --prune 2", "--prune must be the share of weights"),
        ("predict none x.png --top 0", "--top must be a whole number, 1 or more. Received: 0"),
        ("demo --port 99999", "--port must be a whole number, 0 to 65535. Received: 99999"),
        ("models --depth 17", "17 layers"),
    ],
)
def test_each_way_of_being_wrong(kresnet, tmp_path, monkeypatch, typed, words):
    monkeypatch.setenv("KRESNET_RUNS", str(tmp_path))
    code, out, err = kresnet(*typed.split())
    assert code in (1, 2) and out == "" and words in err[-1] and err[-1].startswith("kresnet: ")
    assert "See: " not in err[-1] or " needs " in err[-1]


def commands(group, context):
    """Every command with its own context, those of groups too."""
    for name, command in list_all(group, context):
        inner = click.Context(command, info_name=name, parent=context)
        yield from commands(command, inner) if isinstance(command, click.Group) else [(command, inner)]


def test_no_option_takes_a_word_for_a_number_and_all_say_so_alike():
    """By option: what is said of a word, where a number or one of a few words has to be."""
    said, asked = {}, 0
    for command, context in commands(cli, click.Context(cli, info_name="kresnet")):
        for option in command.params:
            kind = option.type
            if isinstance(kind, (click.types.IntParamType, click.types.FloatParamType, click.Choice)):
                typed = [option.opts[0], "thrice"] if isinstance(option, click.Option) else ["thrice"]
                with pytest.raises(click.UsageError) as caught:
                    command.parse_args(context, [*typed])
                name = typed[0] if len(typed) == 2 else option.human_readable_name
                asked += 1
                if not re.fullmatch(
                    rf"{name} must be (an? |one of |how |the ).+\. Received: 'thrice'", str(caught.value)
                ):
                    said[context.command_path, name] = str(caught.value)
    assert said == {} and asked > 60


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train --epochs three", "--epochs must be a whole number, 1 or more. Received: 'three'"),
        ("train --learning-rate fast", "--learning-rate must be a number, above 0. Received: 'fast'"),
        (
            "compress r --prune half",
            "--prune must be the share of weights that become zero, between 0 and 1. Received: 'half'",
        ),
        ("compress r --qat natve", "--qat must be one of native, tfmot. Received: 'natve'. Did you mean 'native'?"),
        ("launch --workers 1 -- train", "--workers must be a whole number, 2 to 1024. Received: 1"),
        ("train --epochs", "--epochs needs a value: a whole number, 1 or more"),
        (
            "train --data",
            "--data needs a value, DATA. Its help: Images to train on: a folder, a table of labels, a TFDS dataset by"
            " its name, or the bundled digits, digit_pairs or shapes.",
        ),
        (
            "train --freeze",
            "--freeze needs a value, LIST. Its help: Parts of the network to freeze: stem,stage1,… or backbone.",
        ),
        (
            "calibrate --unknown",
            "--unknown needs a value, DIR. Its help: Of classifiers: folder of images that are of none of the classes,"
            " to measure the rule on.",
        ),
        ("train --flip=yes", "--flip takes no value"),
        (
            "demo --save",
            "--save needs a value, DIR. Its help: Write the page into a new folder for a web server of your own,"
            " instead of serving it.",
        ),
        ("completion tcsh", "SHELL must be one of bash, zsh, fish. Received: 'tcsh'"),
    ],
)
def test_the_sentence_names_option_value_and_what_is_allowed(kresnet, typed, said):
    code, out, err = kresnet(*typed.split())
    assert (code, out) == (2, "") and err == [f"kresnet: {said}"]


@pytest.mark.parametrize(
    ("typed", "end"),
    [
        ("calibrate r --accept 95", "Received: 95.0. Did you mean 0.95?"),
        ("calibrate r --accept 95%", "Received: '95%'. Did you mean 0.95?"),
        ("calibrate r --accept 1.2", "Received: 1.2"),
        ("calibrate r --accept -5", "Received: -5.0"),
        ("predict r x.png --threshold 30", "Received: 30. Did you mean 0.3?"),
        ("predict r x.png --threshold 30%", "Received: '30%'. Did you mean 0.3?"),
        ("predict r x.png --threshold 100", "Received: 100"),
        ("compress r --prune 80", "Received: 80.0. Did you mean 0.8?"),
        ("compress r --shrink 12.5%", "Received: '12.5%'. Did you mean 0.125?"),
        ("train --val-fraction 20", "Received: 20.0. Did you mean 0.2?"),
        ("train --val-fraction 1", "Received: 1.0"),
        ("train --max-unreadable 5%", "Received: '5%'. Did you mean 0.05?"),
        ("train --set optimizer.momentum=90", "Received: 90. Did you mean 0.9?"),
        ("train --learning-rate 0", "Received: 0.0"),
        ("export r --max-drop 200", "Received: 200.0"),
    ],
)
def test_a_percentage_in_place_of_a_share_is_answered_by_the_share(kresnet, tmp_path, monkeypatch, typed, end):
    monkeypatch.setenv("KRESNET_RUNS", str(tmp_path))
    code, out, err = kresnet(*typed.split())
    assert (code, out) == (2, "") and err[-1].endswith(end)


def test_every_share_of_the_spec_takes_none_for_a_percentage(tmp_path):
    shares = {name: each for name, each in SETTINGS.items() if each.is_share}
    assert {"val_fraction", "label_smoothing", "ema", "drop_path", "random_erase"} <= shares.keys()
    assert not {"learning_rate", "weight_decay", "width"} & shares.keys()
    for name in shares:
        with pytest.raises(KresnetError, match=r"Received: 40\.0\. Did you mean 0\.4\?"):
            build_spec({name: 40.0}, tmp_path, lambda message: None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0.01", ["--max-drop 0.01: taken as 0.01 percentage points; 1 percentage point would be --max-drop 1"]),
        ("0.05", ["--max-drop 0.05: taken as 0.05 percentage points; 5 percentage points would be --max-drop 5"]),
        ("2%", ["--max-drop 2%: taken as 2 points"]),
        ("0.5", []),
        ("0", []),
    ],
)
def test_a_share_in_place_of_percentage_points_is_said_to_be_points(kresnet, tmp_path, given, said):
    for command in ("export", "verify"):
        code, _, err = kresnet(command, "none", "--runs", tmp_path, "--max-drop", given)
        assert code == 1 and err[:-1] == said
