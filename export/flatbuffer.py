"""What stands in a .tflite file: its operators and tensor types, read from the FlatBuffer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from keras_resnet.errors import ExportError


@dataclass(frozen=True)
class Contents:
    """operators: how many of each builtin, e.g. CONV_2D; custom: names of ops that are no builtins; dtypes: how many
    tensors of each type."""

    operators: dict[str, int]
    custom: frozenset[str]
    dtypes: dict[str, int]

    @property
    def float_dtypes(self) -> set[str]:
        """The floating-point types among the tensors."""
        return {name for name in self.dtypes if name.startswith(("FLOAT", "BFLOAT"))}


def pack_model(model: Any) -> bytes:
    """A model of the schema's object API as the bytes of a file."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read_contents(file: bytes) -> Contents:
    """Operators and tensor types of a file's bytes, over all its subgraphs. Raises ExportError if it is damaged."""
    try:
        return _contents(file)
    except Exception as error:  # flatbuffers checks nothing, so this may be of any kind
        raise ExportError("the file is damaged: its operators and tensors cannot be read") from error


def _contents(file: bytes) -> Contents:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file, 0)
    types = _names(schema.TensorType)
    builtins = _names(schema.BuiltinOperator)
    used = [model.operatorCodes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators]
    return Contents(
        dict(Counter(builtins[code.builtinCode] for code in used if code.customCode is None)),
        frozenset(code.customCode.decode() for code in used if code.customCode is not None),
        dict(Counter(types[t.type] for graph in model.subgraphs for t in graph.tensors)),
    )


def check_contents(contents: Contents, name: str, *, integer: bool) -> None:
    """Raises ExportError unless the file `name` has builtin ops only and, if `integer`, no float tensor."""
    if contents.custom:
        raise ExportError(f"{name} holds operators that are not TFLite builtins: {', '.join(sorted(contents.custom))}")
    if integer and contents.float_dtypes:
        raise ExportError(
            f"{name} should hold integers only, but has tensors of {', '.join(sorted(contents.float_dtypes))}"
        )


def find_layer_outputs(file: bytes, layers: tuple[str, ...]) -> dict[str, list[str]]:
    """For each layer the outputs of the operators that it became, by names of their output or of their weights.

    TensorFlow fuses operators ("net/relu1/Relu;net/conv1/convolution") and adds numbers to names.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(file, 0).subgraphs[0]
    found: dict[str, list[str]] = {layer: [] for layer in layers}
    final = {int(index) for index in graph.outputs}
    for op in graph.operators:
        names = [graph.tensors[index].name.decode() for index in (*op.inputs[1:], *op.outputs) if index >= 0]
        parts = {
            part.rpartition("_")[0] if _numbered(part) else part
            for n in names
            for part in n.replace(";", "/").split("/")
        }
        outputs = {graph.tensors[index].name.decode() for index in op.outputs}
        # The last operator's output is renamed where its integers become the file's output.
        outputs |= {graph.tensors[index].name.decode() for index in final if op is _last_weighted(graph)}
        for layer in layers:
            if layer in parts:
                found[layer] += sorted(outputs)
    return found


def _last_weighted(graph: Any) -> Any:
    return next(op for op in reversed(graph.operators) if len(op.inputs) > 1)


def _numbered(part: str) -> bool:
    return part.rpartition("_")[2].isdigit()


def _names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
