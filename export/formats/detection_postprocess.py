"""Detection postprocessing inside a TFLite file: decoding and NMS in float32, put behind a detector's raw outputs.

The outputs are those of TFLite's own detection operator, which MediaPipe and Android samples read: "boxes" (1, n, 4),
top, left, bottom, right in fractions of the square; "classes" (1, n); "scores" (1, n), probabilities; "count" (1,); all
float32, the most confident object first, zeros after the last. With masks also "masks" (1, n, h, w), their logits.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.flatbuffer import pack_model, unpack_model
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.postprocess import (
    MAX_CANDIDATES,
    MAX_DETECTIONS,
    MAX_GUESSES,
    NMS_IOU,
    SCORE_THRESHOLD,
    anchor_points,
)

if TYPE_CHECKING:
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

# In which clients expect the outputs.
OUTPUT_ORDER = ("boxes", "classes", "scores", "count", "masks")
SIGNATURE = "objects"


def append_postprocess(content: bytes, metadata: ModelMetadata) -> bytes:
    """Return the file `content`, which ends in a detector's raw outputs, with the postprocessing appended."""
    detector = unpack_model(content)
    tensors = detector.subgraphs[0].tensors
    outputs = {each.name.decode(): each.tensorIndex for each in detector.signatureDefs[0].outputs}
    shapes = {name: tuple(int(side) for side in tensors[index].shape) for name, index in outputs.items()}
    postprocess = unpack_model(_convert_postprocess(shapes, metadata))
    return GraphConcatenation(detector, postprocess, outputs).run()


def _convert_postprocess(shapes: dict[str, tuple[int, ...]], metadata: ModelMetadata) -> bytes:
    """Return a TFLite file from raw outputs of `shapes` to objects."""
    import tensorflow as tf

    decoder = DetectionDecoder(metadata.cells, is_localizer=metadata.postprocessor.one_object)
    module = tf.Module()
    module.decode = tf.function(lambda **outputs: decoder.decode(outputs), autograph=False)
    signature = {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={SIGNATURE: module.decode.get_concrete_function(**signature)})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return bytes(converter.convert())


@dataclass(frozen=True)
class Candidates:
    """Objects before zeros are filled in, n of them, of which the first `count` () are there.

    boxes: (n, 4) xyxy in fractions of the square. labels, locations: (n,) int32. scores: (n,) probabilities.
    """

    boxes: tf.Tensor
    labels: tf.Tensor
    scores: tf.Tensor
    locations: tf.Tensor
    count: tf.Tensor


