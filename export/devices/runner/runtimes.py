"""Runtimes that compute a TFLite file: LiteRT's interpreter and compiled model, OpenVINO, TensorFlow Lite Micro."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import tempfile
from abc import ABC, abstractmethod
from importlib import metadata
from typing import Any

import numpy as np

from .pipes import DeviceError, MissingAcceleratorError, in_one_line
from .requirements import LITERT

CPU = "cpu"
Arrays = dict[str, np.ndarray]


class Signature:
    """The one input of a file, and its outputs by name, as LiteRT's `interpreter` has them."""

    def __init__(self, interpreter: Any) -> None:
        self.input = interpreter.get_input_details()[0]
        self.order = interpreter.get_output_details()
        key = next(iter(interpreter.get_signature_list()))
        self.outputs = interpreter.get_signature_runner(key).get_output_details()
        first = int((*self.input["shape_signature"], 0)[0])
        self.batch = None if first < 0 else first

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """Return pixels as the type of the input, whose scale is 1 in files of kresnet."""
        if self.input["dtype"] is np.int8:
            return (images.astype(np.int16) - 128).astype(np.int8)
        return images.astype(self.input["dtype"])

    def floats(self, name: str, raw: np.ndarray) -> np.ndarray:
        """Return a raw output as float32."""
        scale, zero_point = self.outputs[name]["quantization"]
        raw = raw.astype(np.float32)
        return np.asarray((raw - zero_point) * scale if scale else raw, dtype=np.float32)


class Runtime(ABC):
    """A file that can be computed.

    version: of the package. threads: on the CPU. fully_accelerated: whether no operator runs on the CPU.
    """

    version: str
    threads: int
    signature: Signature
    fully_accelerated = False

    @abstractmethod
    def compute(self, pixels: np.ndarray) -> Arrays:
        """Return the raw outputs, by name, of one batch as the file's input has it."""

    def run(self, images: np.ndarray) -> Arrays:
        """Return the outputs by name, float32, of uint8 images (N, H, W, C)."""
        size = self.signature.batch or 1
        parts = []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            parts.append(self.compute(self.signature.pixels(filled)))
        whole = {name: np.concatenate([each[name] for each in parts])[: len(images)] for name in parts[0]}
        return {name: self.signature.floats(name, each) for name, each in whole.items()}

    @property
    def arena_bytes(self) -> int | None:
        """The working memory that the file needs, where the runtime has a fixed one."""
        return None


class Interpreter(Runtime):
    """LiteRT's or TensorFlow Lite's interpreter: on the CPU."""

    def __init__(self, content: bytes, threads: int | None) -> None:
        module, self.version = import_litert("interpreter")
        self.threads = threads or os.cpu_count() or 1
        self._interpreter = module.Interpreter(model_content=content, num_threads=self.threads)
        self.signature = Signature(self._interpreter)
        if self.signature.batch is None:
            shape = [1, *(int(side) for side in self.signature.input["shape"][1:])]
            self._interpreter.resize_tensor_input(self.signature.input["index"], shape)
        self._interpreter.allocate_tensors()

    def compute(self, pixels: np.ndarray) -> Arrays:
        """Return the raw outputs, by name, of one batch as the file's input has it."""
        self._interpreter.set_tensor(self.signature.input["index"], pixels)
        self._interpreter.invoke()
        outputs = self.signature.outputs.items()
        return {name: self._interpreter.get_tensor(each["index"]) for name, each in outputs}


class CompiledModel(Runtime):
    """LiteRT's compiled model: on the CPU, a GPU or an NPU. What these do not take runs on the CPU."""

    def __init__(self, content: bytes, threads: int | None, accelerator: str) -> None:
        interpreter, self.version = import_litert("interpreter")
        self.threads = threads or os.cpu_count() or 1
        self.signature = Signature(interpreter.Interpreter(model_content=content))
        if self.signature.batch is None:
            raise DeviceError("a file that takes any number of images cannot be compiled: export it with --batch 1")
        self._model = self._compile(content, accelerator)
        self.fully_accelerated = accelerator != CPU and bool(self._model.is_fully_accelerated())
        self._inputs, self._outputs = self._model.create_input_buffers(0), self._model.create_output_buffers(0)
        self._names = next(iter(self._model.get_signature_list().values()))["outputs"]

    def _compile(self, content: bytes, accelerator: str) -> Any:
        module = import_litert("compiled_model")[0]
        units, options = import_litert("hardware_accelerator")[0].HardwareAccelerator, import_litert("options")[0]

        def compile_for(accelerators: Any) -> Any:
            chosen = options.Options(
                hardware_accelerators=accelerators, cpu_options=options.CpuOptions(num_threads=self.threads)
            )
            return module.CompiledModel.from_buffer(content, options=chosen)

        unit = getattr(units, accelerator.upper())
        try:
            return compile_for(unit)
        except RuntimeError as error:
            if "not accelerated" not in str(error):
                raise DeviceError(f"LiteRT cannot compile the file for the {accelerator.upper()}") from error
        return compile_for(unit | units.CPU)

    def compute(self, pixels: np.ndarray) -> Arrays:
        """Return the raw outputs, by name, of one batch as the file's input has it."""
        self._inputs[0].write(np.ascontiguousarray(pixels))
        self._model.run_by_index(0, self._inputs, self._outputs)
        found = {}
        for name, buffer in zip(self._names, self._outputs):  # noqa: B905 (Python 3.9)
            details = self.signature.outputs[name]
            shape = tuple(int(side) for side in details["shape"])
            found[name] = np.array(buffer.read(int(np.prod(shape)), details["dtype"])).reshape(shape)
        return found


