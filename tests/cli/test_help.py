"""What the command line says of itself: examples, the page of all commands, the nearest name for a wrong one."""

import re
import runpy
from pathlib import Path

import click
import pytest

from keras_resnet.cli.command import list_all
from keras_resnet.cli.main import COMMANDS as TABLE
from keras_resnet.cli.main import cli
from keras_resnet.config.option_groups import DEVICE, EXPLANATION, FILES, GROUPS, QUANTIZATION, VERDICT, VIDEO

ROOT = Path(__file__).parents[2]
EXPORT_GROUPS = (FILES, QUANTIZATION, VERDICT, DEVICE)


def commands_below(command, *path):
    """(words, command) of `command` and of all below it."""
    yield path, command
    for name, child in list_all(command, click.Context(command)):
        yield from commands_below(child, *path, name)


COMMANDS = dict(commands_below(cli, "kresnet"))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_help_begins_with_examples(kresnet, path):
    code, out, _ = kresnet(*path[1:], "--help")
    before, _, after = out.partition("  Example")
    title, *examples = f"  Example{after}".partition("\n\n")[0].splitlines()
    assert before.count("\n\n") <= 4 and not re.search("^[A-Z][a-z ]+:$", before, re.MULTILINE)
    assert code == 0 and title in ("  Example:", "  Examples:") and 1 <= len(examples) <= 3
    assert all(re.match(rf"    {' '.join(path)}\b", line) for line in examples)
    assert all(len(line) <= 80 for line in out.splitlines())
    assert not re.search(r"[\w-]-$", out, re.MULTILINE), "an option is folded at its hyphen"
    assert not re.search(r"\b(INTEGER|FLOAT|RANGE)\b|x>=|\.\s+\[default", out)


@pytest.mark.parametrize("name", TABLE)
def test_the_line_of_a_command_is_the_first_sentence_of_its_help(name):
    words = COMMANDS["kresnet", name].help.partition("\n\n")[0]
    assert TABLE[name].help == " ".join(words.split())


def test_each_option_is_described_by_a_sentence():
    for command in COMMANDS.values():
        for option in command.get_params(click.Context(command)):
            if isinstance(option, click.Option):
                assert re.fullmatch(r"[A-Z].*[^.,;: ]\.", option.help), f"{option.opts}: {option.help}"


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("help", "--help"),
        ("help help", "--help"),
        ("help --help", "--help"),
        ("help train", "train --help"),
        ("help train --help-all", "train --help-all"),
        ("help study identity", "study identity --help"),
        ("study help identity", "study identity --help"),
        ("study help", "study --help"),
    ],
)
def test_help_is_a_command_too(kresnet, typed, same):
    code, out, err = kresnet(*typed.split())
    assert (code, out, err) == kresnet(*same.split()) and code == 0 and out.startswith("Usage: kresnet ")


def test_a_folder_that_is_not_there_names_the_nearest(kresnet, tmp_path):
    (tmp_path / "photos").mkdir()
    code, _, err = kresnet("train", "--data", tmp_path / "photo")
    assert code == 1 and err[-1].endswith("photo: no such file or folder. Did you mean 'photos'?")
    code, _, err = kresnet("train", "--data", tmp_path / "nowhere" / "photo")
    assert code == 1 and err[-1].endswith("photo: no such file or folder")


@pytest.mark.parametrize("command", ["train", "compress"])
def test_help_describes_the_common_ones_of_many_options_and_names_the_others(kresnet, command):
    code, short, _ = kresnet(command, "--help")
    assert code == 0 and len(short.splitlines()) <= 75
    described, _, named = short.partition(f"\nMore options, described by kresnet {command} --help-all:\n")
    assert "  --epochs N " in described and "  --json " in described and "  --patience N " not in described
    code, whole, _ = kresnet(command, "--help-all")
    assert code == 0 and "More options" not in whole
    for option in COMMANDS["kresnet", command].params:
        if isinstance(option, click.Option):
            assert f"  {option.opts[0]} " in whole.replace("\n", " \n")
            assert f"  {option.opts[0]} " in described or re.search(rf"{option.opts[0]}(,|\n)", named)
    assert kresnet(command, "RUN", "--help-al")[2][-1].endswith("Did you mean '--help-all'?")


def test_defaults_of_a_compression_are_those_of_its_run():
    words = {option.opts[0]: option.help for option in COMMANDS["kresnet", "compress"].params}
    assert words["--epochs"].endswith("[default: half of those of the run; a fifth for shared weights and 8 bits].")
    assert words["--batch-size"].endswith("[default: as in the run].") and "0.05" not in words["--learning-rate"]
    of_train = {option.opts[0]: option.help for option in COMMANDS["kresnet", "train"].params}
    assert of_train["--batch-size"].endswith("[default: chosen from the data].")


def test_options_of_a_training_stand_in_groups(kresnet):
    _, out, _ = kresnet("train", "--help-all")
    sections = {section.partition(":\n")[0]: section for section in out.split("\n\n")}
    others = (*EXPORT_GROUPS, EXPLANATION, VIDEO)
    assert [title for title in sections if title in GROUPS] == [each for each in GROUPS if each not in others]
    common = re.findall(r"^  (--[\w-]+)", sections["Common"], re.MULTILINE)
    assert common[:4] == ["--data", "--epochs", "--weights", "--depth"] and len(common) <= 15
    for title, option in (
        ("Common", "--learning-rate"),
        ("Data", "--val-fraction"),
        ("Model", "--shortcut"),
        ("Training", "--patience"),
        ("Optimizer", "--weight-decay"),
        ("Augmentation", "--cutmix"),
        ("Precision and devices", "--deterministic"),
        ("Logging", "--track"),
        ("Other", "--json"),
    ):
        assert f"  {option} " in sections[title]


