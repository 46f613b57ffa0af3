"""Describe a run in a few words: its network, the versions that made it, the name that it gets."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from keras_resnet.config.spec import Spec
from keras_resnet.models.names import model_name
from keras_resnet.runtime.plurals import counted

PACKAGES = ("kresnet", "tensorflow", "keras", "tensorflow-datasets", "ai-edge-litert")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide a result."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def describe_network(spec: Spec) -> str:
    """Return the network and what compression made of it, in a few words."""
    compress, kept = spec.compress, spec.network.keep_ratio
    words = [model_name(spec.network)]
    if kept < 1:
        words.append(f"{100 * kept:.3g}% of the filters inside units")
    if compress.sparsity:
        words.append(f"{100 * compress.sparsity:.3g}% zeros{' 2:4' if compress.pattern == '2:4' else ''}")
    if compress.clusters:
        words.append(f"{counted(compress.clusters, 'weight')} a kernel")
    if compress.is_qat:
        words.append("8 bits")
    return ", ".join(words)


def default_run_name(spec: Spec) -> str:
    """Return the network and the dataset as a run's name: the data folder's name, or that of TFDS with its
    configuration; without what is not UTF-8 in it, which TensorFlow does not take."""
    source = spec.data.source
    path = Path(source).expanduser()
    data = path.resolve().name if path.is_dir() else source.strip(os.sep).replace(os.sep, "-")
    return f"{model_name(spec.network)}-{data.encode(errors='ignore').decode()}"