class OpenVINO(Runtime):
    """OpenVINO, which reads TFLite files as they are: on the CPU, or on a GPU or NPU of Intel's."""

    def __init__(self, content: bytes, threads: int | None, accelerator: str) -> None:
        import openvino

        self.version = f"openvino {_version('openvino')}"
        self.threads = threads or os.cpu_count() or 1
        self.signature = Signature(import_litert("interpreter")[0].Interpreter(model_content=content))
        core, unit = openvino.Core(), accelerator.upper()
        if unit not in {name.partition(".")[0] for name in core.available_devices}:
            there = ", ".join(core.available_devices) or "nothing"
            raise MissingAcceleratorError(f"OpenVINO has no {unit} here: it has {there}")
        with tempfile.TemporaryDirectory() as folder:  # it reads such files by their name only
            path = os.path.join(folder, "model.tflite")
            with open(path, "wb") as file:
                file.write(content)
            model = _read(core, path)
        if self.signature.batch is None:
            model.reshape([1, *(int(side) for side in self.signature.input["shape"][1:])])
        on_cpu = {"INFERENCE_NUM_THREADS": self.threads} if accelerator == CPU else {}
        compiled = core.compile_model(model, unit, {"PERFORMANCE_HINT": "LATENCY", **on_cpu})
        self.fully_accelerated = accelerator != CPU  # it computes nothing elsewhere unless that is asked for
        self._request = compiled.create_infer_request()
        # OpenVINO keeps the order of the file's outputs, not their names.
        by_index = {int(each["index"]): name for name, each in self.signature.outputs.items()}
        self._names = [by_index[int(each["index"])] for each in self.signature.order]

    def compute(self, pixels: np.ndarray) -> Arrays:
        """Return the raw outputs, by name, of one batch as the file's input has it."""
        self._request.infer([np.ascontiguousarray(pixels)])
        places = enumerate(self._names)
        return {name: np.array(self._request.get_output_tensor(place).data) for place, name in places}


def _read(core: Any, path: str) -> Any:
    """Return the model at `path`. Raises DeviceError with the last line of what OpenVINO says."""
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise DeviceError(
            f"OpenVINO cannot read the file: {in_one_line(str(error).strip().splitlines()[-1])}"
        ) from error


class Micro(Runtime):
    """TensorFlow Lite Micro's interpreter, with the reference kernels of microcontrollers."""

    threads = 1

    def __init__(self, content: bytes) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self.version = f"tflite-micro {_version('tflite-micro')}"
        litert = import_litert("interpreter")[0].Interpreter(model_content=content)
        self.signature = Signature(litert)
        if self.signature.batch is None:
            raise DeviceError("TensorFlow Lite Micro takes files of a fixed number of images: export it with --batch 1")
        try:
            self._interpreter = runtime.Interpreter.from_bytes(content, arena_size=_enough_memory(litert, content))
        except RuntimeError as error:
            raise DeviceError(f"TensorFlow Lite Micro cannot run the file: {in_one_line(error)}") from error
        by_index = {int(each["index"]): name for name, each in self.signature.outputs.items()}
        self._names = [by_index[int(each["index"])] for each in self.signature.order]

    def compute(self, pixels: np.ndarray) -> Arrays:
        """Return the raw outputs, by name, of one batch as the file's input has it."""
        self._interpreter.set_input(pixels, 0)
        self._interpreter.invoke()
        return {name: self._interpreter.get_output(place).copy() for place, name in enumerate(self._names)}

    @property
    def arena_bytes(self) -> int | None:
        """The bytes of the arena: it prints them, when asked, to standard error."""
        with tempfile.TemporaryFile() as printed:
            former = os.dup(2)
            os.dup2(printed.fileno(), 2)
            try:
                self._interpreter.print_allocations()
            finally:
                os.dup2(former, 2)
                os.close(former)
            printed.seek(0)
            match = re.search(rb"Arena allocation total (\d+) bytes", printed.read())
        return int(match[1]) if match else None


def _enough_memory(interpreter: Any, content: bytes) -> int:
    """Return bytes that suffice for an arena: too small a one ends the process. All tensors at a time take no more, and
    what is kept for operators less than the package's own guess, ten times the file."""
    tensors = interpreter.get_tensor_details()
    sizes = (int(np.prod(each["shape"])) * np.dtype(each["dtype"]).itemsize for each in tensors)
    return int(10 * len(content) + sum(sizes))


def open_model(content: bytes, runtime: str, accelerator: str, threads: int | None) -> Runtime:
    """Return the loaded file. Raises DeviceError if the runtime does not take it."""
    try:
        if runtime == "tflm":
            return Micro(content)
        if runtime == "openvino":
            return OpenVINO(content, threads, accelerator)
        if runtime == "compiled-model" or accelerator != CPU:
            return CompiledModel(content, threads, accelerator)
        return Interpreter(content, threads)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(f"the runtime cannot open the file: {in_one_line(error)}") from error


def import_litert(name: str) -> tuple[Any, str]:
    """Return (a module of LiteRT's package, "ai-edge-litert 2.3.0"). Raises DeviceError if it cannot be imported."""
    package, module = next((package, module) for package, module in LITERT if importlib.util.find_spec(module))
    try:
        return importlib.import_module(f"{module}.{name}"), f"{package} {_version(package)}"
    except ImportError as error:
        if name != "interpreter":
            words = f"{package} {_version(package)} has no compiled models: only the interpreter can be used"
            raise DeviceError(words) from error
        raise DeviceError(f"{package} cannot be imported by {sys.executable}: {in_one_line(error)}") from error


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"
