"""Options of a TFLite file: which types its numbers have, and what its inputs and outputs are. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Literal, cast

from keras_resnet.config.foreign_words import answer_value
from keras_resnet.errors import UsageError, require_one_of


@dataclass(frozen=True)
class Scheme:
    """A quantization scheme.

    weights, activations: their types. is_qat: ranges of activations were learned in training, so the network has to be
    a quantized one. io_types: the inputs and outputs it can have, the default one first:

    - "uint8": raw pixels in (browsers, MediaPipe); integer logits out of an int8 file, float ones out of the others.
    - "int8": pixels - 128 in and int8 logits out (microcontrollers, Ethos-U).
    - "float": float32 pixels 0-255 in, float32 logits out.
    """

    name: str
    weights: str
    activations: str
    io_types: tuple[str, ...] = ("uint8", "float")
    is_qat: bool = False

    @property
    def needs_calibration(self) -> bool:
        """Whether the ranges of activations have to be measured."""
        return self.has_integer_activations and not self.is_qat

    @property
    def has_integer_activations(self) -> bool:
        """Whether activations are integers."""
        return self.activations != "float32"

    @property
    def is_quantized(self) -> bool:
        """Whether any numbers are not float32."""
        return self.weights != "float32"

    @property
    def is_int8_ptq(self) -> bool:
        """Whether it is 8 bits for both after training, which engines, remedies and float layers are for."""
        return self.activations == "int8" and not self.is_qat


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("float32", "float32", "float32"),
        Scheme("float16", "float16", "float32"),
        Scheme("dynamic", "int8", "float32"),
        Scheme("int8", "int8", "int8", ("uint8", "int8", "float")),
        Scheme("int16x8", "int8", "int16"),
        Scheme("qat", "int8", "int8", ("uint8", "int8", "float"), is_qat=True),
    )
}
# Another name for a scheme with a type of inputs and outputs.
SCHEME_ALIASES = {"int8-float-io": ("int8", "float")}
DEFAULT_SCHEMES = ("float32", "int8")
QAT_SCHEMES = ("qat",)
ALL = "all"
# How ranges of activations are taken: from the smallest to the largest value; narrower, with a few values cut off.
RangeMethod = Literal["min-max", "percentile", "mse"]
MIN_MAX: RangeMethod = "min-max"


@dataclass(frozen=True)
class Engine:
    """What makes 8-bit files.

    suffix: of their names. has_float_ends: inputs and outputs stay as the float file has them. package: beside
    TensorFlow, and the extra of kresnet that brings it.
    """

    name: str
    suffix: str = ""
    has_float_ends: bool = False
    package: str = ""
    extra: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return not self.package or find_spec(self.package) is not None

    def require_installed(self) -> None:
        """Raise UsageError unless its package is there."""
        if not self.is_installed:
            raise UsageError(f"--engine {self.name} needs that package: pip install 'kresnet[{self.extra}]'")


TENSORFLOW = Engine("tensorflow")
# Rounds TensorFlow's float file.
LITERT_QUANTIZER = Engine("litert-quantizer", "-litert", True, "litert_quantizer", "litert")
ENGINES = {engine.name: engine for engine in (TENSORFLOW, LITERT_QUANTIZER)}


@dataclass(frozen=True)
class TFLiteOptions:
    """Options of one TFLite file.

    io: of its scheme's io_types. batch: images of one inference, None for any number. keep_float: layers that are not
    quantized. with_nms: whether a detector's file ends in objects rather than in raw outputs. per_tensor: whether all
    weights of a layer have one scale, rather than one for each output channel. ranges: how those of activations are
    taken from what calibration images give.
    """

    scheme: Scheme
    io: str
    batch: int | None = 1
    keep_float: tuple[str, ...] = ()
    engine: Engine = TENSORFLOW
    with_nms: bool = False
    per_tensor: bool = False
    ranges: RangeMethod = MIN_MAX

    @property
    def name(self) -> str:
        """The scheme, and what departs from its default."""
        io = f"-{self.io}-io" if self.io != self.scheme.io_types[0] else ""
        batch = {1: "", None: "-batches"}.get(self.batch, f"-batch{self.batch}")
        mixed, nms = "-mixed" if self.keep_float else "", "-nms" if self.with_nms else ""
        scales = "-per-tensor" if self.per_tensor else ""
        ranges = f"-{self.ranges}" if self.ranges != MIN_MAX else ""
        return f"{self.scheme.name}{scales}{ranges}{io}{batch}{mixed}{self.engine.suffix}{nms}"

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be measured."""
        return self.scheme.needs_calibration

    @property
    def pixel_offset(self) -> float:
        """The value in the file's input that stands for a pixel of 0."""
        return -128.0 if self.io == "int8" else 0.0

    @property
    def is_integer(self) -> bool:
        """Whether no tensor of the file may be of a floating-point type."""
        has_floats = self.io == "float" or self.keep_float or self.engine.has_float_ends or self.with_nms
        return self.scheme.activations == "int8" and not has_floats

    @property
    def casts_pixels(self) -> bool:
        """Whether uint8 pixels are cast in the graph; an integer file takes them as they are, by its input's scale."""
        return self.io == "uint8" and not self.is_integer

    def to_dict(self) -> dict[str, object]:
        """Return the options as a JSON object."""
        return {**asdict(self), "scheme": self.scheme.name, "engine": self.engine.name}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> TFLiteOptions:
        """Return the options that `to_dict` described."""
        batch, layers = document["batch"], document["keep_float"]
        assert (batch is None or isinstance(batch, int)) and isinstance(layers, Sequence)
        return cls(
            SCHEMES[str(document["scheme"])],
            str(document["io"]),
            batch,
            tuple(map(str, layers)),
            ENGINES[str(document["engine"])],
            bool(document["with_nms"]),
            bool(document["per_tensor"]),
            cast(RangeMethod, document["ranges"]),
        )


