"""The spec that the options of `kresnet train` and `kresnet compress` describe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_resnet.config.dependencies import require_effect
from keras_resnet.config.families import FAMILIES
from keras_resnet.config.given_options import (
    Options,
    name_option,
    name_options,
    name_typed,
    read_settings,
    require_own_values,
)
from keras_resnet.config.provenance import Provenance
from keras_resnet.config.recipes import get_recipe
from keras_resnet.config.spec import NetworkSpec, Spec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.config.training import AUTO_WEIGHTS, NO_WEIGHTS
from keras_resnet.data.sources.tfds import BUNDLED
from keras_resnet.errors import UsageError
from keras_resnet.models.build import require_known
from keras_resnet.models.names import NAMED_SETTINGS, model_name, parse_model_name
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.command import BASES
from keras_resnet.runtime.plurals import counted

# The bundled images of digits, their sides in pixels, and the depth of a network that they need.
DIGITS, DIGITS_DEPTH = {"digits": 8, "digit_pairs": 24}, 20
# What --weights may say instead of naming any.
CHOICES = (AUTO_WEIGHTS, NO_WEIGHTS)


def build_spec(options: Options, home: Path, log: Log) -> Spec:
    """Return the spec that the given `options` of a training describe.

    Raises UsageError for options that contradict each other, unknown keys and values that are not allowed.
    """
    require_own_values(options)
    values = read_settings(options)
    weights = _take_choice_of_weights(options, values)
    options = {name: value for name, value in options.items() if name != "weights" or value not in CHOICES}
    with name_options(options):
        spec = _base(options, values, home, log).override_all(values)
        if not _names_network(options, values):
            spec = _choose_network(spec, log)
    asked = set(values) | ({f"network.{name}" for name in NAMED_SETTINGS} if "model" in options else set())
    if spec.start.weights:
        from keras_resnet.training.initialize import config_from_weights

        with name_option(options, "weights"):
            spec = config_from_weights(spec, asked, home, log)
    elif weights == AUTO_WEIGHTS and not spec.start.deepen and spec.data.source.partition("/")[0] not in BUNDLED:
        spec = replace(spec, start=replace(spec.start, weights=AUTO_WEIGHTS))
    with name_option(options, "model"), name_option(options, "depth"):
        require_known(spec.network)
    with name_option(options, "teacher"):
        spec = _with_teacher(spec, home)
    with name_options(options):
        require_effect(spec, read_settings(options))
    return spec


def _take_choice_of_weights(options: Options, values: dict[str, Any]) -> str:
    """Return AUTO_WEIGHTS where nobody says which weights a training starts from, and no recipe does; else NO_WEIGHTS.
    These words are taken out of `values`."""
    asked = values.get("start.weights", NO_WEIGHTS if "recipe" in options else AUTO_WEIGHTS)
    if asked not in CHOICES:
        return NO_WEIGHTS
    values.pop("start.weights", None)
    return str(asked)


def override_spec(spec: Spec, options: Options, home: Path) -> Spec:
    """Return `spec` with what the given `options` set. Raises UsageError as `build_spec` does."""
    with name_options(options):
        spec = spec.override_all(read_settings(options))
        require_effect(spec, read_settings(options))
    return _with_teacher(spec, home)


def trace_spec(options: Options, home: Path) -> Provenance:
    """Return where the values of the spec come from that `build_spec` makes of the same `options`."""
    by_key = {}
    if "model" in options:
        by_key["network"] = f"of --model {options['model']}"
    if (origin := options.get("weights")) and origin not in CHOICES:
        from keras_resnet.training.initialize import describe_weights_source

        words = describe_weights_source(origin, home)
        by_key["network"] = f"of {words}"
        if "recipe" not in options:  # whose image size stays
            by_key["data.image_size"] = f"that of {words}; --image-size changes it"
        by_key["data.fit"] = by_key["data.channels"] = f"that of {words}"
    default = f"the default to {options.get('task', 'classify')}"
    if "deepen" in options:
        default = f"of run {options['deepen']}"
    elif "recipe" in options:
        default = f"of recipe {options['recipe']}"
    request = {name: options[name] for name in BASES if name in options} | read_settings(options)
    return Provenance(default, by_key | trace_options(options), request)


def trace_options(options: Options) -> dict[str, str]:
    """Return by key of the spec which of the given `options` sets it, in words."""
    return {key: f"set by {typed}" for key, typed in name_typed(options).items()}


def _with_teacher(spec: Spec, home: Path) -> Spec:
    """Make the teacher's name a path. Raises RunError if there is no such finished run."""
    if spec.distill.teacher is None:
        return spec
    teacher = Run.find(home, spec.distill.teacher)
    teacher.require_finished()
    return spec.override("distill.teacher", str(teacher.folder.resolve()))


