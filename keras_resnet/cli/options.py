"""What commands share; the options of `kresnet train`, with the keys of the spec that they set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from keras_resnet.config.chosen import Choices
from keras_resnet.config.families import FAMILIES
from keras_resnet.config.policies import POLICIES
from keras_resnet.config.recipes import RECIPES, recipe
from keras_resnet.config.spec import NetworkSpec, Spec
from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.models.names import NAMED_SETTINGS, parse_model_name
from keras_resnet.run import Run, runs_home
from keras_resnet.runtime.plurals import counted

FLAG, SWITCH = "flag", "switch"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
set_option = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of the spec.")
runs_option = click.option(
    "--runs", "runs", metavar="DIR", help="Where runs live [default: KRESNET_RUNS, else saved_models/]."
)


class Commands(click.Group):
    """A group that suggests the nearest command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def examples(*commands: str) -> str:
    """The end of a command's help: `commands` as typed, a line each."""
    return "\n".join(("\b", "Examples:" if len(commands) > 1 else "Example:", *(f"  {each}" for each in commands)))


class Option(NamedTuple):
    """flag: as typed. key: what it sets in the spec. kind: a click type, FLAG, or SWITCH for a flag and
    its opposite, --no-…. value: what a FLAG sets."""

    flag: str
    key: str
    kind: Any
    help: str
    value: Any = True


