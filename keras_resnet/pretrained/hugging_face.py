"""Load weights of a repository of the Hugging Face hub: what `kresnet push` wrote there, or Keras or PyTorch files of
others.

Nothing of a repository is run. Files are read as those of anybody, by readers that take arrays alone; a revision is
settled to a commit, files are checked against the hub's hash, and what was downloaded is used again without a network.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_resnet.config.spec import Normalization, Spec
from keras_resnet.connectivity import describe_unreachable, is_reachable
from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.hub_repository import (
    DESCRIPTION_FILE,
    DESCRIPTION_FORMAT,
    MODEL_FILE,
    HubRepository,
    describe_refusal,
    endpoint,
    endpoint_host,
    quote,
)
from keras_resnet.pretrained.key_mapping import map_file
from keras_resnet.pretrained.readers import read_weights
from keras_resnet.pretrained.weights import Weights
from keras_resnet.runtime.plurals import counted, format_bytes

# What weights are looked for in, the first that is there.
WEIGHT_FILES = (MODEL_FILE, "model.safetensors")
# How timm describes the preprocessing of its safetensors.
TIMM_CONFIG = "config.json"
# More than any network of the catalog takes, and than anybody's description of one.
MAX_WEIGHTS_BYTES, MAX_DESCRIPTION_BYTES = 4 * 10**9, 2**20
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Filters of the narrowest stage of a network whose width factors are 1.
_NARROWEST = 16


def resolve_revision(origin: str) -> tuple[str, str]:
    """Return `origin` with the commit that its revision is now, and how that was found, in words; what names a commit
    already as it is, and "".

    Raises UsageError for a name that is none, WeightsError where the hub neither answers nor has answered before.
    """
    repository = HubRepository.parse(origin)
    if repository.revision and _COMMIT.fullmatch(repository.revision):
        return str(repository), ""
    if is_reachable(endpoint_host()):
        commit = _find_weights(repository)[1]
        return str(repository.at(commit)), f"the newest of {repository}"
    for name in WEIGHT_FILES:
        if kept := _find_cached(repository, name) if repository.revision else _find_newest_cached(repository, name):
            words = f"the newest of {repository} in the cache, as {endpoint_host()} cannot be reached"
            return str(repository.at(kept.parent.name)), words
    raise _offline_error(repository)


def fetch_weights_of(origin: str) -> Weights:
    """Return the weights of the repository that `origin` names, downloaded unless they are in the cache.

    Raises UsageError for a name that is none; WeightsError where the repository has no weights, cannot be read, or
    holds what is damaged, far too large or not of a network of the catalog.
    """
    exact, _ = resolve_revision(origin)
    repository = HubRepository.parse(exact)
    name = next((each for each in WEIGHT_FILES if _find_cached(repository, each)), None)
    if name is None:
        if not is_reachable(endpoint_host()):
            raise _offline_error(repository)
        name, _ = _find_weights(repository)
    weights = map_file(read_weights(_download(repository, name, MAX_WEIGHTS_BYTES)), f"{name} of {repository}")
    if description := _download_if_there(repository, DESCRIPTION_FILE, MAX_DESCRIPTION_BYTES):
        return _describe(weights, _read_description(description, repository), repository)
    if name != MODEL_FILE and (config := _download_if_there(repository, TIMM_CONFIG, MAX_DESCRIPTION_BYTES)):
        return _take_config(weights, config, repository)
    return weights


def _find_weights(repository: HubRepository) -> tuple[str, str]:
    """Return the name of the file of weights, and the commit that the revision is. Raises WeightsError."""
    for name in WEIGHT_FILES:
        if found := _ask(repository, name):
            return name, str(found.commit_hash)
    raise WeightsError(f"{repository} has no weights: neither {' nor '.join(WEIGHT_FILES)} is in it")


def _ask(repository: HubRepository, name: str) -> Any | None:
    """Return the hub's metadata of a file; None if there is none of that name. Raises WeightsError."""
    import huggingface_hub
    from huggingface_hub import errors

    url = huggingface_hub.hf_hub_url(repository.id, name, revision=repository.revision, endpoint=endpoint())
    try:
        found = huggingface_hub.get_hf_file_metadata(url)
    except errors.EntryNotFoundError:
        return None
    except Exception as error:  # of the library, of its HTTP client and of the network
        raise WeightsError(f"cannot fetch {repository}: {describe_refusal(error, repository)}") from error
    if not _COMMIT.fullmatch(found.commit_hash or ""):
        raise WeightsError(f"cannot fetch {repository}: {endpoint_host()} does not answer as a hub does")
    return found


def _download_if_there(repository: HubRepository, name: str, limit: int) -> Path | None:
    """Return a file of a repository at a commit; None if it has none of that name, which the cache keeps too. Raises
    WeightsError as `_download` does, and where it is not known whether there is one."""
    import huggingface_hub
    from huggingface_hub import errors

    known = huggingface_hub.try_to_load_from_cache(repository.id, name, revision=repository.revision)
    if known is not None:
        return _download(repository, name, limit) if isinstance(known, str) else None
    if not is_reachable(endpoint_host()):
        raise _offline_error(repository)
    if _ask(repository, name):
        return _download(repository, name, limit)
    with suppress(errors.EntryNotFoundError):  # notes in the cache that there is none
        huggingface_hub.hf_hub_download(repository.id, name, revision=repository.revision, endpoint=endpoint())
    return None