def _base(options: Options, values: dict[str, Any], home: Path, log: Log) -> Spec:
    """Return what the options change: a shallower run's spec, a recipe or the task's default, with the named network.

    Takes out of `values` what it has used.
    """
    if run := values.pop("start.deepen", None):
        if "recipe" in options or "model" in options or "start.weights" in values:
            raise UsageError(
                "--deepen takes network and training from its run; it takes no --recipe, --model, --weights"
            )
        if "network.depth" not in values:
            raise UsageError("--deepen needs --depth: how deep the new network is")
        from keras_resnet.training.initialize import config_from_shallow_run

        with name_option(options, "deepen"):
            return config_from_shallow_run(home, run, log)
    if "quick" in options and "recipe" not in options:
        raise UsageError("--quick is a form of a recipe: it needs --recipe")
    spec = _recipe_or_default(options, values, values.pop("task", None), log)
    if "model" not in options:
        return spec
    if "network.depth" in values or "network.family" in values:
        raise UsageError("--model names the whole network; it takes no --depth")
    with name_option(options, "model"):
        return replace(spec, network=_start_as(parse_model_name(options["model"]), spec.network))


def _names_network(options: Options, values: dict[str, Any]) -> bool:
    """Return whether anything that is asked for decides the network."""
    is_named = {"model", "recipe", "weights", "deepen"} & options.keys()
    return bool(is_named) or any(key == "start.weights" or key.startswith("network") for key in values)


def _choose_network(spec: Spec, log: Log) -> Spec:
    """Return `spec` with the default network, of the digits' size where these are trained on."""
    source = spec.data.source
    if source not in DIGITS or TASK_RULES[spec.task].has_boxes:
        log(f"network: {model_name(spec.network)} (the default; --depth or --model chooses another)")
        return spec
    network = replace(spec.network, depth=DIGITS_DEPTH)
    log(
        f"network: {model_name(network)} (the default for {source}, which have {DIGITS[source]} pixels a side;"
        " --depth 50 or --model chooses another)"
    )
    return replace(spec, network=network)


def _describe_defaults(spec: Spec, values: dict[str, Any]) -> str:
    """Describe the defaults of a task, in `spec`, that differ from those of others and that no option's `values`
    replace."""
    training = spec.training
    words = {
        "optimizer.name": spec.optimizer.name,
        "optimizer.learning_rate": f"learning rate {spec.optimizer.learning_rate:g}",
        "training.epochs": counted(training.epochs, "epoch"),
        "training.batch_size": f"batches of {training.batch_size}" if training.batch_size else "",
        "training.loss": f"loss {training.loss}" if training.loss != Spec().training.loss else "",
    }
    replaced = set(values) | ({"training.epochs"} if "training.steps" in values else set())
    return ", ".join(each for key, each in words.items() if each and key not in replaced)


def _recipe_or_default(options: Options, values: dict[str, Any], task: str | None, log: Log) -> Spec:
    if "recipe" not in options:
        from keras_resnet.tasks import default_config

        spec = default_config(task or Spec().task)
        if spec != Spec() and (words := _describe_defaults(spec, values)):
            log(f"training: {words} (the defaults of --task {spec.task})")
        return spec
    spec = get_recipe(options["recipe"], quick="quick" in options)
    if task not in (None, spec.task):
        raise UsageError(f"recipe {options['recipe']} is for --task {spec.task}. Received: --task {task}")
    return spec


def _start_as(network: NetworkSpec, of_recipe: NetworkSpec) -> NetworkSpec:
    """Return `network` with the recipe's initialization of residual units, where its family has them."""
    if "zero_gamma" not in FAMILIES[network.family].settings:
        return network
    return replace(network, zero_gamma=of_recipe.zero_gamma)
