"""Networks that 8 bits hurt."""

import numpy as np

FACTOR = 200


def hurt(model):
    """Make two channels of one layer 200 times as large, and as much smaller where the next layer takes them in: the
    same network in floats."""
    norm, convolution = model.get_layer("stage2_unit1_norm1"), model.get_layer("stage2_unit1_conv2")
    kernel = np.array(convolution.kernel)
    # Those that count most.
    channels = np.argsort(np.abs(kernel).sum((0, 1, 3)))[-2:]
    factor = np.ones(kernel.shape[2])
    factor[channels] = FACTOR
    norm.gamma.assign(np.asarray(norm.gamma) * factor)
    norm.beta.assign(np.asarray(norm.beta) * factor)
    convolution.kernel.assign(kernel / factor[None, None, :, None])
