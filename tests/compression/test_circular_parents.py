"""Runs whose spec.json says that they were compressed from themselves, by way of others or not."""

import shutil

import pytest
from interrupted_runs import edit_json

from keras_resnet.compression.plan import find_uncompressed_run
from keras_resnet.errors import RunError
from keras_resnet.run import Run


@pytest.fixture
def circle(trained, tmp_path):
    """Makes runs, each of which says that it was compressed from the next, and the last from the first."""

    without_exports = shutil.ignore_patterns("exports")

    def make(count):
        runs = [
            Run(shutil.copytree(trained.folder, tmp_path / f"run{number}", ignore=without_exports))
            for number in range(count)
        ]
        for run, parent in zip(runs, [*runs[1:], runs[0]], strict=True):
            change = {"parent": f"{parent.folder.parent}/../{parent.folder.parent.name}/{parent.name}"}
            edit_json(run.spec_file, lambda document, change=change: document["spec"]["compress"].update(change))
        return runs

    return make


@pytest.mark.parametrize("count", [1, 3])
def test_every_command_says_so_in_a_sentence(circle, kresnet, count):
    run = circle(count)[0]
    home = ("--runs", run.folder.parent)
    for command in (
        ("compress", run.name, "--qat", "--steps", "1", "--name", "smaller"),
        ("export", run.name, "--tflite", "--quantize", "float32", "--samples", "10"),
    ):
        code, out, err = kresnet(*command, *home)
        assert (code, out) == (1, "") and "was compressed from itself (" in err[-1] and "spec.json: " in err[-1]
        assert err[-1].startswith("kresnet: run run")
    assert not (run.folder.parent / "smaller").exists() and not list(run.exports.rglob("*.tflite"))


def test_a_chain_that_ends_is_followed_to_its_end(circle):
    runs = circle(3)
    edit_json(runs[2].spec_file, lambda document: document["spec"]["compress"].update(parent=None))
    assert find_uncompressed_run(runs[0]).name == find_uncompressed_run(runs[2]).name == "run2"
    shutil.rmtree(runs[2].folder)
    with pytest.raises(RunError, match=r"run run1 was compressed from .* which is gone"):
        find_uncompressed_run(runs[0])
