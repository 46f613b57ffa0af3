"""Objects instead of a detector's raw outputs: what `detections` does, put behind a TFLite file, in float32.

The outputs are those of TFLite's own detection operator, which MediaPipe and Android samples read: "boxes" (1, n, 4),
top, left, bottom, right in shares of the square; "classes" (1, n); "scores" (1, n), probabilities; "count" (1,); all
float32, the surest object first, zeros after the last. With masks also "masks" (1, n, h, w), their logits.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.flatbuffer import pack_model
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.postprocess import CANDIDATES, GUESSES, LEAST, MOST, NMS_IOU, anchor_points
from keras_resnet.runtime.predictions import LOCALIZE

# Of the schema's BuiltinOperator.
DEQUANTIZE = 6
# In which clients expect the outputs.
OUTPUT_ORDER = ("boxes", "classes", "scores", "count", "masks")


def append_postprocess(content: bytes, card: ModelMetadata) -> bytes:
    """The file `content`, which ends in a detector's raw outputs, with objects made of them."""
    from ai_edge_litert import schema_py_generated as schema

    first = schema.ModelT.InitFromPackedBuf(content, 0)
    outputs = _outputs(first)
    shapes = {name: tuple(int(side) for side in tensor.shape) for name, (_, tensor) in outputs.items()}
    second = schema.ModelT.InitFromPackedBuf(_convert_postprocess(shapes, card), 0)
    return _joined(first, second, {name: index for name, (index, _) in outputs.items()})


def _outputs(model: Any) -> dict[str, tuple[int, Any]]:
    """(number, tensor) of each output by its name in the signature."""
    graph = model.subgraphs[0]
    found = {each.name.decode(): each.tensorIndex for each in model.signatureDefs[0].outputs}
    return {name: (index, graph.tensors[index]) for name, index in found.items()}


def _convert_postprocess(shapes: dict[str, tuple[int, ...]], card: ModelMetadata) -> bytes:
    """A TFLite file from raw outputs to objects."""
    import tensorflow as tf

    module = tf.Module()
    main = card.task == LOCALIZE
    module.objects = tf.function(
        lambda **outputs: _objects(outputs, card.cells, main),
        input_signature=None,
    )
    signature = {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"objects": module.objects.get_concrete_function(**signature)})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["objects"])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return bytes(converter.convert())


def _objects(outputs: dict[str, Any], cells: tuple[int, ...], main: bool) -> dict[str, Any]:
    """As `detections.found_in`, or `main_object`, with a fixed number of objects."""
    import tensorflow as tf

    scores = outputs["scores"][0]
    if main:
        best = tf.reduce_max(scores, axis=0)
        logits, labels = tf.math.top_k(best, min(GUESSES, best.shape[0]))
        locations = tf.gather(tf.argmax(scores, axis=0, output_type=tf.int32), labels)
        sure, count = tf.sigmoid(logits), tf.constant(labels.shape[0])
        boxes = _boxes(outputs["distances"][0], locations, cells)
    else:
        classes = scores.shape[1]
        flat = tf.reshape(scores, [-1])
        logits, places = tf.math.top_k(flat, min(CANDIDATES, flat.shape[0]))
        locations, labels, sure = places // classes, places % classes, tf.sigmoid(logits)
        boxes = _boxes(outputs["distances"][0], locations, cells)
        # Boxes of different classes are moved apart, so that they never overlap.
        apart = boxes + 2 * tf.cast(labels, tf.float32)[:, None]
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=apart,
            scores=sure,
            max_output_size=min(MOST, apart.shape[0]),
            iou_threshold=NMS_IOU,
            score_threshold=LEAST,
            pad_to_max_output_size=True,
        )
        kept = tf.ensure_shape(kept, [min(MOST, apart.shape[0])])
        boxes, labels, sure, locations = (tf.gather(each, kept) for each in (boxes, labels, sure, locations))
    there = tf.cast(tf.range(labels.shape[0]) < count, tf.float32)
    found = {
        "boxes": (tf.gather(boxes, [1, 0, 3, 2], axis=1) * there[:, None])[None],
        "classes": (tf.cast(labels, tf.float32) * there)[None],
        "scores": (sure * there)[None],
        "count": tf.reshape(tf.cast(count, tf.float32), [1]),
    }
    if "prototypes" in outputs:
        from keras_resnet.tasks.mask_loss import mask_logits

        own = tf.gather(outputs["coefficients"][0], locations)[None]
        middles = tf.gather(tf.constant(anchor_points(cells)[0]), locations)[None]
        found["masks"] = mask_logits(own, outputs["prototypes"], middles)
    return found


def _boxes(distances: Any, locations: Any, cells: tuple[int, ...]) -> Any:
    """As `detections.boxes_of`, of some locations, cut at the edges."""
    import tensorflow as tf

    middles, widths = anchor_points(cells)
    start = tf.gather(tf.constant(np.concatenate([middles, middles], axis=1)), locations)
    reach = tf.gather(tf.constant(widths * np.array([-1, -1, 1, 1], np.float32)), locations)
    return tf.clip_by_value(start + tf.gather(distances, locations) * reach, 0.0, 1.0)


def _joined(first: Any, second: Any, outputs: dict[str, int]) -> bytes:
    """`second` behind `first`: its inputs are the outputs of the same name, as floats."""

    if len(first.subgraphs) != 1 or len(second.subgraphs) != 1:
        raise ExportError("a file with several subgraphs cannot be continued")
    ours, theirs = first.subgraphs[0], second.subgraphs[0]
    buffers = len(first.buffers)
    floats = {
        each.tensorIndex: _float_of(first, outputs[each.name.decode()]) for each in second.signatureDefs[0].inputs
    }
    # The operators that made floats of integers have added tensors and a code.
    tensors, codes = len(ours.tensors), len(first.operatorCodes)

    def moved(index: int) -> int:
        return int(floats[index]) if index in floats else int(index) + tensors if index >= 0 else int(index)

    for tensor in theirs.tensors:
        tensor.buffer += buffers
    for operator in theirs.operators:
        operator.opcodeIndex += codes
        operator.inputs = [moved(index) for index in operator.inputs]
        operator.outputs = [moved(index) for index in operator.outputs]
    first.buffers += second.buffers
    first.operatorCodes += second.operatorCodes
    ours.tensors += theirs.tensors
    ours.operators += theirs.operators
    signature = first.signatureDefs[0]
    signature.outputs = sorted(second.signatureDefs[0].outputs, key=lambda each: OUTPUT_ORDER.index(each.name.decode()))
    for each in signature.outputs:
        each.tensorIndex = moved(each.tensorIndex)
    ours.outputs = [each.tensorIndex for each in signature.outputs]
    return pack_model(first)


def _float_of(model: Any, index: int) -> int:
    """The number of a tensor with the values of tensor `index` in float32, made if there is none."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    tensor = graph.tensors[index]
    if tensor.type == schema.TensorType.FLOAT32:
        return index
    made = schema.TensorT()
    made.shape, made.type, made.buffer = tensor.shape, schema.TensorType.FLOAT32, 0
    made.name = tensor.name + b"_float"
    graph.tensors.append(made)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = DEQUANTIZE
    code.version = 2
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [index], [len(graph.tensors) - 1]
    graph.operators.append(operator)
    return len(graph.tensors) - 1