OPTIONS = (
    Option("--task", "task", str, "classify, localize (the main object), detect or segment [default: classify]."),
    Option("--depth", "network.depth", int, "Layers: 10 … 200 (ImageNet), or 6n+2 for a CIFAR network [default: 50]."),
    Option("--preactivation", "network.preactivation", FLAG, "He et al. 2016 (v2): any 9n+2 is a CIFAR network."),
    Option("--block", "network.block", str, "Units of a CIFAR network: basic or bottleneck [default: by the network]."),
    Option("--strides", "network.strides", str, "Which convolution of a bottleneck strides: 3x3, 1x1 [default: 3x3]."),
    Option("--stem", "network.stem", str, "imagenet, deep, cifar, or auto (by the image size) [default: auto]."),
    Option("--shortcut", "network.shortcut", str, "He et al.'s A, B or C, or D of ResNet-D [default: by the network]."),
    Option("--resnet-d", "network.resnet_d", FLAG, "The deep stem and mean-pooled shortcuts of ResNet-D."),
    Option("--cardinality", "network.cardinality", int, "Groups of a bottleneck's 3×3 convolution [default: 1]."),
    Option("--base-width", "network.base_width", int, "Filters of a group per 64 of the stage [default: 64]."),
    Option("--widen", "network.widen", float, "Factor of a wide ResNet [default: 1]."),
    Option("--width", "network.width", float, "Factor of all filters [default: 1]."),
    Option("--squeeze-excitation", "network.squeeze_excitation", FLAG, "Reweight channels in each unit."),
    Option("--drop-path", "network.drop_path", float, "Stochastic depth: chance for the last unit [default: 0]."),
    Option("--no-zero-gamma", "network.zero_gamma", FLAG, "Do not start residual units as identities.", False),
    Option("--weights", "start.weights", str, "Start from a file, a run, keras:…, torchvision:… or timm:… weights."),
    Option("--deepen", "start.deepen", str, "Start from the units of this run; --depth says how deep."),
    Option("--freeze", "start.freeze", str, "Parts that stay as they are: stem,stage1,… or body."),
    Option(
        "--backbone-lr-scale",
        "start.backbone_lr_scale",
        float,
        "Factor of the rate for all but neck and heads [default: 1].",
    ),
    Option("--freeze-bn", "start.freeze_bn", FLAG, "Batch norms keep statistics, scales and offsets."),
    Option("--head-convs", "head.convs", int, "Convolutions of each tower of a detector [default: 2]."),
    Option("--masks", "head.masks", str, "condinst or yolact: how a segmenter makes masks [default: condinst]."),
    Option("--data", "data.source", str, "digits, shapes, a TFDS data set, or a folder [default: by task]."),
    Option("--data-dir", "data.data_dir", str, "Where TFDS data sets are prepared."),
    Option("--download", "data.download", FLAG, "Download a TFDS data set that is not there yet."),
    Option("--image-size", "data.image_size", int, "Side of the square images in pixels [default: by the data]."),
    Option("--val-fraction", "data.val_fraction", float, "Share held out without a validation split [default: 0.2]."),
    Option("--max-unreadable", "data.max_unreadable", float, "Share of unreadable images allowed [default: 0.01]."),
    Option("--crop", "augment.crop", str, "How training images are cut: pad or resized [default: pad]."),
    Option("--flip", "augment.flip", SWITCH, "Mirror training images, or not [default: by the data]."),
    Option("--auto-augment", "augment.auto_augment", str, f"{', '.join(['none', *POLICIES])} [default: none]."),
    Option("--mixup", "augment.mixup", float, "Alpha of MixUp [default: 0, off]."),
    Option("--cutmix", "augment.cutmix", float, "Alpha of CutMix [default: 0, off]."),
    Option("--scales", "augment.scales", str, "How much smaller and larger objects may look: 0.5,2 [default: none]."),
    Option("--color-jitter", "augment.color_jitter", float, "Share by which colours of images with objects change."),
    Option("--mosaic", "augment.mosaic", float, "Chance that an image with objects is four of them [default: 0]."),
    Option("--copy-paste", "augment.copy_paste", float, "Chance that another image's objects are put into it."),
    Option("--random-erase", "augment.random_erase", float, "Chance of erasing a part of an image [default: 0]."),
    Option(
        "--train-sizes", "augment.train_sizes", str, "Sides of training images, in equal shares of the epochs: 128,160."
    ),
    Option("--teacher", "distill.teacher", str, "A finished run to learn from (distillation)."),
    Option("--epochs", "training.epochs", int, "Passes over the training images [default: 15]."),
    Option("--steps", "training.steps", int, "Length in steps; decides the epochs."),
    Option("--stop-after", "training.stop_after", int, "End after so many steps, to try a long training."),
    Option("--batch-size", "training.batch_size", int, "Images per step, over all devices [default: by the data]."),
    Option(
        "--accumulate-steps",
        "training.accumulate_steps",
        int,
        "Parts of a batch computed one after another [default: 1].",
    ),
    Option("--optimizer", "optimizer.name", str, "sgd, adamw, lamb or muon [default: sgd]."),
    Option("--learning-rate", "optimizer.learning_rate", float, "Peak learning rate [default: 0.05]."),
    Option("--weight-decay", "optimizer.weight_decay", float, "Decay of kernels [default: 0.0005]."),
    Option("--reference-batch", "optimizer.reference_batch", int, "Scale the rate by the batch size over this one."),
    Option("--clip-grad-norm", "optimizer.clip_grad_norm", float, "Largest norm of the whole gradient."),
    Option("--loss", "training.loss", str, "cross_entropy or bce [default: cross_entropy]."),
    Option("--ema", "training.ema", float, "Decay of the weights' moving average, which is then kept."),
    Option("--patience", "training.patience", int, "End after so many epochs without a better validation loss."),
    Option("--label-smoothing", "optimizer.label_smoothing", float, "Share spread over all classes [default: 0.1]."),
    Option("--precision", "training.precision", str, "auto, float32, mixed_bfloat16, mixed_float16 [default: auto]."),
    Option("--devices", "training.devices", str, "auto, N, cpu:N, gpu:0,1 or tpu [default: auto]."),
    Option("--deterministic", "training.deterministic", FLAG, "The same bits each time, at some cost in speed."),
    Option("--checkpoint-every", "training.checkpoint_every", int, "Steps between checkpoints [default: by the data]."),
    Option("--histograms", "log.histograms", FLAG, "Record histograms of all weights for TensorBoard."),
    Option("--profile", "log.profile", FLAG, "Record a profile of steps 10 to 20 for TensorBoard."),
    Option("--track", "log.track", str, "Also log to mlflow, wandb or both, where they are installed."),
    Option("--seed", "training.seed", int, "Seed of weights, order and augmentation [default: 0]."),
)
_KEYS = {option.flag.removeprefix("--").replace("-", "_"): option for option in OPTIONS}


