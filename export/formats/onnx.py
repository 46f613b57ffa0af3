"""A Keras model as ONNX, and an ONNX file as a callable on images."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.formats.saved_model import name_outputs
from keras_resnet.runtime.metadata import CARD, LABELS, ModelMetadata, card_from, strange
from keras_resnet.runtime.predictions import single
from keras_resnet.runtime.signature import require_input
from keras_resnet.runtime.trial import require_opens

OPSET = 18
# What stands for the number of images.
BATCH = "batch"


def require_onnx() -> None:
    """Raises UsageError unless what ONNX needs is installed."""
    for name in ("tf2onnx", "onnx", "onnxruntime"):
        _installed(name)


def write_onnx(model: Any, card: ModelMetadata, target: Path) -> None:
    """Write `model`, {"pixels": float32 (batch, H, W, 3), 0–255} → {"logits": (batch, classes), …}, with `card` among
    its properties."""
    import keras

    onnx = _installed("onnx")
    pixels = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32", name="pixels")
    model.export(str(target), format="onnx", verbose=False, opset_version=OPSET, input_signature=[pixels])
    written = _named(
        onnx, onnx.load(str(target)), {name: each.shape for name, each in name_outputs(model.output).items()}
    )
    onnx.helper.set_model_props(written, {LABELS: card.labels(), CARD: json.dumps(card.details())})
    onnx.checker.check_model(written)
    onnx.save(written, str(target))


def _named(onnx: Any, written: Any, outputs: dict[str, tuple[int | None, ...]]) -> Any:
    """`written` with outputs by their names and shapes in the Keras model, and the number of images called BATCH:
    tf2onnx calls them Identity:0 and unk__92."""
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    graph = written.graph
    # TensorFlow flattens a dict in the order of its keys.
    names = dict(zip((output.name for output in graph.output), sorted(outputs), strict=True))
    for node in graph.node:
        for places in (node.input, node.output):
            places[:] = [names.get(name, name) for name in places]
    for output in graph.output:
        output.name = names[output.name]
    (pixels,) = graph.input
    sides = [side.dim_value for side in pixels.type.tensor_type.shape.dim]
    shapes = {name: [BATCH, *shape[1:]] for name, shape in outputs.items()}
    return update_inputs_outputs_dims(written, {pixels.name: [BATCH, *sides[1:]]}, shapes)


class OnnxModel:
    """One file, run by onnxruntime on the CPU; opened in another process first. Raises ExportError if it is damaged or
    not one of ours."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        runtime = _installed("onnxruntime")
        require_opens(file, OnnxModel)
        self.threads = threads or os.cpu_count() or 1
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        try:
            self._session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own, a class for each of its codes
            raise ExportError(f"{file} is not a readable ONNX model: {' '.join(str(error).split())[:200]}") from error
        texts = self._session.get_modelmeta().custom_metadata_map
        if LABELS not in texts or CARD not in texts:
            raise strange(file)
        self.card = card_from(texts[LABELS], texts[CARD], file)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise strange(file)
        self._input = inputs[0].name
        require_input(self.card, inputs[0].shape, file)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: np.ndarray) -> Any:
        """uint8 images (N, H, W, 3) → float32 logits (N, classes), or several outputs by name."""
        found = self._session.run(None, {self._input: images.astype(np.float32)})
        return single(dict(zip(self._outputs, map(np.asarray, found), strict=True)))


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"ONNX needs {name}, which is not installed: pip install 'kresnet[onnx]'") from error
