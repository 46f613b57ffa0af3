"""TFLite files of any quantization scheme, made of nothing but builtin operators."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.atomic_write import write_atomically
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.file_options import FileOptions
from keras_resnet.export.flatbuffer import Contents, find_layer_outputs, read_contents
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.export.formats.detection_postprocess import append_postprocess
from keras_resnet.export.formats.litert_quantizer import quantize_tflite
from keras_resnet.export.formats.saved_model import INFERENCE_SIGNATURE, write_inference_signature
from keras_resnet.export.tflite_metadata import replace_confidence, write_metadata
from keras_resnet.export.tflite_options import LITERT_QUANTIZER, MIN_MAX, SCHEMES, TENSORFLOW, TFLiteOptions
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.tflite_model import TFLiteModel

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Calibration images as the inputs of one inference, by name.
Sample = dict[str, np.ndarray]


class TFLite(Format):
    """A .tflite file with its metadata inside."""

    name = "tflite"
    title = "TFLite"
    suffix = ".tflite"
    schemes = tuple(SCHEMES)
    remedy = ("--tflite --quantize int8 --auto", "try remedies for the int8 TFLite file, the cheapest first")

    def read_options(self, document: Mapping[str, object]) -> TFLiteOptions:
        """Return the options that `TFLiteOptions.to_dict` described."""
        return TFLiteOptions.from_dict(document)

    def file_name(self, options: FileOptions | None) -> str:
        """Return the name of a file with `options`."""
        assert options is not None
        return f"{options.name}{self.suffix}"

    def provenance(self, options: FileOptions | None) -> dict[str, str | None]:
        """Return the scheme and the engine."""
        assert isinstance(options, TFLiteOptions)
        return {"scheme": options.name, "engine": options.engine.name}

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the file `target`."""
        options, metadata = conversion.options, conversion.metadata
        assert isinstance(options, TFLiteOptions)
        write_tflite(model, options, conversion.calibration_images, target, metadata, conversion.folder)
        write_metadata(target, metadata, options.pixel_offset)

    def prepare(self, model: keras.Model, options: FileOptions | None, folder: Path) -> None:
        """Write the SavedModel that is converted."""
        assert isinstance(options, TFLiteOptions)
        if not options.scheme.is_qat:  # whose ranges would be frozen before they are looked at
            write_model_to_convert(model, options, folder)

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the file `path`; needs no TensorFlow."""
        return TFLiteModel(path, threads)

    def renew_confidence(self, path: Path, confidence: Confidence) -> bool:
        """Write `confidence` into the metadata that follow the FlatBuffer."""
        content = replace_confidence(path.read_bytes(), confidence, path)
        with write_atomically(path) as temporary:
            temporary.write_bytes(content)
        return True

    def read_contents(self, model: LoadedModel) -> Contents | None:
        """Return the file's operators and tensor types."""
        return read_contents(model.content) if isinstance(model, TFLiteModel) else None


def write_tflite(
    model: keras.Model,
    options: TFLiteOptions,
    images: np.ndarray | None,
    target: Path,
    metadata: ModelMetadata | None = None,
    folder: Path | None = None,
) -> None:
    """Convert `model` to `target`, a file without metadata.

    images: for calibration, uint8 (N, H, W, C), where the scheme needs them. metadata: of a detector whose file is to
    end in objects. folder: see `Conversion`. Raises UsageError for a layer to keep in float that the model does not
    have.
    """
    content = _ENGINES[options.engine.name](model, replace(options, with_nms=False), images, folder)
    if options.with_nms:
        assert metadata is not None
        content = append_postprocess(content, metadata)
    target.write_bytes(content)


def write_model_to_convert(model: keras.Model, options: TFLiteOptions, folder: Path) -> Path:
    """Write the SavedModel that files with `options` are made of into `folder`, unless it is there; return its path."""
    saved = folder / f"{'uint8' if options.casts_pixels else 'float32'}-{options.batch}"
    if not saved.is_dir():
        from keras_resnet.export.formats.portable_operators import with_portable_operators

        portable = with_portable_operators(model)
        write_inference_signature(portable, saved, uint8_input=options.casts_pixels, batch=options.batch)
    return saved


def _convert_by_tensorflow(
    model: keras.Model, options: TFLiteOptions, images: np.ndarray | None, folder: Path | None
) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        # A conversion changes a network that was trained with 8 bits, so that what is made of it serves that one alone.
        kept = folder if folder and not options.scheme.is_qat else Path(scratch)
        return TensorFlowConversion(model, options, images, kept).run()