def train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds every option of a training to a click command."""
    for option in reversed(OPTIONS):
        command = _added(command, option)
    command = set_option(command)
    quick = "The recipe's quick form: a minute or two on the bundled digits."
    command = click.option("--quick", is_flag=True, default=None, help=quick)(command)
    command = click.option("--recipe", help=f"A published way to train: {', '.join(RECIPES)}.")(command)
    return click.option("--model", help="A network by name: resnet50, plain34, vgg19, … (see kresnet models).")(command)


def _added(command: Callable[..., Any], option: Option) -> Callable[..., Any]:
    if option.kind is FLAG:
        return click.option(option.flag, is_flag=True, default=None, help=option.help)(command)
    if option.kind is SWITCH:
        both = f"{option.flag}/--no-{option.flag.removeprefix('--')}"
        return click.option(both, is_flag=True, default=None, help=option.help)(command)
    return click.option(option.flag, type=option.kind, help=option.help)(command)


# What may differ in a training that goes on from another run's weights.
_COMPRESSION = (
    *("epochs", "steps", "stop_after", "batch_size", "accumulate_steps", "optimizer", "learning_rate", "weight_decay"),
    *("clip_grad_norm", "ema", "patience", "freeze_bn", "teacher", "precision", "devices", "deterministic"),
    *("checkpoint_every", "histograms", "profile", "track", "seed"),
)


def compress_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a training that goes on from a run to a click command."""
    for key in reversed(_COMPRESSION):
        command = _added(command, _KEYS[key])
    return set_option(command)


def run_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Runs whose names begin so, for a shell that completes them."""
    return [run.name for run in Run.all(runs_home(context.params.get("runs"))) if run.name.startswith(begun)]


def overridden(spec: Spec, options: dict[str, Any], home: Path) -> Spec:
    """`spec` with what the given `options` set. Raises UsageError for unknown keys."""
    for key, value in _chosen(options).items():
        spec = spec.override(key, value)
    return _with_teacher(spec, home)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Of a command's options those that were given, without the unset ones."""
    return {key: value for key, value in options.items() if value is not None and value != ()}


def spec_of(options: dict[str, Any], home: Path, log: Callable[[str], None]) -> Spec:
    """The spec that the given `options` describe. Raises UsageError for contradictions and unknown keys."""
    chosen = _chosen(options)
    spec = _base(options, chosen, home, log)
    for key, value in chosen.items():
        spec = spec.override(key, value)
    asked = set(chosen) | ({f"network.{field}" for field in NAMED_SETTINGS} if "model" in options else set())
    if spec.start.weights:
        from keras_resnet.training.initialize import config_from_weights

        spec = config_from_weights(spec, asked, home, log)
    return _with_teacher(spec, home)


def choices_of(options: dict[str, Any], home: Path) -> Choices:
    """Who chose what `spec_of` the same makes of the given `options`."""
    by = {}
    if "net" in options:
        by["network"] = f"of --net {options['net']}"
    if origin := options.get("weights"):
        from keras_resnet.training.initialize import origin_in_words

        words = origin_in_words(origin, home)
        by["network"] = f"of {words}"
        if "recipe" not in options:  # whose image size stays
            by["data.image_size"] = f"that of {words}; --image-size changes it"
    return Choices(_otherwise(options), by | asked(options))


def asked(options: dict[str, Any]) -> dict[str, str]:
    """The keys of the spec that the given `options` set → by which of them, in words."""
    flags = {_KEYS[key].key: _flag(_KEYS[key], value) for key, value in options.items() if key in _KEYS}
    flags |= {(key := setting(text)[0]): f"--set {key}" for text in options.get("settings", ())}
    return {key: f"asked by {flag}" for key, flag in flags.items()}


def _flag(option: Option, value: Any) -> str:
    """The option as it was typed."""
    return option.flag.replace("--", "--no-") if option.kind is SWITCH and not value else option.flag


