"""What stands in a .tflite file: its operators and tensor types, read from the FlatBuffer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.errors import ExportError


@dataclass(frozen=True)
class Contents:
    """operators: builtin names, e.g. CONV_2D; custom: names of ops that are no builtins; dtypes: of all tensors."""

    operators: frozenset[str]
    custom: frozenset[str]
    dtypes: frozenset[str]


def contents_of(file: Path) -> Contents:
    """Operators and tensor types of `file`, over all its subgraphs."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    types = _names(schema.TensorType)
    builtins = _names(schema.BuiltinOperator)
    codes = [(c.builtinCode, c.customCode) for c in model.operatorCodes]
    return Contents(
        frozenset(builtins[code] for code, custom in codes if custom is None),
        frozenset(custom.decode() for _, custom in codes if custom is not None),
        frozenset(types[t.type] for graph in model.subgraphs for t in graph.tensors),
    )


def assert_contents(file: Path, *, integer: bool) -> None:
    """Raises ExportError unless `file` has builtin ops only and, if `integer`, no float tensor."""
    contents = contents_of(file)
    if contents.custom:
        raise ExportError(
            f"{file.name} holds operators that are not TFLite builtins: {', '.join(sorted(contents.custom))}"
        )
    floats = {t for t in contents.dtypes if t.startswith(("FLOAT", "BFLOAT"))}
    if integer and floats:
        raise ExportError(f"{file.name} should hold integers only, but has tensors of {', '.join(sorted(floats))}")


def _names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
