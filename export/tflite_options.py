"""What the numbers in a TFLite file are, and what goes in and comes out. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from keras_resnet.config.fields import one_of
from keras_resnet.errors import UsageError
from keras_resnet.runtime.predictions import CLASSIFY

IO_TYPES = {
    "uint8": "raw pixels in (browsers, MediaPipe); integer logits out of an int8 file, float ones out of the others",
    "int8": "pixels - 128 in and int8 logits out (microcontrollers, Ethos-U)",
    "float": "float32 pixels 0-255 in, float32 logits out",
}


@dataclass(frozen=True)
class Scheme:
    """weights, activations: their types. profiles: which inputs and outputs it can have, the default one first.
    learned: the ranges of activations were trained, so the network has to be a quantized one."""

    name: str
    weights: str
    activations: str
    io_types: tuple[str, ...] = ("uint8", "float")
    learned: bool = False

    @property
    def needs_calibration(self) -> bool:
        """Whether the ranges of activations have to be measured."""
        return self.activations != "float32" and not self.learned


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("float32", "float32", "float32"),
        Scheme("float16", "float16", "float32"),
        Scheme("dynamic", "int8", "float32"),
        Scheme("int8", "int8", "int8", ("uint8", "int8", "float")),
        Scheme("int16x8", "int8", "int16"),
        Scheme("qat", "int8", "int8", ("uint8", "int8", "float"), learned=True),
    )
}
# Another name for a scheme with a profile.
SCHEME_ALIASES = {"int8-float-io": ("int8", "float")}
DEFAULT_SCHEMES = ("float32", "int8")
QAT_SCHEMES = ("qat",)
# What makes 8 bits: TensorFlow's converter, or of its float file litert-quantizer.
TENSORFLOW, LITERT_QUANTIZER = "tensorflow", "litert-quantizer"
ENGINES = (TENSORFLOW, LITERT_QUANTIZER)


@dataclass(frozen=True)
class TFLiteOptions:
    """One TFLite file to be.

    batch: images of one inference; None for any number. keep_float: layers that are not quantized. engine: of ENGINES;
    litert-quantizer leaves pixels and logits as the float file has them. full: whether a detector's file makes objects
    of its outputs itself.
    """

    scheme: Scheme
    io: str
    batch: int | None = 1
    keep_float: tuple[str, ...] = ()
    engine: str = TENSORFLOW
    full: bool = False

    @property
    def name(self) -> str:
        """The scheme, and what departs from its default."""
        io = f"-{self.io}-io" if self.io != self.scheme.io_types[0] else ""
        batch = {1: "", None: "-batches"}.get(self.batch, f"-batch{self.batch}")
        engine, full = "-litert" if self.engine == LITERT_QUANTIZER else "", "-full" if self.full else ""
        return f"{self.scheme.name}{io}{batch}{'-mixed' if self.keep_float else ''}{engine}{full}"

    @property
    def file_name(self) -> str:
        """The name of the exported file."""
        return f"{self.name}.tflite"

    @property
    def pixels_from(self) -> float:
        """What stands in the file's input for a pixel of 0."""
        return -128.0 if self.io == "int8" else 0.0

    @property
    def integer(self) -> bool:
        """Whether no tensor of the file may be of a floating-point type."""
        floats = self.io == "float" or self.keep_float or self.engine == LITERT_QUANTIZER or self.full
        return self.scheme.activations == "int8" and not floats


def build_tflite_options(
    names: Sequence[str],
    io: str | None = None,
    batch: int | None = 1,
    keep_float: Sequence[str] = (),
    learned: bool = False,
) -> list[TFLiteOptions]:
    """The files that `names` (of schemes, or "all"; none means the default ones) ask for, each once, of an ordinary
    network or one that was trained quantized (`learned`).

    Raises UsageError for an unknown scheme, one of the other kind of network, a profile it cannot have, and floats
    kept where all are floats.
    """
    found: dict[str, TFLiteOptions] = {}
    every = QAT_SCHEMES if learned else (*(name for name in SCHEMES if name not in QAT_SCHEMES), *SCHEME_ALIASES)
    for name in every if "all" in names else names or (QAT_SCHEMES if learned else DEFAULT_SCHEMES):
        scheme_name, fixed = SCHEME_ALIASES.get(name, (name, None))
        one_of("--quantize", name, (*SCHEMES, *SCHEME_ALIASES, "all"))
        scheme = SCHEMES[scheme_name]
        if scheme.learned != learned:
            what = "was trained with 8 bits" if learned else "was not trained with 8 bits (kresnet compress --qat)"
            raise UsageError(f"the run {what}: --quantize must be one of {', '.join(every)}. Received: {name!r}")
        profile = fixed or io or scheme.io_types[0]
        if profile not in scheme.io_types and "all" in names:
            continue
        one_of(f"--io of {name}", profile, scheme.io_types)
        if keep_float and (scheme.activations != "int8" or learned):
            if "all" in names:
                continue
            raise UsageError(f"--keep-float is for int8 files. Received: --quantize {name}")
        if keep_float and profile == "int8":
            raise UsageError(f"--keep-float leaves no integers at the end of a file. Received: --io {profile}")
        form = TFLiteOptions(scheme, profile, batch, tuple(keep_float))
        found[form.name] = form
    return list(found.values())


def with_engine(forms: Sequence[TFLiteOptions], engine: str) -> list[TFLiteOptions]:
    """`forms`, the int8 ones made by `engine`. Raises UsageError where that cannot make one of them, or there is none
    for it to make."""
    one_of("--engine", engine, ENGINES)
    mine = [form for form in forms if form.scheme.name == "int8"]
    if engine == TENSORFLOW:
        return list(forms)
    if not mine:
        raise UsageError(f"--engine {engine} is for int8 files: --tflite --quantize int8. None is asked for")
    if bad := [form for form in mine if form.io == "int8" or form.keep_float or form.batch != 1]:
        raise UsageError(
            f"--engine {engine} makes files of one image with uint8 or float pixels and float logits."
            f" Received: {bad[0].name}"
        )
    return [replace(form, engine=engine) if form in mine else form for form in forms]


def with_nms_variants(forms: Sequence[TFLiteOptions], task: str) -> list[TFLiteOptions]:
    """`forms` once more, which make objects of a detector's outputs themselves. Raises UsageError for a `task` without
    such, and for what cannot end in floats."""
    if task == CLASSIFY:
        raise UsageError("--full is for runs that localize, detect or segment. Received: one that classifies")
    if bad := [form for form in forms if form.batch != 1]:
        raise UsageError(f"--full makes files of one image. Received: {bad[0].name}")
    return [replace(form, full=True) for form in forms]


def form_from(document: dict[str, object]) -> TFLiteOptions:
    """The form that `as_dict` described."""
    values = {each.name: document[each.name] for each in fields(TFLiteOptions)}
    values["scheme"] = SCHEMES[str(values["scheme"])]
    values["keep_float"] = tuple(values["keep_float"])  # type: ignore[arg-type]
    return TFLiteOptions(**values)  # type: ignore[arg-type]


def as_dict(form: TFLiteOptions) -> dict[str, object]:
    """A form as a JSON object."""
    values = {each.name: getattr(form, each.name) for each in fields(TFLiteOptions)}
    return {**values, "scheme": form.scheme.name, "keep_float": list(form.keep_float)}