def _convert_by_litert_quantizer(
    model: keras.Model, options: TFLiteOptions, images: np.ndarray | None, folder: Path | None
) -> bytes:
    assert images is not None
    float32 = replace(options, scheme=SCHEMES["float32"])
    return quantize_tflite(_convert_by_tensorflow(model, float32, None, folder), _samples(images, float32))


_ENGINES = {TENSORFLOW.name: _convert_by_tensorflow, LITERT_QUANTIZER.name: _convert_by_litert_quantizer}


def _samples(images: np.ndarray, options: TFLiteOptions) -> Iterator[Sample]:
    """Yield calibration images as the signature that is converted with `options` takes them."""
    dtype, batch = np.uint8 if options.casts_pixels else np.float32, options.batch or 1
    for start in range(0, len(images) - batch + 1, batch):
        yield {"pixels": images[start : start + batch].astype(dtype)}


@dataclass(frozen=True)
class TensorFlowConversion:
    """One conversion by TensorFlow's converter. images: for calibration, uint8 (N, H, W, C). folder: takes the
    SavedModel that is converted."""

    model: keras.Model
    options: TFLiteOptions
    images: np.ndarray | None
    folder: Path

    def run(self) -> bytes:
        """Return the bytes of the file. Raises UsageError or ExportError."""
        options, images = self.options, self.images
        if options.scheme.is_qat:
            from keras_resnet.compression.quantization.freeze import prepare_for_conversion

            prepare_for_conversion(self.model)
        if options.scheme.needs_calibration and images is not None and options.batch and options.batch > len(images):
            count = counted(len(images), "calibration image")
            raise UsageError(f"--batch must be at most the {count}. Received: {options.batch}")
        converter = self._build_converter(write_model_to_convert(self.model, options, self.folder))
        if options.ranges == MIN_MAX and not options.keep_float:
            return bytes(converter.convert())
        quantize = self._calibrate(converter)
        content = quantize([])
        return quantize(self._find_nodes(content)) if options.keep_float else content

    def _build_converter(self, saved: Path) -> tf.lite.TFLiteConverterV2:
        import tensorflow as tf

        lite, options, scheme = tf.lite, self.options, self.options.scheme
        converter = lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[INFERENCE_SIGNATURE])
        converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS]
        if scheme.is_quantized:
            converter.optimizations = [lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel = options.per_tensor
        if scheme.weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if scheme.needs_calibration:
            assert self.images is not None
            converter.representative_dataset = self._samples
        if scheme.activations == "int16":
            int16 = lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            # Only the cast of pixels needs the second set.
            casts = [lite.OpsSet.TFLITE_BUILTINS] if options.casts_pixels else []
            converter.target_spec.supported_ops = [int16, *casts]
        if scheme.activations == "int8" and not options.keep_float:
            if not scheme.is_qat:
                converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]
            if options.is_integer:
                converter.inference_input_type = converter.inference_output_type = getattr(tf, options.io)
        return converter

    def _samples(self) -> Iterator[Sample]:
        assert self.images is not None
        return _samples(self.images, self.options)

    def _calibrate(self, converter: tf.lite.TFLiteConverterV2) -> Callable[[list[str]], bytes]:
        """Return what makes an 8-bit file, with the nodes of those names left in float."""
        import tensorflow as tf
        from tensorflow.lite.python.convert import mlir_quantize

        from keras_resnet.export.formats.activation_ranges import narrow_ranges

        options = self.options
        converter._experimental_calibrate_only = True
        calibrated: bytes = converter.convert()
        if options.ranges != MIN_MAX:
            calibrated = narrow_ranges(calibrated, self._samples(), options.ranges)
        dtype = getattr(tf, options.io) if options.is_integer else tf.float32

        def quantize(kept: list[str]) -> bytes:
            return bytes(
                mlir_quantize(
                    calibrated,
                    options.per_tensor,
                    input_data_type=dtype,
                    output_data_type=dtype,
                    denylisted_nodes=kept,
                )
            )

        return quantize

    def _find_nodes(self, quantized: bytes) -> list[str]:
        """Return what the layers to keep in float are called in the file `quantized`. Raises ExportError for one that
        is not there."""
        layers = self.options.keep_float
        names = find_layer_outputs(quantized, layers)
        if lost := [layer for layer in layers if not names[layer]]:
            raise ExportError(f"the layers {', '.join(lost)} have no operator of their own in the file")
        return [name for each in names.values() for name in each]
