"""Steps that XLA compiles."""

import numpy as np
import parallel_checks
import pytest
import tensorflow as tf

from keras_resnet.errors import UsageError
from keras_resnet.training import xla
from keras_resnet.training.distribute import Devices
from keras_resnet.training.kernel_errors import explain_missing_kernels

CASES = {
    **parallel_checks.CASES,
    "8 bits": parallel_checks.SPEC.override("compress.qat", "native"),
    "float16": parallel_checks.SPEC.override("training.precision", "mixed_float16"),
    "accumulated": parallel_checks.SPEC.override("training.accumulate_steps", 2),
}


def compiled(is_compiled):
    return Devices(tf.distribute.get_strategy(), "one", jit_compile=is_compiled)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_compiled_step_is_the_same_step(case):
    """After two steps the weights differ by rounding. Where that is to 8 bits, a few differ by more; in float16, by no
    more than float16 differs from float32."""
    spec = CASES[case]

    def weights(is_compiled, spec=spec):
        return parallel_checks.flat(parallel_checks.trained(compiled(is_compiled), spec, 2).model.weights)

    plain, with_xla = weights(False), weights(True)
    if case == "8 bits":
        assert np.abs(plain - with_xla).mean() < 2e-3
    elif case == "float16":
        full = weights(False, parallel_checks.SPEC)
        assert 0 < np.abs(plain - with_xla).mean() < np.abs(plain - full).mean()
    else:
        np.testing.assert_allclose(plain, with_xla, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_what_cannot_be_compiled_is_explained():
    """Something that XLA has no kernel for fails, with the option that goes without XLA."""
    spec = parallel_checks.SPEC
    with (
        pytest.raises(UsageError, match=r"use --jit-compile off: .*XLA"),
        explain_missing_kernels(spec, compiled(True)),
    ):
        trainer = parallel_checks.untrained(compiled(True), spec)
        trainer._loss = lambda targets, outputs: (
            outputs[:, 0] + tf.stop_gradient(tf.numpy_function(lambda x: x[:, 0], [outputs], tf.float32))
        )
        ((images, targets),) = parallel_checks.batches(1, spec)
        trainer.make_train_function()(*tf.nest.map_structure(tf.constant, (images, targets)), np.float32(0))


def test_an_operator_that_is_not_deterministic_is_explained():
    spec = parallel_checks.SPEC.override("training.deterministic", True)
    said = (
        "2 root error(s) found.\n  (0) UNIMPLEMENTED:  Determinism is not yet supported in GPU implementation of X.\n"
    )
    words = "--deterministic is not possible for this training: UNIMPLEMENTED:  Determ"
    with pytest.raises(UsageError, match=words), explain_missing_kernels(spec, compiled(False)):
        raise tf.errors.UnimplementedError(None, None, said)
    with pytest.raises(tf.errors.UnimplementedError), explain_missing_kernels(parallel_checks.SPEC, compiled(False)):
        raise tf.errors.UnimplementedError(None, None, said)


def test_this_machine_can_compile():
    assert xla.find_obstacle() is None
