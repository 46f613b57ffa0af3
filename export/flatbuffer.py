"""FlatBuffers of .tflite files: their operators and tensor types, and models packed into bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_resnet.errors import ExportError

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
FLOAT_TYPES = ("FLOAT", "BFLOAT")
# Tensors that are named where they should not be.
MAX_NAMED = 5


@dataclass(frozen=True)
class Contents:
    """operators: how many of each builtin, e.g. CONV_2D; custom: names of operators that are no builtins; dtypes: how
    many tensors of each type; float_tensors: the names of those of floating point."""

    operators: dict[str, int]
    custom: frozenset[str]
    dtypes: dict[str, int]
    float_tensors: tuple[str, ...] = ()

    @property
    def float_dtypes(self) -> set[str]:
        """The floating-point types among the tensors."""
        return {name for name in self.dtypes if name.startswith(FLOAT_TYPES)}


def unpack_model(file: bytes) -> schema.ModelT:
    """Return a file's bytes as a model of the schema's object API."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(file, 0)


def pack_model(model: schema.ModelT) -> bytes:
    """Return a model of the schema's object API as the bytes of a file."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def read_contents(file: bytes) -> Contents:
    """Return the operators and tensor types of a file's bytes, over all its subgraphs. Raises ExportError if it is
    damaged."""
    try:
        return _count(unpack_model(file))
    except Exception as error:  # flatbuffers checks nothing, so this may be of any kind
        raise ExportError("the file is damaged: its operators and tensors cannot be read") from error


def _count(model: schema.ModelT) -> Contents:
    from ai_edge_litert import schema_py_generated as schema

    types = member_names(schema.TensorType)
    builtins = member_names(schema.BuiltinOperator)
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    used = [model.operatorCodes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators]
    return Contents(
        dict(Counter(builtins[code.builtinCode] for code in used if code.customCode is None)),
        frozenset(code.customCode.decode() for code in used if code.customCode is not None),
        dict(Counter(types[tensor.type] for tensor in tensors)),
        tuple(each.name.decode(errors="replace") for each in tensors if types[each.type].startswith(FLOAT_TYPES)),
    )


def check_contents(contents: Contents, name: str, *, is_integer: bool) -> None:
    """Raise ExportError unless the file `name` has builtin operators only and, if `is_integer`, no float tensor."""
    if contents.custom:
        raise ExportError(f"{name} holds operators that are not TFLite builtins: {', '.join(sorted(contents.custom))}")
    if is_integer and contents.float_dtypes:
        types, tensors = ", ".join(sorted(contents.float_dtypes)), ", ".join(contents.float_tensors[:MAX_NAMED])
        raise ExportError(f"{name} should hold integers only, but has tensors of {types}: {tensors}")


def find_layer_outputs(file: bytes, layers: tuple[str, ...]) -> dict[str, list[str]]:
    """Return for each layer the outputs of the operators that it became, by names of their output or of their weights.

    TensorFlow fuses operators ("net/relu1/Relu;net/conv1/convolution") and adds numbers to names.
    """
    graph = unpack_model(file).subgraphs[0]
    outputs_by_layer: dict[str, list[str]] = {layer: [] for layer in layers}
    last = next(op for op in reversed(graph.operators) if len(op.inputs) > 1) if graph.operators else None
    for op in graph.operators:
        # The last operator's output is renamed where its integers become the file's output.
        indices = {int(index) for index in (*op.outputs, *(graph.outputs if op is last else ()))}
        outputs = {graph.tensors[index].name.decode() for index in indices}
        for layer in _layer_names(op, graph) & set(layers):
            outputs_by_layer[layer] += sorted(outputs)
    return outputs_by_layer


def _layer_names(op: schema.OperatorT, graph: schema.SubGraphT) -> set[str]:
    """Return the parts of the names of an operator's weights and outputs, without the numbers that were added."""
    names = [graph.tensors[index].name.decode() for index in (*op.inputs[1:], *op.outputs) if index >= 0]
    parts = [part for name in names for part in name.replace(";", "/").split("/")]
    return {part.rpartition("_")[0] if part.rpartition("_")[2].isdigit() else part for part in parts}


def member_names(enumeration: type) -> dict[int, str]:
    """Return the names of the members of one of the schema's enumerations, by value."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
