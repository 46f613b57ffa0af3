"""One candidate for real: ended early by what it is asked after each epoch, gone on with, and exported."""

import pytest

from keras_resnet.errors import RunError, TrainingPruned
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.network_search.budget import Budget
from keras_resnet.network_search.candidates import Architecture, Candidate, Recipe
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.target import Target
from keras_resnet.network_search.training import Trainer, list_costs
from keras_resnet.run import Run

CANDIDATE = Candidate(Architecture("resnet8", 0.5, 8, 1), Recipe("crop", 0.05, 5e-4, 0.1, "none", 0.2, 3))


@pytest.mark.slow
def test_a_training_that_was_ended_early_can_go_on(tmp_path, tfds_home):
    settings = SearchSettings(data="digits", budget="latency<=1ms")
    target = Target.create(settings, DeviceSettings(on=("local",)), Budget.parse(settings.budget))
    trainer = Trainer(
        tmp_path, {"data": "digits", "data_dir": tfds_home, "flip": False, "precision": "float32"}, target
    )
    asked = []

    def ends_after_two(epoch, value):
        asked.append((epoch, value))
        return epoch < 2

    with pytest.raises(TrainingPruned, match=r"ended after epoch 2\. Resume it with: kresnet train --resume early"):
        trainer.train(CANDIDATE, "early", ends_after_two)
    run = Run(tmp_path / "early")
    assert [(row["epoch"], row["val_accuracy"]) for row in run.read_log()] == asked and len(asked) == 2
    assert run.has_checkpoint and not run.is_finished
    trainer.note_end("early", {"search": "digits", "epoch": 2})
    assert run.summary()["state"] == "ended early"
    with pytest.raises(RunError, match="has no finished model, because a search ended its training early; continue"):
        run.require_finished()
    spec = run.spec()
    assert spec.augment.mixup == 0.2 and spec.data.channels == 1 and spec.network.width == 0.5
    assert trainer.train(CANDIDATE, "early", ends_after_two).is_finished
    assert not run.is_ended_early and run.summary()["state"] == "finished"
    assert len(run.read_log()) == 3 and len(asked) == 2, "after the last epoch nothing is asked"
    verdict = trainer.export(run)
    costs = list_costs(verdict, CANDIDATE.architecture.count(10))
    on_device = [row for row in run.verdict_rows() if "device" in row]
    assert [row["latency_ms"] for row in on_device] == [costs["latency"]] and costs["size"] == verdict.bytes
