"""Google's Edge TPU, by its published rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.export.accelerators.base import Accelerator, AcceleratorReport
from keras_resnet.export.flatbuffer import member_names, unpack_model

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema

# coral.ai/docs/edgetpu/models-intro, "Supported operations": those that can stand in a residual network's file; each
# with the highest version that edgetpu_compiler 16.0 knows. It is the last one, and built from TensorFlow 2.5: it
# refuses "CONV_2D version 6" (google-coral/edgetpu, issue 631). Versions by release: TensorFlow, lite/tools/versioning/
# runtime_version.cc.
OPERATORS = {
    **{"ADD": 3, "AVERAGE_POOL_2D": 3, "CONCATENATION": 3, "CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "FULLY_CONNECTED": 9},
    **{"LOGISTIC": 3, "MAX_POOL_2D": 3, "MEAN": 3, "MUL": 4, "PAD": 3, "QUANTIZE": 2, "RELU": 2, "RELU6": 3},
    **{"RESHAPE": 1, "RESIZE_NEAREST_NEIGHBOR": 3, "SOFTMAX": 3, "SUB": 5, "TANH": 3},
}


class EdgeTPU(Accelerator):
    """The Edge TPU."""

    def check(self, file: Path, folder: Path) -> AcceleratorReport:
        """Report on `file`; nothing is compiled."""
        model = unpack_model(file.read_bytes())
        operators = model.subgraphs[0].operators
        checked = [OperatorCheck(model, op) for op in operators]
        refused = tuple(f"{each.name} {each.output_name}: {why}" for each in checked if (why := each.find_fault()))
        return AcceleratorReport(self.name, file.name, 1 - len(refused) / len(operators), refused, {})


@dataclass(frozen=True)
class OperatorCheck:
    """The check of one operator of a file."""

    model: schema.ModelT
    operator: schema.OperatorT

    @property
    def name(self) -> str:
        """The builtin operator's name."""
        from ai_edge_litert import schema_py_generated as schema

        return member_names(schema.BuiltinOperator)[self._code.builtinCode]

    @property
    def _code(self) -> schema.OperatorCodeT:
        return self.model.operatorCodes[self.operator.opcodeIndex]

    @property
    def output_name(self) -> str:
        """The name of its output, of several that were fused the first."""
        return str(self._tensor(self.operator.outputs[0]).name.decode().split(";")[0])

    def _tensor(self, index: int) -> schema.TensorT:
        return self.model.subgraphs[0].tensors[index]

    def find_fault(self) -> str | None:
        """Return why the Edge TPU does not take the operator, or None."""
        from ai_edge_litert import schema_py_generated as schema

        if self.name not in OPERATORS:
            return "not among its operators"
        if self._code.version > OPERATORS[self.name]:
            return f"version {self._code.version} of the operator; its compiler knows up to {OPERATORS[self.name]}"
        types = (schema.TensorType.INT8, schema.TensorType.UINT8)
        output, first_input = self._tensor(self.operator.outputs[0]), self._tensor(self.operator.inputs[0])
        if output.type not in types or first_input.type not in types:
            return "not in 8 bits"
        if len(output.shape) > 3 and any(side > 1 for side in output.shape[:-3]):
            return "more than one image at a time"
        if self.name == "PAD" and self._pads_channels():
            return "pads channels (shortcut A); train with --shortcut B"
        return None

    def _pads_channels(self) -> bool:
        from ai_edge_litert import schema_py_generated as schema

        paddings = self._tensor(self.operator.inputs[1])
        dtype = np.int64 if paddings.type == schema.TensorType.INT64 else np.int32
        values = np.frombuffer(bytes(self.model.buffers[paddings.buffer].data), dtype)
        return bool(values.reshape(-1, 2)[-1].any())