def _otherwise(options: dict[str, Any]) -> str:
    """Who chose what no option says."""
    if "deepen" in options:
        return f"of run {options['deepen']}"
    if "recipe" in options:
        return f"of recipe {options['recipe']}"
    return f"the default to {options.get('task', 'classify')}"


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """The keys of the spec that `options` set, and to what; --set goes last."""
    chosen = {_KEYS[key].key: _value(_KEYS[key], value) for key, value in options.items() if key in _KEYS}
    return chosen | dict(setting(text) for text in options.get("settings", ()))


def _with_teacher(spec: Spec, home: Path) -> Spec:
    """The teacher's name made a path. Raises RunError if there is no such finished run."""
    if spec.distill.teacher is None:
        return spec
    teacher = Run.find(home, spec.distill.teacher)
    teacher.require_finished()
    return spec.override("distill.teacher", str(teacher.folder.resolve()))


def _base(options: dict[str, Any], chosen: dict[str, Any], home: Path, log: Callable[[str], None]) -> Spec:
    """What the other options change: a recipe, a shallower run's spec, or the default, and the named network."""
    if run := chosen.pop("start.deepen", None):
        if "recipe" in options or "model" in options or "start.weights" in chosen:
            raise UsageError(
                "--deepen takes network and training from its run; it takes no --recipe, --model, --weights"
            )
        if "network.depth" not in chosen:
            raise UsageError("--deepen needs --depth: how deep the new network is")
        from keras_resnet.training.initialize import adopt_shallow

        return adopt_shallow(home, run, log)
    if "quick" in options and "recipe" not in options:
        raise UsageError("--quick is a form of a recipe: it needs --recipe")
    spec = _begun(options, chosen.pop("task", None), log)
    if "model" not in options:
        return spec
    if "network.depth" in chosen or "network.family" in chosen:
        raise UsageError("--model names the whole network; it takes no --depth")
    return replace(spec, network=merged(parse_model_name(options["model"]), spec.network))


def _begun(options: dict[str, Any], task: str | None, log: Callable[[str], None]) -> Spec:
    """The recipe's spec, or what is usual for the task."""
    if "recipe" not in options:
        from keras_resnet.tasks import default_config  # imports NumPy, which --help does without

        spec = default_config(task or Spec().task)
        if spec != Spec():
            log(
                f"training: {spec.optimizer.name} at {spec.optimizer.learning_rate:g},"
                f" {counted(spec.training.epochs, 'epoch')} in"
                f" batches of {spec.training.batch_size}, unless asked otherwise (usual for {spec.task})"
            )
        return spec
    spec = recipe(options["recipe"], quick="quick" in options)
    if task not in (None, spec.task):
        raise UsageError(f"recipe {options['recipe']} is for --task {spec.task}. Received: --task {task}")
    return spec


def merged(network: NetworkSpec, recipes: NetworkSpec) -> NetworkSpec:
    """`network` with the recipe's way to start it, where its family has it."""
    if "zero_gamma" not in FAMILIES[network.family].settings:
        return network
    return replace(network, zero_gamma=recipes.zero_gamma)


def _value(option: Option, value: Any) -> Any:
    if option.kind is FLAG:
        return option.value
    if option.key in ("start.freeze", "log.track"):
        return tuple(part.strip() for part in value.split(","))
    if option.key == "augment.scales":
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            raise UsageError(f"{option.flag} must be two numbers with a comma between. Received: {value!r}") from None
    if option.key == "augment.train_sizes":
        parts = [part.strip() for part in value.split(",")]
        if not all(part.isdigit() for part in parts):
            raise UsageError(f"{option.flag} must be whole numbers with commas between. Received: {value!r}")
        return tuple(int(part) for part in parts)
    return value


def setting(text: str) -> tuple[str, Any]:
    """ "optimizer.momentum=0.8" → ("optimizer.momentum", 0.8); what is not JSON is taken as text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set must be KEY=VALUE, as in optimizer.momentum=0.8. Received: {text}")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    return key, tuple(parsed) if isinstance(parsed, list) else parsed