def test_options_of_an_export_stand_in_groups(kresnet):
    _, out, _ = kresnet("export", "--help")
    described, _, named = out.partition("\nMore options, described by kresnet export --help-all:\n")
    titles = re.findall(r"^([A-Z][\w ]+):$", described, re.MULTILINE)
    assert titles == [*EXPORT_GROUPS, "Other"] and "INTEGER RANGE" not in out
    of_devices = described.partition(f"\n{DEVICE}:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (--[\w-]+)", of_devices, re.MULTILINE) == ["--on"]
    assert re.match(rf"  {DEVICE}  --accelerator, --runtime,", named) and "--on" not in named
    titles = re.findall(r"^([A-Z][\w ]+):$", kresnet("export", "--help-all")[1], re.MULTILINE)
    assert titles == [*EXPORT_GROUPS, "Other"]


def test_options_of_predictions_stand_in_groups_and_choices_look_alike(kresnet):
    out = kresnet("predict", "--help")[1]
    assert re.findall(r"^([A-Z][\w ]+):$", out, re.MULTILINE) == ["Common", EXPLANATION, VIDEO, "Other"]
    assert "  --runtime NAME " in out and "  --runtime NAME " in kresnet("verify", "--help")[1]
    choices = {line for path in COMMANDS for line in kresnet(*path[1:], "--help")[1].splitlines() if "[" in line}
    choices = {line for line in choices if re.match(r" +--[\w-]+ \[\S+\|", line)}
    assert [line.split()[:2] for line in choices] == [["--qat", "[native|tfmot]"]], "which may stand alone"


def test_exit_codes_stand_in_the_help(kresnet):
    _, out, _ = kresnet("--help")
    words = set(re.findall(r"\d+", out.partition("Exit codes")[2]))
    assert {"0", "1", "2", "128", "130", "143", "129"} <= words


def test_the_page_of_commands_is_as_written():
    """Write it anew with scripts/commands-page."""
    script = runpy.run_path(str(ROOT / "scripts" / "commands-page"))
    page = script["PAGE"].read_text()
    assert page == script["page"]()
    for path, command in COMMANDS.items():
        section = page.partition(f"\n## {' '.join(path)}\n")[2].partition("\n## ")[0].replace("`", "")
        context = click.Context(command)
        for option in command.get_params(context):
            if isinstance(option, click.Option) and not option.opts[-1].startswith("--help"):
                assert option.opts[-1] in section and (option.help or "").removesuffix(".") in section
    known = {path[1] for path in COMMANDS if len(path) > 1}
    assert set(script["MORE"]) <= known
    assert all((ROOT / "docs" / name).is_file() for names in script["MORE"].values() for name in names)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "'train'"),
        (["study", "degradaton"], "'degradation'"),
        (["train", "--dpeth", "50"], "'--depth'"),
        (["train", "--data", "cifar01"], "'cifar10'"),
        (["train", "--data", "digitz"], "'digits'"),
        (["train", "--data", "shape"], "'shapes'"),
        (["train", "--recipe", "timm-a22"], "'timm-a2'"),
        (["study", "degradation", "--recipe", "he2015-cifra"], "'he2015-cifar'"),
        (["study", "degradation", "--models", "plain20,rsenet20"], "'resnet20'"),
        (["train", "--model", "resnt50"], "'resnet50'"),
        (["train", "--task", "detekt"], "'detect'"),
        (["train", "--optimizer", "adamv"], "'adamw'"),
        (["train", "--set", "optimizer.momentun=0.8"], "'optimizer.momentum'"),
        (["train", "--weights", "torchvision:resnet5"], "'resnet50'"),
        (["train", "--freeze", "stag1"], "'stage1'"),
        (["train", "--teacher", "RUNN"], "RUN"),
        (["evaluate", "RUN", "--split", "validatoin"], "'validation'"),
        (["evaluate", "RUNN"], "RUN"),
        (["report", "RUNN"], "RUN"),
        (["export", "RUN", "--tflite", "--quantize", "int"], "'int8'"),
        (["export", "RUN", "--tflite", "--quantize", "int8", "--io", "unit8"], "'uint8'"),
        (["export", "RUN", "--tflite", "--quantize", "int8", "--engine", "litert"], "'litert-quantizer'"),
        (["export", "RUN", "--tflite", "--quantize", "int8", "--target", "ethos-u55-182"], "'ethos-u55-128'"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_the_nearest_name(kresnet, trained, runs, arguments, meant):
    where = [] if arguments[0] == "trian" else ["--runs", runs]
    words = [each.replace("RUN", trained.name) for each in arguments]
    code, out, err = kresnet(*words, *where)
    assert code in (1, 2) and out == ""
    assert "Did you mean" in err[-1] and meant.replace("RUN", trained.name) in err[-1].partition("Did you mean")[2]