@dataclass(frozen=True)
class TFLiteRequest:
    """What is asked of all TFLite files of a run.

    io: of `Scheme.io_types`, None for each scheme's default. is_qat: the run was trained with 8 bits.
    """

    io: str | None = None
    batch: int | None = 1
    keep_float: tuple[str, ...] = ()
    is_qat: bool = False

    @property
    def possible_schemes(self) -> tuple[str, ...]:
        """Names of the schemes that the run's network can have."""
        if self.is_qat:
            return QAT_SCHEMES
        return (*(name for name in SCHEMES if name not in QAT_SCHEMES), *SCHEME_ALIASES)

    def build(self, names: Sequence[str] = ()) -> list[TFLiteOptions]:
        """Return the options of the files that `names` (of schemes, or "all"; none means the default ones) ask for,
        each once.

        Raises UsageError for an unknown scheme, one that the network cannot have, inputs and outputs that a scheme
        cannot have, and floats kept where all are floats.
        """
        asks_all = ALL in names
        usual = QAT_SCHEMES if self.is_qat else DEFAULT_SCHEMES
        built = {}
        for name in self.possible_schemes if asks_all else names or usual:
            if options := self._build_one(name, skips_impossible=asks_all):
                built[options.name] = options
        return list(built.values())

    def _build_one(self, name: str, *, skips_impossible: bool) -> TFLiteOptions | None:
        scheme_name, fixed_io = SCHEME_ALIASES.get(name, (name, None))
        require_scheme(name)
        scheme = SCHEMES[scheme_name]
        self._require_possible(name, scheme)
        io = fixed_io or self.io or scheme.io_types[0]
        if skips_impossible and (io not in scheme.io_types or (self.keep_float and not scheme.is_int8_ptq)):
            return None
        require_one_of(f"--io of {name}", io, scheme.io_types)
        if self.keep_float and not scheme.is_int8_ptq:
            raise UsageError(f"--keep-float is for int8 files: --tflite --quantize int8. Received: {name}")
        if self.keep_float and io == "int8":
            raise UsageError(f"--keep-float leaves no integers at the end of a file. Received: --io {io}")
        return TFLiteOptions(scheme, io, self.batch, self.keep_float)

    def _require_possible(self, name: str, scheme: Scheme) -> None:
        if scheme.is_qat == self.is_qat:
            return
        words = "was trained with 8 bits" if self.is_qat else "was not trained with 8 bits (kresnet compress --qat)"
        allowed = ", ".join(self.possible_schemes)
        raise UsageError(f"the run {words}: --quantize must be one of {allowed}. Received: {name!r}")