@dataclass(frozen=True)
class DetectionDecoder:
    """`postprocess.decode_detections`, or `decode_top_object` for an `is_localizer`, in TensorFlow, with a fixed
    number of objects. cells: see `ModelMetadata`."""

    cells: tuple[int, ...]
    is_localizer: bool

    def decode(self, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return the outputs that the module's docstring describes, of raw outputs of one image by name."""
        import tensorflow as tf

        scores, distances = outputs["scores"][0], outputs["distances"][0]
        candidates = self._top_classes(scores, distances) if self.is_localizer else self._detections(scores, distances)
        is_there = tf.cast(tf.range(candidates.labels.shape[0]) < candidates.count, tf.float32)
        decoded = {
            "boxes": (tf.gather(candidates.boxes, [1, 0, 3, 2], axis=1) * is_there[:, None])[None],
            "classes": (tf.cast(candidates.labels, tf.float32) * is_there)[None],
            "scores": (candidates.scores * is_there)[None],
            "count": tf.reshape(tf.cast(candidates.count, tf.float32), [1]),
        }
        if "prototypes" in outputs:
            decoded["masks"] = self._mask_logits(outputs, candidates.locations)
        return decoded

    def _top_classes(self, scores: tf.Tensor, distances: tf.Tensor) -> Candidates:
        """Return the most probable classes of logits (N, classes), each with the box of its best location."""
        import tensorflow as tf

        best = tf.reduce_max(scores, axis=0)
        logits, labels = tf.math.top_k(best, min(MAX_GUESSES, best.shape[0]))
        locations = tf.gather(tf.argmax(scores, axis=0, output_type=tf.int32), labels)
        probabilities, count = tf.sigmoid(logits), tf.constant(labels.shape[0])
        return Candidates(self._decode_boxes(distances, locations), labels, probabilities, locations, count)

    def _detections(self, scores: tf.Tensor, distances: tf.Tensor) -> Candidates:
        """Return the objects that are left by NMS, of logits (N, classes) and distances (N, 4)."""
        import tensorflow as tf

        classes = scores.shape[1]
        flat = tf.reshape(scores, [-1])
        logits, positions = tf.math.top_k(flat, min(MAX_CANDIDATES, flat.shape[0]))
        locations, labels, probabilities = positions // classes, positions % classes, tf.sigmoid(logits)
        boxes = self._decode_boxes(distances, locations)
        # Boxes of different classes are moved apart, so that they never overlap.
        apart = boxes + 2 * tf.cast(labels, tf.float32)[:, None]
        limit = min(MAX_DETECTIONS, apart.shape[0])
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=apart,
            scores=probabilities,
            max_output_size=limit,
            iou_threshold=NMS_IOU,
            score_threshold=SCORE_THRESHOLD,
            pad_to_max_output_size=True,
        )
        kept = tf.ensure_shape(kept, [limit])
        boxes, labels = tf.gather(boxes, kept), tf.gather(labels, kept)
        return Candidates(boxes, labels, tf.gather(probabilities, kept), tf.gather(locations, kept), count)

    def _decode_boxes(self, distances: tf.Tensor, locations: tf.Tensor) -> tf.Tensor:
        """Return boxes (n, 4), xyxy in fractions of the square and clipped to it, of distances (N, 4) at `locations`;
        as `postprocess.ltrb_to_xyxy`."""
        import tensorflow as tf

        centers, widths = anchor_points(self.cells)
        start = tf.gather(tf.constant(np.concatenate([centers, centers], axis=1)), locations)
        scale = tf.gather(tf.constant(widths * np.array([-1, -1, 1, 1], np.float32)), locations)
        return tf.clip_by_value(start + tf.gather(distances, locations) * scale, 0.0, 1.0)

    def _mask_logits(self, outputs: dict[str, tf.Tensor], locations: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        from keras_resnet.tasks.mask_loss import mask_logits

        coefficients = tf.gather(outputs["coefficients"][0], locations)[None]
        centers = tf.gather(tf.constant(anchor_points(self.cells)[0]), locations)[None]
        return mask_logits(coefficients, outputs["prototypes"], centers)


class GraphConcatenation:
    """Two TFLite files made one: the inputs of `second` are the outputs of `first` of the same name, as floats.

    outputs: the index of each output's tensor in `first`, by its name in the signature.
    """

    def __init__(self, first: schema.ModelT, second: schema.ModelT, outputs: dict[str, int]) -> None:
        if len(first.subgraphs) != 1 or len(second.subgraphs) != 1:
            raise ExportError("a file with several subgraphs cannot be continued")
        self.first, self.second = first, second
        self.buffers = len(first.buffers)
        inputs = second.signatureDefs[0].inputs
        self.float_tensors = {each.tensorIndex: self._as_float(outputs[each.name.decode()]) for each in inputs}
        # The operators that made floats of integers have added tensors and a code.
        self.tensors, self.codes = len(first.subgraphs[0].tensors), len(first.operatorCodes)

    def run(self) -> bytes:
        """Return the bytes of the file."""
        first, second = self.first, self.second
        graph, appended = first.subgraphs[0], second.subgraphs[0]
        for tensor in appended.tensors:
            tensor.buffer += self.buffers
        for operator in appended.operators:
            operator.opcodeIndex += self.codes
            operator.inputs = [self._new_index(index) for index in operator.inputs]
            operator.outputs = [self._new_index(index) for index in operator.outputs]
        first.buffers += second.buffers
        first.operatorCodes += second.operatorCodes
        graph.tensors += appended.tensors
        graph.operators += appended.operators
        signature, outputs = first.signatureDefs[0], second.signatureDefs[0].outputs
        signature.outputs = sorted(outputs, key=lambda each: OUTPUT_ORDER.index(each.name.decode()))
        for each in signature.outputs:
            each.tensorIndex = self._new_index(each.tensorIndex)
        graph.outputs = [each.tensorIndex for each in signature.outputs]
        return pack_model(first)

    def _new_index(self, index: int) -> int:
        """Return the index in the whole of the tensor `index` of the second file; a negative one stands for none."""
        if index in self.float_tensors:
            return int(self.float_tensors[index])
        return int(index) + self.tensors if index >= 0 else int(index)

    def _as_float(self, index: int) -> int:
        """Return the index of a float32 tensor with the values of tensor `index` of the first file, made if there is
        none."""
        from ai_edge_litert import schema_py_generated as schema

        model, graph = self.first, self.first.subgraphs[0]
        tensor = graph.tensors[index]
        if tensor.type == schema.TensorType.FLOAT32:
            return index
        made = schema.TensorT()
        made.shape, made.type, made.buffer = tensor.shape, schema.TensorType.FLOAT32, 0
        made.name = tensor.name + b"_float"
        graph.tensors.append(made)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        code.version = 2
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = [index], [len(graph.tensors) - 1]
        graph.operators.append(operator)
        return len(graph.tensors) - 1
