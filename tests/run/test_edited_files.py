"""Files of a run that were changed by hand, or cut off, before it is resumed."""

import resource

import numpy as np
import pytest
from interrupted_runs import edit_json
from samples import silent

from keras_resnet.errors import (
    RunError,
    UsageError,
)
from keras_resnet.training.checkpoint import Checkpoints, manifests
from keras_resnet.training.train import resume


@pytest.mark.parametrize(
    "change",
    [
        lambda saved: saved.update(step=saved["step"] + 44),
        lambda saved: saved.update(step="60"),
        lambda saved: saved.update(sums=[[1]]),
        lambda saved: saved.update(sums=[value + 1 for value in saved["sums"]]),
        lambda saved: saved.update(best={"epoch": "x"}),
        lambda saved: saved.update(best={"epoch": 1, "loss": 0.5}),
        lambda saved: saved.pop("sums"),
        lambda saved: saved.update(sha256=None),
    ],
)
def test_a_checkpoint_whose_words_were_changed_is_passed_over(cut, change):
    whole = [int(path.stem.partition("-")[2]) for path in manifests(cut.checkpoints)]
    edit_json(manifests(cut.checkpoints)[-1], change)
    kernel = np.zeros(3, np.float32)

    class Variable:
        """Takes the shapes of the checkpoint."""

        def __init__(self, array):
            self.shape, self.array = array.shape, array

        def numpy(self):
            return self.array

        def assign(self, array):
            self.array = array

    from safetensors.numpy import load

    arrays = load(manifests(cut.checkpoints)[0].with_suffix(".safetensors").read_bytes())
    variables = [Variable(np.zeros_like(arrays[name])) for name in sorted(arrays)]
    assert Checkpoints(cut.checkpoints, variables).restore().step == whole[-2]
    with pytest.raises(RunError, match=r"are unreadable: .* \(step-"):
        Checkpoints(cut.checkpoints, [Variable(kernel)]).restore()


def test_a_torn_last_line_of_the_log_stops_nothing(cut, kresnet):
    row = cut.log_file.read_text()
    cut.log_file.write_text(row + row[: len(row) // 2])
    said = []
    resume(cut, said.append)
    assert any("left out 1 of 2 rows" in line for line in said)
    assert [each["epoch"] for each in cut.read_log()] == [1, 2]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("network.width", 1e6, "parameters takes"),
        ("training.batch_size", 10**9, "a batch of 1000000000 images"),
        ("data.image_size", 16000, "images of 16000 pixels takes"),
        ("data.image_size", 10**7, "8 to 16384 pixels"),
        ("network.depth", 600_002, "at most 2000"),
    ],
)
def test_what_no_memory_holds_is_refused_before_it_is_tried(cut, key, value, words):
    first, second = key.split(".")

    def change(document):
        document["spec"][first][second] = value
        document["spec"]["data"]["resize"] = max(8, document["spec"]["data"]["image_size"])

    edit_json(cut.spec_file, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((UsageError, RunError), match=words):
        resume(cut, silent)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**20


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("network", "depth"), 14),
        (("network", "width"), 2.0),
        (("network", "squeeze_excitation"), True),
        (("optimizer", "name"), "adamw"),
        (("training", "ema"), 0.9),
    ],
)
def test_a_spec_changed_by_hand_is_named_once(cut, kresnet, key, value):
    section, name = key
    assert len(manifests(cut.checkpoints)) == 3
    edit_json(cut.spec_file, lambda document: document["spec"][section].update({name: value}))
    before = sorted(path.name for path in cut.checkpoints.iterdir())
    code, _, err = kresnet("train", "--resume", "cut", "--runs", cut.folder.parent)
    assert code == 1 and err[-1].count("spec.json") == 1 and "step-" not in err[-1]
    assert "do not fit the network and the optimizer that" in err[-1] and str(cut.spec_file) in err[-1]
    assert sorted(path.name for path in cut.checkpoints.iterdir()) == before


def test_checkpoints_with_one_fault_say_it_once(cut):
    for document in manifests(cut.checkpoints):
        document.with_suffix(".safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"unreadable: (?!.*hash.*hash).*\(step-\d+, step-\d+, step-\d+\)$"):
        Checkpoints(cut.checkpoints, []).restore()
