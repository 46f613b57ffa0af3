"""What files give by their own runtimes, without kresnet: the metric of their verdicts."""

import json
import subprocess
import sys

import numpy as np
import plain_runtimes
import pytest
from samples import silent

from keras_resnet.evaluation.evaluate import evaluation_batches
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.verify import draw_samples


def test_a_script_without_kresnet_gets_the_accuracy_of_each_verdict(exported, tmp_path):
    run, verdicts = exported
    (samples,) = {each.samples for each in verdicts.values()}
    batches = list(evaluation_batches(draw_samples(load_run_data(run, silent), samples)))
    images, labels = (np.concatenate([np.asarray(batch[part]) for batch in batches]) for part in (0, 1))
    np.save(tmp_path / "images.npy", images)
    files = {str(run.exports / name): verdict for name, verdict in verdicts.items()}
    command = [sys.executable, "-I", plain_runtimes.__file__, str(tmp_path / "images.npy"), *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predictions = json.loads(done.stdout.splitlines()[-1])
    assert {each.rpartition(".")[2].rpartition("/")[2] for each in predictions} == {
        *("tflite", "onnx", "saved_model", "c_array")
    }
    for file, predicted in predictions.items():
        assert np.mean(np.array(predicted) == labels) == pytest.approx(files[file].value), file
