"""The operators of TensorFlow Lite Micro, and the C++ that registers those of a file."""

from __future__ import annotations

from collections.abc import Iterable

# Builtin operators that tflite-micro 0.dev20261023182759 has kernels for and MicroMutableOpResolver a method.
_NAMES = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV
    ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL
    HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC
    LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE
    READ_VARIABLE REDUCE_MAX RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SELECT_V2 SHAPE SIN
    SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE
    SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
KERNELS = frozenset(_NAMES.split())
# Where a method is not the operator's name in camel case.
_METHODS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


def name_method(operator: str) -> str:
    """Return the method of MicroMutableOpResolver that registers an operator: CONV_2D is AddConv2D."""
    words = (word if word[0].isdigit() else word.capitalize() for word in operator.split("_"))
    return f"Add{_METHODS.get(operator) or ''.join(words)}"


def find_unsupported(operators: Iterable[str]) -> tuple[str, ...]:
    """Return those of the operators that have no kernel."""
    return tuple(sorted(set(operators) - KERNELS))


def write_resolver(operators: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of C++ that register these operators and no others; none where one has no kernel."""
    names = sorted(set(operators))
    if find_unsupported(names):
        return ()
    calls = (f"resolver.{name_method(name)}();" for name in names)
    return (f"static tflite::MicroMutableOpResolver<{len(names)}> resolver;", *calls)