def require_scheme(name: str) -> None:
    """Raise UsageError, with what is meant, for the name of no scheme."""
    if answer := answer_value("--quantize", name):
        raise UsageError(f"there is no --quantize {name}. {answer}.")
    require_one_of("--quantize", name, (*SCHEMES, *SCHEME_ALIASES, ALL))


def with_engine(files: Sequence[TFLiteOptions], name: str) -> list[TFLiteOptions]:
    """Return `files`, the int8 ones made by the engine called `name`.

    Raises UsageError where it cannot make one of them, or there is none for it to make.
    """
    require_one_of("--engine", name, tuple(ENGINES))
    engine = ENGINES[name]
    if engine == TENSORFLOW:
        return list(files)
    int8 = [options for options in files if options.scheme.is_int8_ptq]
    if not int8:
        raise UsageError(f"--engine {name} is for int8 files: --tflite --quantize int8. None is asked for")
    if bad := [each for each in int8 if each.io == "int8" or each.keep_float or each.batch != 1]:
        raise UsageError(
            f"--engine {name} makes files of one image with uint8 or float pixels and float logits."
            f" Received: {bad[0].name}"
        )
    return [replace(options, engine=engine) if options in int8 else options for options in files]


def with_scales_per_tensor(files: Sequence[TFLiteOptions]) -> list[TFLiteOptions]:
    """Return `files`, the int8 ones with one scale for all weights of a layer.

    Raises UsageError where there is none, or another engine than TensorFlow makes them.
    """
    int8 = [options for options in files if options.scheme.is_int8_ptq]
    if not int8:
        raise UsageError("--per-tensor is for int8 files: --tflite --quantize int8. None is asked for")
    if bad := [options for options in int8 if options.engine != TENSORFLOW]:
        raise UsageError(f"--per-tensor is for --engine {TENSORFLOW.name}. Received: {bad[0].engine.name}")
    return [replace(options, per_tensor=True) if options in int8 else options for options in files]


def with_ranges(files: Sequence[TFLiteOptions], method: RangeMethod) -> list[TFLiteOptions]:
    """Return `files`, the int8 ones with ranges of activations by `method`.

    Raises UsageError where there is none, or another engine than TensorFlow makes them.
    """
    if method == MIN_MAX:
        return list(files)
    int8 = [options for options in files if options.scheme.is_int8_ptq]
    if not int8:
        raise UsageError(f"--ranges {method} is for int8 files: --tflite --quantize int8. None is asked for")
    if bad := [options for options in int8 if options.engine != TENSORFLOW]:
        raise UsageError(f"--ranges {method} is for --engine {TENSORFLOW.name}. Received: {bad[0].engine.name}")
    return [replace(options, ranges=method) if options in int8 else options for options in files]


def with_nms_variants(files: Sequence[TFLiteOptions], task: str) -> list[TFLiteOptions]:
    """Return `files` once more, ending in objects.

    Raises UsageError for a `task` that finds none, and for files of several images.
    """
    from keras_resnet.tasks import TASKS  # which a process that only times a file does without

    if not TASKS[task].finds_objects():
        raise UsageError(f"--with-nms is for runs that localize, detect or segment. Received: one of --task {task}")
    if bad := [options for options in files if options.batch != 1]:
        raise UsageError(f"--with-nms makes files of one image. Received: {bad[0].name}")
    return [replace(options, with_nms=True) for options in files]


def build_tflite_options(names: Sequence[str] = (), request: TFLiteRequest | None = None) -> list[TFLiteOptions]:
    """Return `TFLiteRequest.build(names)` of a `request`, by default for the usual inputs and one image at a time."""
    return (request or TFLiteRequest()).build(names)