def _download(repository: HubRepository, name: str, limit: int) -> Path:
    """Return a file of a repository at a commit, from the cache or downloaded. Raises WeightsError for one of more than
    `limit` bytes, or of another hash than the hub says, which is removed."""
    import huggingface_hub

    path = _find_cached(repository, name)
    if path is None:
        found = _ask(repository, name)
        if found is None:
            raise WeightsError(f"{repository} has no {name}")
        if found.size is None or found.size > limit:
            size = "of unknown size" if found.size is None else format_bytes(found.size)
            raise WeightsError(f"{name} of {repository} is {size}; at most {format_bytes(limit)} are downloaded")
        try:
            path = Path(
                huggingface_hub.hf_hub_download(repository.id, name, revision=repository.revision, endpoint=endpoint())
            )
        except Exception as error:
            raise WeightsError(f"cannot fetch {name} of {repository}: {describe_refusal(error, repository)}") from error
    _require_hash(path, f"{name} of {repository}")
    return path


def _find_cached(repository: HubRepository, name: str) -> Path | None:
    """Return a file that was downloaded before, at the revision; None if there is none."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repository.id, name, revision=repository.revision)
    return Path(found) if isinstance(found, str) else None


def _find_newest_cached(repository: HubRepository, name: str) -> Path | None:
    """Return a file of the commit that was downloaded last; None if there is none. What is downloaded by its commit has
    no branch in the cache."""
    from huggingface_hub import constants

    commits = Path(constants.HF_HUB_CACHE) / f"models--{repository.owner}--{repository.name}" / "snapshots"
    kept = [each for each in commits.glob(f"*/{name}") if _COMMIT.fullmatch(each.parent.name) and each.is_file()]
    return max(kept, key=lambda each: each.parent.stat().st_mtime, default=None)


def _require_hash(path: Path, called: str) -> None:
    """Raise WeightsError, and remove the file, unless its hash is that by which the hub's cache has named it: SHA-256
    of large files, and git's SHA-1 of small ones."""
    blob = path.resolve()
    with blob.open("rb") as stream:
        if len(blob.name) == 64:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        elif len(blob.name) == 40:
            content = stream.read()
            found = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        else:  # of a cache without links
            return
    if found != blob.name:
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        raise WeightsError(f"{called} was damaged on the way and has been removed; try again")


def _read_description(path: Path, repository: HubRepository) -> Spec:
    """Return the settings of the run that was pushed. Raises WeightsError for a file that says something else."""
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or document.get("format") != DESCRIPTION_FORMAT:
            raise ValueError(f"its format is not {DESCRIPTION_FORMAT}, which this version reads")
        return Spec.from_dict(document.get("spec"))
    except (ValueError, RecursionError, TypeError) as error:
        raise WeightsError(f"{DESCRIPTION_FILE} of {repository} cannot be used: {quote(str(error))}") from error


def take_timm_preprocessing(weights: Weights, config: dict[str, Any]) -> Weights:
    """Return the weights with the normalization and sizes that timm's configuration of them says. Raises KeyError,
    TypeError, ValueError or IndexError for one that is none."""
    size = int(config["input_size"][-1])
    mean, std = (tuple(255 * float(value) for value in config[key]) for key in ("mean", "std"))
    # timm cuts `crop_pct` of the resized shorter side.
    resize = int(size / float(config.get("crop_pct", 0.875)))
    return replace(weights, normalization=Normalization(mean, std), image_size=size, resize=resize)


def _take_config(weights: Weights, path: Path, repository: HubRepository) -> Weights:
    """Return the weights with what timm says of them in the file at `path`; as they are if it is another library's.
    Raises WeightsError."""
    try:
        document = json.loads(path.read_bytes())
        config = document.get("pretrained_cfg") if isinstance(document, dict) else None
        return take_timm_preprocessing(weights, config) if isinstance(config, dict) else weights
    except (KeyError, IndexError, ValueError, TypeError, OverflowError, ZeroDivisionError, RecursionError) as error:
        raise WeightsError(f"{TIMM_CONFIG} of {repository} cannot be used: {quote(str(error))}") from error


def _describe(weights: Weights, spec: Spec, repository: HubRepository) -> Weights:
    """Return the weights with the network and the preprocessing that `spec` says they have. Raises WeightsError where
    that cannot be, so that nobody builds a network of any size that a file claims."""
    network, data = spec.network, spec.data
    widest = max(
        (int(array.shape[-1]) for arrays in weights.layers.values() for array in arrays if array.ndim), default=0
    )
    factor = max(network.widen, network.width) * _NARROWEST
    inner = network.keep_ratio * max(factor, network.cardinality * network.base_width / 64)
    if network.depth - 1 > len(weights.layers) or inner > widest:
        raise WeightsError(
            f"{DESCRIPTION_FILE} of {repository} describes another network than its weights are of: they have"
            f" {counted(len(weights.layers), 'layer')}, the widest of {counted(widest, 'channel')}"
        )
    resize = data.resize if data.fit == "crop" else None
    return replace(
        weights, network=network, normalization=data.normalization, image_size=data.image_size, resize=resize
    )


def _offline_error(repository: HubRepository) -> WeightsError:
    return WeightsError(f"cannot download {repository}: {describe_unreachable(endpoint_host())}")
