"""Fixtures of interrupted runs."""

import shutil
from dataclasses import replace

import pytest
from interrupted_runs import interrupted

from keras_resnet.run import Run


@pytest.fixture(scope="session")
def short(quick_spec):
    return replace(quick_spec, training=replace(quick_spec.training, epochs=2, checkpoint_every=10))


@pytest.fixture(scope="session")
def begun(short, tmp_path_factory):
    """An interrupted run, to be copied."""
    return interrupted(short, tmp_path_factory.mktemp("begun"), steps=60)


@pytest.fixture
def cut(begun, tmp_path):
    return Run(shutil.copytree(begun.folder, tmp_path / "cut"))
