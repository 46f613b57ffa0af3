"""Quantized models as TFLite files: integers only, and they compute what the model does."""

import numpy as np
import pytest
from layer_models import CLASSES, calibrated, made, model_with, outputs_of, values_of, varied
from written_models import MODELS

from keras_resnet.compression.quantization.converters import LAYERS
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

pytestmark = pytest.mark.usefixtures("same_weights")
ACCEPTED = {
    **{kind.__name__: (lambda kind=kind: model_with(made(kind))) for kind in CLASSES if kind in LAYERS},
    # A signature has one output or names them.
    **{name: make for name, make in MODELS.items() if name != "a result that others take too"},
}
QUICK = ("separable", "models inside")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ACCEPTED]
)
def test_what_is_accepted_becomes_an_integer_file_that_computes_it(name, tmp_path):
    """Nearly all within one step of the file's, none farther off than four: LiteRT's kernels round otherwise than
    TensorFlow's, each by a step at most, and swish is three of them."""
    copy = quantize(varied(ACCEPTED[name]()))
    values = values_of(copy, 16)
    expected = outputs_of(calibrated(copy, values), values, training=False)
    write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "uint8"), None, tmp_path / "x.tflite")
    content = (tmp_path / "x.tflite").read_bytes()
    assert not read_contents(content).float_dtypes
    for (got, step), wanted in zip(answers_of(content, values.astype("uint8")), expected, strict=True):
        steps = np.abs(got - wanted) / step
        assert steps.max() < 4.1 and (steps < 1.1).mean() > 0.99, f"{steps.max():.1f}, {(steps < 1.1).mean():.1%} near"


def answers_of(content, images):
    """What LiteRT makes of uint8 `images`: for each output, in the order of their names, values and their step."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    (signature,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(signature)
    (given,) = runner.get_input_details()
    rows = [runner(**{given: image[None]}) for image in images]
    for name, details in sorted(runner.get_output_details().items()):
        scale, zero = details["quantization"]
        yield (np.concatenate([row[name] for row in rows]).astype("float32") - zero) * scale, scale
