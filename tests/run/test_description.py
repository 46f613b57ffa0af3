"""What a run is, in a few words."""

import pytest

from keras_resnet.config.spec import CompressSpec, NetworkSpec, Spec
from keras_resnet.run.description import describe_network


@pytest.mark.parametrize(
    ("kept", "compress", "words"),
    [
        (1.0, {}, "resnet8"),
        (0.5, {}, "resnet8, 50% of the filters inside units"),
        (0.001, {}, "resnet8, 0.1% of the filters inside units"),
        (1.0, {"sparsity": 0.999}, "resnet8, 99.9% zeros"),
        (1.0, {"sparsity": 0.5, "pattern": "2:4"}, "resnet8, 50% zeros 2:4"),
        (
            1 / 3,
            {"clusters": 16, "qat": "tfmot"},
            "resnet8, 33.3% of the filters inside units, 16 weights a kernel, 8 bits",
        ),
    ],
)
def test_compression_is_named_with_its_shares(kept, compress, words):
    spec = Spec(network=NetworkSpec(depth=8, keep_ratio=kept), compress=CompressSpec(**compress))
    assert describe_network(spec) == words
