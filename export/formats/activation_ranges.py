"""Ranges of activations narrower than from the smallest to the largest value, for 8-bit TFLite files: a few values far
from all others cost the others precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from keras_resnet.export.flatbuffer import pack_model

# Bins of a histogram; values of one tensor and image that are counted in it, evenly spread, to bound the time.
BINS, MAX_VALUES = 2048, 2**14
LEVELS = 256
# Fraction of the values that is kept; of those that Wu et al. 2020 ("Integer quantization for deep learning inference:
# principles and empirical evaluation", table 5) compare, the one in the middle.
PERCENTILE = 0.9999
# Ends that are tried, as fractions of what they are: an end that is 0, as behind a ReLU, stays.
WIDTHS = np.linspace(0.2, 1, 81)

# A histogram: counts (BINS,), and the smallest and the largest value.
Ends = tuple[float, float]
Narrow = Callable[[np.ndarray, Ends], Ends]


def narrow_ranges(calibrated: bytes, samples: Iterable[Mapping[str, np.ndarray]], method: str) -> bytes:
    """Return a float TFLite file with ranges of its activations, with these narrowed by `method`, of NARROWING.

    samples: inputs by name. Inputs and outputs keep their ranges: raw pixels have to fit in, and the largest logit is
    the prediction.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(calibrated, 0))
    (graph,) = model.subgraphs
    ends = {index: _read_ends(graph.tensors[index]) for index in _inner_tensors(graph)}
    wide = {index: each for index, each in ends.items() if each and each[0] < each[1]}
    for index, counts in _count_values(calibrated, samples, wide).items():
        low, high = NARROWING[method](counts, wide[index])
        quantization = graph.tensors[index].quantization
        quantization.min, quantization.max = [low], [high]
    return pack_model(model)


def _inner_tensors(graph: Any) -> Iterator[int]:
    """Yield the tensors that operators make and others take."""
    outputs = {int(index) for index in graph.outputs}
    for operator in graph.operators:
        yield from (int(index) for index in operator.outputs if int(index) not in outputs)


def _read_ends(tensor: Any) -> Ends | None:
    """Return the range that calibration wrote, None where there is none."""
    found = tensor.quantization
    if found is None or found.min is None or found.max is None or len(found.min) != 1 or len(found.max) != 1:
        return None
    return float(found.min[0]), float(found.max[0])


def _count_values(
    content: bytes, samples: Iterable[Mapping[str, np.ndarray]], ends: Mapping[int, Ends]
) -> dict[int, np.ndarray]:
    """Return histograms of tensors within their `ends` on `samples`, by their numbers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    run = interpreter.get_signature_runner()
    counts = {index: np.zeros(BINS, np.int64) for index in ends}
    for sample in samples:
        run(**sample)
        for index, total in counts.items():
            values = interpreter.get_tensor(index).ravel()
            values = values[:: -(-values.size // MAX_VALUES)]
            total += np.histogram(values, BINS, ends[index])[0]
    return counts


def _by_percentile(counts: np.ndarray, ends: Ends) -> Ends:
    """Return the ends between which PERCENTILE of the values lie, with as many left out at each, to a bin."""
    edges, share = np.linspace(*ends, BINS + 1), np.cumsum(counts) / counts.sum()
    left_out = (1 - PERCENTILE) / 2
    low, high = int(np.searchsorted(share, left_out, "right")), int(np.searchsorted(share, 1 - left_out)) + 1
    return float(edges[low]), float(edges[min(high, BINS)])


def _by_squared_error(counts: np.ndarray, ends: Ends) -> Ends:
    """Return the ends with the smallest squared error of rounding to LEVELS and cutting off."""

    def error(low: float, high: float) -> float:
        step = (high - low) / (LEVELS - 1)
        rounded = low + step * np.clip(np.round((centers - low) / step), 0, LEVELS - 1)
        # Where a bin is wider than a step, values at its center would seem to be rounded without an error.
        return float((counts * np.maximum((centers - rounded) ** 2, step**2 / 12)).sum())

    edges = np.linspace(*ends, BINS + 1)
    centers = (edges[:-1] + edges[1:]) / 2
    low, high = ends
    high = min(high * WIDTHS, key=lambda each: error(low, each))
    low = min(low * WIDTHS, key=lambda each: error(each, high))
    return float(low), float(high)


# By the name that --ranges takes: (counts, ends) → narrower ends.
NARROWING: dict[str, Narrow] = {
    "percentile": _by_percentile,
    "mse": _by_squared_error,
}
