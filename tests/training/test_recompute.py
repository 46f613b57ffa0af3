"""Activation recomputation: the same training in less memory."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from parallel_checks import SEGMENTING, SPEC, trained
from trainings import interrupt_after, same_weights

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import TrainingInterrupted, UsageError
from keras_resnet.models.build import build_classifier
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name
from keras_resnet.training.distribute import Devices
from keras_resnet.training.recompute import Recomputation
from keras_resnet.training.train import resume, train

STEPS = 3
# Units left out by chance: the second run of a unit has to leave out the same ones.
DROPPED = replace(SPEC, network=NetworkSpec(depth=8, zero_gamma=False, drop_path=0.4))
CASES = {
    "dropped": DROPPED,
    "in parts": DROPPED.override("training.accumulate_steps", 2).override("training.precision", "mixed_bfloat16"),
    "frozen": replace(SPEC, start=replace(SPEC.start, freeze=("stem", "stage1"))),
    "preactivation": replace(SPEC, network=NetworkSpec(depth=11, preactivation=True, zero_gamma=False)),
    "8 bits": SPEC.override("compress.qat", "native"),
    "segment": SEGMENTING,
}
QUICK = ("dropped", "frozen")


def variables_after(spec):
    """[(path, value), …] of all that training changes."""
    trainer = trained(Devices(tf.distribute.get_strategy(), "one"), spec, STEPS)
    return [(variable.path, variable.numpy()) for variable in trainer.state.variables()]


@pytest.mark.parametrize(
    "case", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in CASES]
)
def test_weights_statistics_and_seeds_are_those_without_it(case):
    spec = CASES[case]
    plain, recomputed = (variables_after(spec.override("training.recompute", wants)) for wants in (False, True))
    rounding = 2**-7 if spec.training.precision == "mixed_bfloat16" else 1e-5
    for (path, value), (_, other) in zip(plain, recomputed, strict=True):
        np.testing.assert_allclose(other, value, rtol=rounding, atol=rounding, err_msg=path)


@pytest.mark.parametrize(
    ("name", "count"), [("resnet8", 4), ("resnet20v2", 8), ("plain20", 10), ("resnet10", 5), ("vgg11_bn", 5)]
)
def test_each_unit_is_a_part_with_one_input(name, count):
    model = build_classifier(Layers(keras), parse_model_name(name), classes=10, input_shape=(32, 32, 3))
    recomputation = Recomputation(model)
    assert len(recomputation._segments) == count
    assert all(len(segment.inputs) == len(segment.outputs) == 1 for segment in recomputation._segments)
    for before, after in pairwise([*recomputation._segments, recomputation._head]):
        assert before.outputs[0] is after.inputs[0]


@pytest.mark.slow
def test_it_resumes_to_the_same_bits(quick_spec, tmp_path, monkeypatch):
    training = replace(quick_spec.training, epochs=3, recompute=True, deterministic=True)
    spec = replace(quick_spec, training=training)
    whole = train(spec, tmp_path, "whole", log=lambda message: None)
    interrupt_after(2, monkeypatch)
    with pytest.raises(TrainingInterrupted):
        train(spec, tmp_path, "cut", log=lambda message: None)
    monkeypatch.undo()
    cut = resume(type(whole).find(tmp_path, "cut"), lambda message: None)
    same_weights(whole, cut)


PEAK = """
import re, sys
from dataclasses import replace
import parallel_checks
import tensorflow as tf
from keras_resnet.config.spec import NetworkSpec
from keras_resnet.training.distribute import Devices

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

parallel_checks.BATCH = 128
spec = replace(parallel_checks.SPEC, network=NetworkSpec(depth=20)).override("data.image_size", 64)
spec = spec.override("training.batch_size", 128).override("training.recompute", sys.argv[1] == "recompute")
before = peak()
parallel_checks.trained(Devices(tf.distribute.get_strategy(), "one"), spec, 2)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_takes_less_memory():
    peaks = []
    for kind in ("keep", "recompute"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", PEAK, kind], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        peaks.append(int(done.stdout))
    kept, recomputed = peaks
    assert recomputed < 0.8 * kept


def test_a_training_by_tf_keras_cannot():
    with pytest.raises(UsageError, match=r"training\.recompute must be left out for pruning"):
        SPEC.override("training.recompute", True).override("compress.sparsity", 0.5)
