"""The runtimes that edge.py compares with, in an environment of their own: ncnn, ExecuTorch and PyTorch.

    python edge_peers.py write NETWORK.onnx CALIBRATION.npy FOLDER    writes their files, and prints what was written
    python edge_peers.py RUNTIME FILE THREADS IMAGES.npy [OUTPUTS.npy]    as edge_measure.py says

NETWORK.onnx takes float32 pixels (1, C, H, W). PyTorch gets it by onnx2torch, with the same weights; from there pnnx
writes ncnn's file, and ExecuTorch's exporter one for XNNPACK. This imports nothing of kresnet.
"""

from __future__ import annotations

import json
import operator
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from edge_measure import Network, Runtime, run_child

# What pnnx prints of an operator that it left out, rather than failing.
PNNX_LEFT_OUT = ("ignore ", "not supported")


def _to_tensor(image: np.ndarray) -> Any:
    """Return uint8 images (N, H, W, C) as contiguous float32 (N, C, H, W): in 8 bits, ExecuTorch's XNNPACK refuses the
    multiplication by a constant that a network begins with where channels are last in memory."""
    import torch

    return torch.from_numpy(image).permute(0, 3, 1, 2).float().contiguous()


def _ncnn(file: str, threads: int, *, has_bfloat16: bool = False) -> Network:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_bf16_storage = has_bfloat16
    net.load_param(file)
    net.load_model(str(Path(file).with_suffix(".bin")))

    def run(image: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        pixels = np.ascontiguousarray(image[0].transpose(2, 0, 1), np.float32)  # of which ncnn makes no copy
        extractor.input("in0", ncnn.Mat(pixels))
        _, outputs = extractor.extract("out0")
        return np.array(outputs)[None]

    return run


def _executorch(file: str, threads: int) -> Network:
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime as Executor

    portable_lib._unsafe_reset_threadpool(threads)
    program = Executor.get().load_program(file)
    method = program.load_method("forward")

    def run(image: np.ndarray) -> np.ndarray:
        (outputs,) = method.execute((_to_tensor(image),))
        return np.asarray(outputs.numpy())

    run.program = program  # type: ignore[attr-defined]  # which the method needs
    return run


def _torchvision(file: str, threads: int) -> Network:
    """Return torchvision's own ResNet-50, with random weights; there is no file."""
    import torch
    import torchvision

    torch.set_num_threads(threads)
    model = torchvision.models.resnet50(weights=None).eval().to(memory_format=torch.channels_last)

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(model(_to_tensor(image).contiguous(memory_format=torch.channels_last)).numpy())

    return run


EXECUTORCH_TOOLS = ("executorch.exir", "executorch.extension.pybindings.portable_lib")
RUNTIMES = {
    "ncnn": Runtime(_ncnn),
    "ncnn-bfloat16": Runtime(partial(_ncnn, has_bfloat16=True)),
    "executorch": Runtime(_executorch, EXECUTORCH_TOOLS),
    "torchvision": Runtime(_torchvision),
}


def _write_ncnn(network: Any, images: np.ndarray, stem: Path) -> list[Path]:
    """Write NAME.ncnn.param and .bin, by pnnx with what it does by itself: weights in float16."""
    import pnnx
    import torch

    example = _to_tensor(images[:1])
    script = stem.with_suffix(".pt")
    torch.jit.trace(network, example).save(str(script))
    command = [pnnx.EXEC_PATH, str(script), f"inputshape={list(example.shape)}".replace(" ", "")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=stem.parent)
    lines = (done.stdout + done.stderr).splitlines()
    left_out = [line.strip() for line in lines if any(words in line for words in PNNX_LEFT_OUT)]
    files = [stem.with_suffix(".ncnn.param"), stem.with_suffix(".ncnn.bin")]
    if done.returncode or left_out or not all(file.is_file() for file in files):
        raise RuntimeError("; ".join(left_out or lines[-1:] or [f"pnnx ended with {done.returncode}"]))
    return files


def _write_executorch(network: Any, images: np.ndarray, stem: Path, *, is_int8: bool = False) -> list[Path]:
    """Write NAME.pte for XNNPACK, in float32 or in 8 bits with ranges of activations from all `images`."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    example = (_to_tensor(images[:1]),)
    exported = torch.export.export(network, example)
    if is_int8:
        exported = torch.export.export(_quantize(exported.module(), images), example)
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    file = stem.with_suffix(".pte")
    file.write_bytes(program.buffer)
    return [file]


def _quantize(network: Any, images: np.ndarray) -> Any:
    """Return a network that was quantized as ExecuTorch's guide for XNNPACK does: symmetric weights by channel."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(network, quantizer)
    for image in images:
        prepared(_to_tensor(image[None]))
    return convert_pt2e(prepared)


class Peer(NamedTuple):
    """A kind of file. row: its name. runtime: what runs it. is_rounded: whether to fewer bits than float16."""

    write: Callable[[Any, np.ndarray, Path], list[Path]]
    row: str
    runtime: str
    is_rounded: bool = False


# By the name of the file, without hyphens, which pnnx replaces.
PEERS = {
    "ncnn": Peer(_write_ncnn, "ncnn float16", "ncnn"),
    "ncnn_bfloat16": Peer(_write_ncnn, "ncnn, computed in bfloat16", "ncnn-bfloat16", is_rounded=True),
    "executorch_float32": Peer(_write_executorch, "ExecuTorch float32", "executorch"),
    "executorch_int8": Peer(partial(_write_executorch, is_int8=True), "ExecuTorch int8", "executorch", is_rounded=True),
}


def _read(source: Path) -> Any:
    """Return an ONNX file's network in PyTorch, with paddings as PyTorch's own networks have them: inside max pooling,
    or else of constant widths.

    onnx2torch takes the widths from tensors, whose values torch.export does not know; ExecuTorch then ends with an
    AssertionError that says nothing. Its XNNPACK refuses the 8-bit padding before a ResNet's max pooling.
    """
    import onnx2torch
    from onnx2torch.node_converters.pad import OnnxPadDynamic, OnnxPadStatic

    network = onnx2torch.convert(str(source)).eval()
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], OnnxPadDynamic):
            continue
        image, *constants = node.args
        widths, *value = (operator.attrgetter(constant.target)(network).tolist() for constant in constants)
        layers = [modules.get(each.target) for each in (image, *node.users)]
        if _is_of_pooling(layers, widths, *value):
            layers[1].padding = widths[2:4]
            node.replace_all_uses_with(image)
            network.graph.erase_node(node)
        else:
            network.set_submodule(node.target, OnnxPadStatic.create_from_onnx_params(widths, "constant", *value))
            node.args = (image,)
    network.recompile()
    return network


