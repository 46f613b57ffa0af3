"""Download pretrained weights by name: of keras.applications, torchvision, timm and anybody on the Hugging Face hub.

What was downloaded is kept where each library keeps it, checked against the published hash, and used
again without a network.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.connectivity import describe_unreachable, is_reachable
from keras_resnet.errors import UsageError, WeightsError, did_you_mean
from keras_resnet.models.names import parse_model_name
from keras_resnet.pretrained import hugging_face
from keras_resnet.pretrained.hub_repository import SOURCE, endpoint_host
from keras_resnet.pretrained.key_mapping import map_keys
from keras_resnet.pretrained.readers import read_weights
from keras_resnet.pretrained.weights import Weights

KERAS_APPLICATIONS = {
    "resnet50": ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels.h5"),
    "resnet101": ("ResNet101", "resnet101_weights_tf_dim_ordering_tf_kernels.h5"),
    "resnet152": ("ResNet152", "resnet152_weights_tf_dim_ordering_tf_kernels.h5"),
    "vgg16": ("VGG16", "vgg16_weights_tf_dim_ordering_tf_kernels.h5"),
    "vgg19": ("VGG19", "vgg19_weights_tf_dim_ordering_tf_kernels.h5"),
}
KERAS_HOST = "https://storage.googleapis.com"
TORCH_HOST = "https://download.pytorch.org"
# torchvision 0.29: the first eight digits of each file's SHA-256, for IMAGENET1K_V1 and, where there is one, V2.
TORCHVISION_HASHES = {
    "resnet18": ("f37072fd",),
    "resnet34": ("b627a593",),
    "resnet50": ("0676ba61", "11ad3fa6"),
    "resnet101": ("63fe2227", "cd907fc2"),
    "resnet152": ("394f9c45", "f82ba261"),
    "resnext50_32x4d": ("7cdf4587", "1a0047aa"),
    "resnext101_32x8d": ("8ba56ff5", "110c445d"),
    "resnext101_64x4d": ("173b62eb",),
    "wide_resnet50_2": ("95faca4d", "9ba9bcbe"),
    "wide_resnet101_2": ("32ee1156", "d733dc28"),
    "vgg11": ("8a719046",),
    "vgg13": ("19584684",),
    "vgg16": ("397923af",),
    "vgg19": ("dcbb9e9d",),
    "vgg11_bn": ("6002323d",),
    "vgg13_bn": ("abd245e5",),
    "vgg16_bn": ("6c64b313",),
    "vgg19_bn": ("c79401a0",),
}
# Shorter side after resizing, for 224 pixels cut out: the first recipe and the second (and 64x4d's only one).
TORCHVISION_RESIZE = (256, 232)


def is_hub_name(origin: str) -> bool:
    """Return whether `origin` names weights of a hub rather than a file."""
    return origin.partition(":")[0] in _FETCHERS and not Path(origin).exists()


def resolve_recipe(origin: str) -> str:
    """Return `origin` with a recipe: where none is named, torchvision's newest."""
    source, _, name = origin.partition(":")
    if source != "torchvision" or "." in name:
        return origin
    _require_known("torchvision", name, TORCHVISION_HASHES)
    return f"{origin}.v{len(TORCHVISION_HASHES[name])}"


def settle_origin(origin: str) -> tuple[str, str]:
    """Return `origin` with its recipe or its commit, so that it means the same weights later, and how that was chosen;
    the latter is "" where it was named.

    Raises UsageError for a name the source does not have, WeightsError where the hub cannot be reached.
    """
    if origin.partition(":")[0] == SOURCE:
        return hugging_face.resolve_revision(origin)
    exact = resolve_recipe(origin)
    return exact, "" if exact == origin else f"the newest of {origin}"


def fetch_from_hub(origin: str) -> Weights:
    """Return the weights called `origin`, downloaded unless they are there.

    Raises UsageError for a name the source does not have, WeightsError if it cannot be reached.
    """
    source, _, name = resolve_recipe(origin).partition(":")
    return _FETCHERS[source](name)


def list_weights(model: str) -> list[str]:
    """Return the weights of the network called `model` whose files are known, the best first."""
    recipes = range(len(TORCHVISION_HASHES.get(model, ())), 0, -1)
    of_keras = [f"keras:{model}"] if model in KERAS_APPLICATIONS else []
    return [f"torchvision:{model}.v{number}" for number in recipes] + of_keras


def file_name(origin: str) -> str:
    """Return the name of the file of weights that `list_weights` names."""
    source, _, name = origin.partition(":")
    if source == "keras":
        return KERAS_APPLICATIONS[name][1]
    name, _, recipe = name.partition(".v")
    return f"{name}-{TORCHVISION_HASHES[name][int(recipe) - 1]}.pth"


def is_cached(origin: str) -> bool:
    """Return whether weights that `list_weights` names are here already."""
    return (cache_folder() / file_name(origin)).is_file()


