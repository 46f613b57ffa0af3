"""Start from pretrained weights where nobody says from which, and train as long as weights and images ask for."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from keras_resnet.config.image_size import height_and_width
from keras_resnet.config.provenance import current_request
from keras_resnet.config.spec import NetworkSpec, Spec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.config.training import AUTO_WEIGHTS, PRETRAINED_PIXELS
from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.data.sources.tfds import BUNDLED
from keras_resnet.errors import UsageError, WeightsError
from keras_resnet.models.backbone import get_family
from keras_resnet.models.names import model_name
from keras_resnet.pretrained import hub
from keras_resnet.pretrained.load import fetch_weights
from keras_resnet.progress import Log, show_activity
from keras_resnet.runtime.plurals import counted
from keras_resnet.training.distribute import Devices
from keras_resnet.training.initialize import merge_networks

# A fine-tuning takes small steps: this share of the rate of a training from random weights. Its epochs by the number of
# training images: below the first number, below the second, and from there on.
FINE_TUNING_SHARE = 0.2
FEW, SOME = 1000, 5000
EPOCHS = (30, 20, 10)
# From random weights: steps that few images need at least, and the most epochs taken for them.
MIN_STEPS, MAX_EPOCHS = 1000, 100


def choose_start(spec: Spec, data: DatasetSplits, devices: Devices, log: Log) -> Spec:
    """Return `spec` with its initial weights decided where they were left open: pretrained ones of its network, if its
    images are large enough and such weights are in the cache or can be downloaded; else random ones.

    The choice is logged with its reason. Where the weights are pretrained, what nobody asked for is set for
    fine-tuning.
    """
    if spec.start.weights == AUTO_WEIGHTS:
        spec = replace(spec, start=replace(spec.start, weights=None))
        found = ""
        if devices.is_chief:
            with show_activity("looking for pretrained weights"):
                found = _find_weights(spec, min(height_and_width(data.image_size)), log)
        if found := devices.broadcast(found):
            spec = _start_from(spec, found)
    if spec.start.weights and hub.is_hub_name(spec.start.weights):
        return _set_for_fine_tuning(spec, data.splits["train"].count, log)
    return spec


def _find_weights(spec: Spec, shorter: int, log: Log) -> str:
    """Return the name of pretrained weights of the network of `spec` that are in the cache by now, "" where there are
    none; which, and why, is logged. shorter: side of the images, in pixels."""
    if shorter < PRETRAINED_PIXELS:
        log(f"weights: random (images of {shorter} pixels; those of {PRETRAINED_PIXELS} start from pretrained ones)")
        return ""
    network, _ = get_family(spec.network.family).resolve(spec.network, shorter)
    name = model_name(network)
    origins = sorted(hub.list_weights(name), key=hub.is_cached, reverse=True)
    for origin in origins:
        was_cached = hub.is_cached(origin)
        try:
            _start_from(spec, origin)
        except UsageError:  # of a network with other settings than were asked for
            continue
        except WeightsError as error:
            log(
                f"weights: random ({error}). Pretrained ones need fewer images; to start from them,"
                f" {hub.describe_copy(origin)}, and train again"
            )
            return ""
        how = "in the cache" if was_cached else "downloaded"
        log(
            f"weights: {origin} ({how}; images of {PRETRAINED_PIXELS} pixels and more start from pretrained ones;"
            " --weights none starts from random ones)"
        )
        return origin
    with_settings = " with these settings" if origins else ""
    log(f"weights: random (there are no pretrained ones of {name}{with_settings})")
    return ""


def _start_from(spec: Spec, origin: str) -> Spec:
    """Return `spec` with the weights `origin`, their network and normalization. Raises WeightsError where they cannot
    be had, and UsageError where the spec asks for another network."""
    weights = fetch_weights(origin)
    network = merge_networks(spec.network, weights.network or spec.network, _asked_settings(spec.network), origin)
    normalization = weights.normalization or spec.data.normalization
    start, data = replace(spec.start, weights=origin), replace(spec.data, normalization=normalization)
    return replace(spec, start=start, network=network, data=data)


def _asked_settings(network: NetworkSpec) -> set[str]:
    """Return the keys of a network's settings that were asked for, or are not the default."""
    defaults = asdict(NetworkSpec())
    changed = {f"network.{name}" for name, value in asdict(network).items() if value != defaults[name]}
    return changed | {key for key in current_request() or () if key.startswith("network.")}


def _set_for_fine_tuning(spec: Spec, images: int, log: Log) -> Spec:
    """Return `spec` with rate, epochs and batch norms for a classifier that trains on from pretrained weights, but for
    those that were asked for; a recipe and a whole spec have their own."""
    asked = current_request()
    if asked is None or "recipe" in asked or TASK_RULES[spec.task].has_boxes:
        return spec
    epochs = EPOCHS[0] if images < FEW else EPOCHS[1] if images < SOME else EPOCHS[2]
    rate = round(FINE_TUNING_SHARE * spec.optimizer.learning_rate, 9)
    chosen: dict[str, Any] = {"optimizer.learning_rate": rate, "training.epochs": epochs}
    if images < FEW:
        chosen["start.freeze_bn"] = True
    taken = {key: value for key, value in chosen.items() if key not in asked}
    if "training.steps" in asked or spec.training.epochs == epochs:
        taken.pop("training.epochs", None)
    if not taken:
        return spec
    words = {
        "optimizer.learning_rate": f"learning rate {rate:g}",
        "training.epochs": counted(epochs, "epoch"),
        "start.freeze_bn": "batch norms keep their statistics (--set start.freeze_bn=false trains them)",
    }
    log(
        f"fine-tuning: {', '.join(words[key] for key in taken)} (for pretrained weights and"
        f" {counted(images, 'training image', ',')}; options override it)"
    )
    return spec.override_all(taken)


def lengthen_random_start(spec: Spec, per_epoch: int, log: Log) -> Spec:
    """Return `spec` with more epochs where a classifier that starts from random weights would end after a few hundred
    steps, which leave it near chance; epochs that were asked for, recipes and the bundled data keep theirs.

    per_epoch: steps of an epoch.
    """
    asked, start, training = current_request(), spec.start, spec.training
    decided = asked is None or {"recipe", "training.epochs", "training.steps"} & set(asked)
    if decided or TASK_RULES[spec.task].has_boxes or spec.data.source in BUNDLED:
        return spec
    epochs = min(MAX_EPOCHS, -(-MIN_STEPS // per_epoch))
    if start.weights or start.deepen or start.narrow or epochs <= training.epochs:
        return spec
    log(
        f"epochs: {epochs} ({counted(per_epoch, 'step')} per epoch; random weights need about {MIN_STEPS:,} steps;"
        " --epochs overrides it)"
    )
    return spec.override("training.epochs", epochs)
