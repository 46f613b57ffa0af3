"""Whether an accelerator takes a whole integer file: Ethos-U by Arm's compiler, the Edge TPU by its published rules."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError, UsageError, require_one_of
from keras_resnet.export.verify import Verdict
from keras_resnet.progress import Log, waiting
from keras_resnet.run import Run
from keras_resnet.runtime.child_process import child_command, describe_exit
from keras_resnet.runtime.plurals import counted, verb

ETHOS = tuple(
    f"ethos-u{kind}"
    for kind in (
        *("55-32", "55-64", "55-128", "55-256", "65-256", "65-512"),
        *("85-128", "85-256", "85-512", "85-1024", "85-2048"),
    )
)
EDGE_TPU = "edgetpu"
TARGETS = (*ETHOS, EDGE_TPU)
# coral.ai/docs/edgetpu/models-intro, "Supported operations": those that can stand in a residual network's file.
EDGE_TPU_OPERATORS = {
    *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LOGISTIC"),
    *("MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "RELU", "RELU6", "RESHAPE", "SOFTMAX", "SUB", "TANH"),
}


@dataclass(frozen=True)
class AcceleratorReport:
    """accepted: share of operators that the accelerator takes, 0–1. refused: the others, with the reason.
    estimates: of the compiler, with units in their names; compiled: its file."""

    target: str
    file: str
    accepted: float
    refused: tuple[str, ...]
    estimates: dict[str, float]
    compiled: str | None = None


def require_target(name: str) -> None:
    """Raises UsageError for a target that is not known, or whose compiler is not installed."""
    require_one_of("--target", name, TARGETS)
    if name in ETHOS and importlib.util.find_spec("ethosu") is None:
        raise UsageError(f"--target {name} needs Arm's compiler: pip install 'kresnet[ethos]'")


def fit_all(run: Run, verdicts: Sequence[Verdict], targets: Sequence[str], log: Log) -> list[AcceleratorReport]:
    """Fit all integer files of `run` that are within their budget to all targets, and keep what was found as
    targets.json; a compiler that fails on a file refuses it."""
    fits = []
    for target in targets:
        for verdict in verdicts:
            if verdict.all_integer:
                log(f"fitting {verdict.file} to {target}")
                try:
                    fits.append(fit(target, run.exports / verdict.file, run.exports / "targets"))
                except ExportError as error:  # which keeps no other file from being fitted
                    fits.append(AcceleratorReport(target, verdict.file, 0.0, (str(error),), {}))
    if fits:
        run.write_json(run.exports / "targets.json", [vars(each) for each in fits])
    return fits


def fit(target: str, file: Path, folder: Path) -> AcceleratorReport:
    """Whether `target` takes `file`, an integer .tflite; what its compiler writes goes to `folder`.

    Raises ExportError if the compiler fails, naming its log.
    """
    return _edge_tpu(file) if target == EDGE_TPU else _ethos(target, file, folder)


def _ethos(target: str, file: Path, folder: Path) -> AcceleratorReport:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{file.stem}-{target}.log"
    command = child_command("ethosu.vela.vela", str(file), "--accelerator-config", target)
    with log.open("wb") as output, waiting(f"compiling {file.name} for {target}"):
        ended = subprocess.run(
            [*command, "--output-dir", str(folder)], stdout=output, stderr=subprocess.STDOUT, check=False
        )
    told = log.read_text(encoding="utf-8", errors="replace")
    share = re.search(r"NPU operators = \d+ \(([\d.]+)%\)", told)
    compiled = folder / f"{file.stem}_vela.tflite"
    if ended.returncode or share is None or not compiled.is_file():
        raise ExportError(f"vela failed on {file.name} ({describe_exit(ended.returncode)}); its output is in {log}")
    left = re.search(r"CPU operators = (\d+)", told)
    refused = (
        (f"{counted(int(left[1]), 'operator')} {verb(int(left[1]))} left to the CPU",)
        if left and left[1] != "0"
        else ()
    )
    kept = compiled.replace(folder / f"{file.stem}-{target}.tflite")
    summary = next(folder.glob(f"{file.stem}_summary_*.csv"))
    row = next(csv.DictReader(summary.open(encoding="utf-8")))
    summary.unlink()
    estimates = {
        "milliseconds": 1e3 * float(row["inference_time"]),
        "cycles": float(row["cycles_total"]),
        "sram_kib": float(row["sram_memory_used"]),
        "flash_kib": float(row["off_chip_flash_memory_used"]) + float(row["on_chip_flash_memory_used"]),
    }
    return AcceleratorReport(target, file.name, float(share[1]) / 100, refused, estimates, kept.name)


def _edge_tpu(file: Path) -> AcceleratorReport:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    graph = model.subgraphs[0]
    refused = []
    for op in graph.operators:
        name = names[model.operatorCodes[op.opcodeIndex].builtinCode]
        if why := _why_not(name, op, graph, model.buffers, schema):
            refused.append(f"{name} {graph.tensors[op.outputs[0]].name.decode().split(';')[0]}: {why}")
    return AcceleratorReport(EDGE_TPU, file.name, 1 - len(refused) / len(graph.operators), tuple(refused), {})


def _why_not(name: str, op: Any, graph: Any, buffers: Any, schema: Any) -> str | None:
    """Why the Edge TPU does not take an operator, or None."""
    if name not in EDGE_TPU_OPERATORS:
        return "not among its operators"
    kinds = (schema.TensorType.INT8, schema.TensorType.UINT8)
    given, taken = graph.tensors[op.outputs[0]], graph.tensors[op.inputs[0]]
    if given.type not in kinds or taken.type not in kinds:
        return "not in 8 bits"
    if len(given.shape) > 3 and any(side > 1 for side in given.shape[:-3]):
        return "more than one image at a time"
    if name == "PAD":
        margins = buffers[graph.tensors[op.inputs[1]].buffer].data
        kind = np.int64 if graph.tensors[op.inputs[1]].type == schema.TensorType.INT64 else np.int32
        if np.frombuffer(bytes(margins), kind).reshape(-1, 2)[-1].any():
            return "pads channels (shortcut A); train with --shortcut B"
    return None