def _is_of_pooling(layers: list[Any], widths: list[int], value: float = 0) -> bool:
    """Return whether zeros are put around what a ReLU returns, for max pooling alone, of which they never are the only
    maximum. layers: those before and behind. widths: for N, C, H and W at the start, then at the end."""
    from torch.nn import MaxPool2d, ReLU

    if len(layers) != 2 or not isinstance(layers[0], ReLU) or not isinstance(layers[1], MaxPool2d):
        return False
    return not value and widths[:2] == [0, 0] and widths[:4] == widths[4:]


def write(source: Path, images: np.ndarray, folder: Path) -> dict[str, dict[str, Any]]:
    """Write all files to `folder`. Return by the name of a row its runtime, its files and the seconds of conversion, or
    why it is not there."""
    rows: dict[str, dict[str, Any]] = {}
    for stem, peer in PEERS.items():
        network, start = _read(source), time.perf_counter()
        try:
            files = [str(file) for file in peer.write(network, images, folder / stem)]
        except Exception as error:  # the converters' own, of many classes
            rows[peer.row] = {"refused": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
            continue
        seconds = time.perf_counter() - start
        rows[peer.row] = {"runtime": peer.runtime, "files": files, "seconds": seconds, "is_rounded": peer.is_rounded}
    return rows


if __name__ == "__main__":
    if sys.argv[1] == "write":
        print(json.dumps(write(Path(sys.argv[2]), np.load(sys.argv[3]), Path(sys.argv[4]))))
    else:
        run_child(RUNTIMES, sys.argv[1:])