def describe_copy(origin: str) -> str:
    """Say how weights that `list_weights` names get into the cache of a machine that cannot download them."""
    file = file_name(origin)
    where = f"{TORCH_HOST}/models/{file}" if origin.startswith("torchvision:") else file
    return f"download {where} on a computer with internet access, copy the file into {cache_folder()}"


def _fetch_keras(name: str) -> Weights:
    _require_known("keras", name, KERAS_APPLICATIONS)
    import keras

    function, file = KERAS_APPLICATIONS[name]
    _require_online(f"keras:{name}", KERAS_HOST, cache_folder() / file)
    try:
        with _progress_to_stderr():
            model = getattr(keras.applications, function)(weights="imagenet")  # downloads, and checks the hash
    except Exception as error:
        raise WeightsError(f"cannot fetch keras:{name}: {error}") from error
    return map_keys({layer.name: layer.get_weights() for layer in model.layers if layer.weights})


def _fetch_torchvision(name: str) -> Weights:
    name, _, recipe = name.partition(".")
    _require_known("torchvision", name, TORCHVISION_HASHES)
    hashes = TORCHVISION_HASHES[name]
    recipes = [f"v{number + 1}" for number in range(len(hashes))]
    _require_known(f"torchvision:{name}", recipe, recipes)
    version = recipes.index(recipe)
    file = f"{name}-{hashes[version]}.pth"
    weights = map_keys(read_weights(_download_torch_file(file, hashes[version])))
    newer = version == 1 or name == "resnext101_64x4d"
    return replace(weights, resize=TORCHVISION_RESIZE[newer])


def _download_torch_file(file: str, digest: str) -> Path:
    """Download a file of download.pytorch.org, whose name holds the beginning of its SHA-256."""
    import keras

    target = cache_folder() / file
    if not target.is_file():
        _require_online(file, TORCH_HOST, target)
        target.parent.mkdir(parents=True, exist_ok=True)  # or Keras would take another folder
        try:
            with _progress_to_stderr():
                keras.utils.get_file(
                    file, f"{TORCH_HOST}/models/{file}", cache_dir=target.parent.parent, cache_subdir="models"
                )
        except Exception as error:
            raise WeightsError(f"cannot fetch {file}: {error}") from error
    found = _sha256(target)
    if not found.startswith(digest):
        target.unlink()
        raise WeightsError(f"{file} was damaged on the way (SHA-256 {found[:8]}…) and has been removed; try again")
    return target


def _fetch_timm(name: str) -> Weights:
    """Return a model of the timm organization on the Hugging Face hub, with the preprocessing in its config.json."""
    network = parse_model_name(name.partition(".")[0])
    config = json.loads(_download_hub_file(name, "config.json").read_text(encoding="utf-8"))
    weights = map_keys(read_weights(_download_hub_file(name, "model.safetensors")))
    _require_same_network(name, network, weights.network)
    return hugging_face.take_timm_preprocessing(weights, config.get("pretrained_cfg", config))


@contextmanager
def _progress_to_stderr() -> Iterator[None]:
    """Show Keras' progress of a download on standard error, or in a pipe not at all: standard output is for results.

    The Hugging Face hub does so itself.
    """
    with redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
        yield


def cache_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _download_hub_file(name: str, file: str) -> Path:
    import huggingface_hub as hub

    repository = f"timm/{name}"
    cached = hub.try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)
    _require_online(f"timm:{name}", endpoint_host(), None)
    try:
        target = Path(hub.hf_hub_download(repository, file))
        # Of a large file the hub's tag is its SHA-256.
        expected = hub.get_hf_file_metadata(hub.hf_hub_url(repository, file)).etag
    except Exception as error:
        raise WeightsError(f"cannot fetch timm:{name}: {' '.join(str(error).split())}") from error
    if expected and len(expected) == 64 and _sha256(target) != expected:
        target.resolve().unlink()
        raise WeightsError(f"{file} of timm:{name} was damaged on the way and has been removed; try again")
    return target


def _require_known(source: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UsageError(f"{source} has no weights {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}")


def _require_online(name: str, host: str, cached: Path | None) -> None:
    if not (cached and cached.is_file()) and not is_reachable(host):
        raise WeightsError(f"cannot download {name}: {describe_unreachable(host)}")


def _require_same_network(name: str, asked: NetworkSpec, found: NetworkSpec | None) -> None:
    if found is None or (found.depth, found.family) != (asked.depth, asked.family):
        raise WeightsError(f"timm:{name} does not hold the network its name says")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_FETCHERS: dict[str, Callable[[str], Weights]] = {
    "keras": _fetch_keras,
    "torchvision": _fetch_torchvision,
    "timm": _fetch_timm,
    SOURCE: lambda place: hugging_face.fetch_weights_of(f"{SOURCE}:{place}"),
}
# What a name of weights begins with.
SOURCES = tuple(_FETCHERS)
