"""Words of other tools are answered by the right option or command."""

import pytest

from keras_resnet.cli.main import COMMANDS as TABLE
from keras_resnet.config.foreign_words import COMMANDS, OPTIONS


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
        (["train", "--pretrained"], "Use --weights."),
        (["train", "--num-classes", "10"], "The number of classes is counted from the data."),
        (["export", "--format", "tflite"], "Use --tflite, --savedmodel, --onnx or --c-array."),
        (["export", "--int8"], "Use --tflite --quantize int8."),
        (["export", "--half"], "Use --tflite --quantize float16."),
        (["val"], "No such command 'val'. Use kresnet evaluate."),
        (["test"], "Use kresnet evaluate."),
        (["convert"], "Use kresnet export."),
        (["benchmark"], "Use kresnet verify."),
        (["list"], "Use kresnet runs."),
        (["ls"], "Use kresnet runs."),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_the_right_word_is_named(kresnet, arguments, answer):
    code, out, err = kresnet(*arguments)
    assert (code, out) == (2, "") and err[-1].endswith(answer)


def test_only_an_option_that_the_command_has_is_named(kresnet):
    code, _, err = kresnet("runs", "--lr", "0.1")
    assert code == 2 and "--learning-rate" not in err[-1]


def test_the_tables_name_what_there_is(kresnet):
    helps = "".join(kresnet(name, "--help")[1] for name in ("train", "export", "study")) + "--models"
    assert all(typed.replace(",", "").split()[0] in helps for answers in OPTIONS.values() for typed in answers)
    assert all(typed.split()[0] in TABLE for typed in COMMANDS.values())
    assert not set(COMMANDS) & set(TABLE)
