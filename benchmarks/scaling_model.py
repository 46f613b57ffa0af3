"""A model of data-parallel training on 8 to 1024 accelerators: how much of their speed the all-reduce leaves.

A step computes for a time that was measured on one accelerator: a third of it forward, two thirds backward, divided
over the layers by their multiply-adds. Gradients are summed in buckets, from the last layer to the first: each as soon
as all its gradients are known and the bucket before it is summed; or all after the backward pass, as in kresnet. The
step ends when both have ended. Beside that, each synchronized batch norm sums its statistics, and waits for them.

An all-reduce of S bytes over n devices takes a time of messages plus one of bytes (Hockney's α-β model):
- ring (Patarasuk & Yuan 2009): 2 (n - 1) messages, and 2 (n - 1) / n × S bytes through the slowest link;
- tree (Sanders et al. 2009): 2 log2 messages between the servers, a chain within them, and 2 S bytes;
- hierarchical (Goyal et al. 2017, section 4): a ring within each server, recursive halving and doubling between them;
- torus (Ying et al. 2018): rings along the rows, then along the columns with what each row is left with.
Latencies, and what of a link's speed a sum reaches, are those by which NCCL chooses its algorithm (src/graph/tuning.cc
of 2020); none of them was fitted to a result. What the model leaves out: devices that wait for the slowest one, input,
networks that several jobs share, and slower computation while data is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

from keras_resnet.models.flops import Cost, CountingLayers

KIND = Literal["NVLink", "PCIe", "network"]
# Seconds a message by kind of link, and at the beginning of each sum, for long messages (NCCL's protocol Simple) and
# for short ones (LL, which sends 4 bytes of flags with each 4): NCCL, src/graph/tuning.cc, `hwLat` and `baseLat`.
RING_LATENCY = {"NVLink": 3.4e-6, "PCIe": 5.7e-6, "network": 9.6e-6}
SHORT_RING_LATENCY = {"NVLink": 0.47e-6, "PCIe": 1.0e-6, "network": 2.7e-6}
SHORT_TREE_LATENCY = {"NVLink": 0.52e-6, "PCIe": 1.0e-6, "network": 5.0e-6}
START, SHORT_RING_START, SHORT_TREE_START = 8.4e-6, 3.6e-6, 4.4e-6
SHORT_SHARE = 1 / 4
# What of a link's published speed a sum reaches: there, at most 235 of the 300 GB/s of an A100's NVLink.
LINK_SHARE = 235 / 300
# Gradients are in float32; a step's backward pass is two thirds of it, for each layer has two gradients.
GRADIENT_BYTES, BACKWARD = 4, 2 / 3
# All-reduces of a batch norm in a step of kresnet: of sums and squares forward, and of their gradients backward.
NORM_SUMS = 2
COUNTS = (8, 16, 32, 64, 128, 256, 512, 1024)


class Link(NamedTuple):
    """A link. bandwidth: published bytes per second in one direction. source: who published it."""

    name: str
    kind: KIND
    bandwidth: float
    source: str


LINKS = {
    link.name: link
    for link in (
        Link("NVLink 1", "NVLink", 80e9, "NVIDIA, Tesla P100 data sheet: 160 GB/s in both directions"),
        Link("NVLink 3", "NVLink", 300e9, "NVIDIA, A100 data sheet: 600 GB/s in both directions"),
        Link("NVLink 4", "NVLink", 450e9, "NVIDIA, H100 data sheet: 900 GB/s in both directions"),
        Link("PCIe 3.0 ×16", "PCIe", 15.75e9, "PCI-SIG, 8 GT/s, 128b/130b"),
        Link("PCIe 4.0 ×16", "PCIe", 31.5e9, "PCI-SIG, 16 GT/s, 128b/130b"),
        Link("InfiniBand HDR", "network", 25e9, "InfiniBand Trade Association, 200 Gbit/s"),
        Link("InfiniBand NDR", "network", 50e9, "InfiniBand Trade Association, 400 Gbit/s"),
        Link("10 GbE", "network", 1.25e9, "IEEE 802.3ae"),
        Link("25 GbE", "network", 3.125e9, "IEEE 802.3by"),
        Link("50 GbE", "network", 6.25e9, "IEEE 802.3cd"),
        Link("100 GbE", "network", 12.5e9, "IEEE 802.3bj"),
        Link("TPU v3 ICI", "NVLink", 82e9, "Jouppi et al. 2020, CACM 63(7), table 1: 656 Gbit/s"),
    )
}


@dataclass(frozen=True)
class System:
    """Servers of `per_server` devices that `inner` links connect, and the network between them: `outers` links `outer`
    of each server. algorithms: from which the fastest is taken for each sum. A torus has one device per server, and
    `outers` links of each device in each dimension's ring."""

    name: str
    inner: Link
    per_server: int
    outer: Link
    outers: int = 1
    algorithms: tuple[str, ...] = ("ring", "short ring", "short tree")


def seconds(system: System, algorithm: str, size: float, count: int) -> float:
    """Return how long `algorithm` takes to sum `size` bytes over `count` devices."""
    return ALGORITHMS[algorithm](system, size, count)


def all_reduce(system: System, size: float, count: int) -> float:
    """Return the seconds of the fastest algorithm of `system`."""
    return min(seconds(system, each, size, count) for each in system.algorithms) if count > 1 else 0.0


def _servers(system: System, count: int) -> int:
    return math.ceil(count / system.per_server)


def _bandwidth(system: System, count: int) -> float:
    """Return the bytes per second of a ring or a tree through all devices: those of its slowest link."""
    inner = system.inner.bandwidth if system.per_server > 1 else math.inf
    outer = system.outers * system.outer.bandwidth if _servers(system, count) > 1 else math.inf
    return LINK_SHARE * min(inner, outer)


def _ring(latency: dict[str, float], start: float, share: float) -> Callable[[System, float, int], float]:
    def ring(system: System, size: float, count: int) -> float:
        between = 2 * (_servers(system, count) - 1)
        within = 2 * (count - 1) - between
        messages = within * latency[system.inner.kind] + between * latency[system.outer.kind]
        return start + messages + 2 * (count - 1) / count * size / (share * _bandwidth(system, count))

    return ring


def _tree(system: System, size: float, count: int) -> float:
    within, servers = min(count, system.per_server) - 1, _servers(system, count)
    latency = SHORT_TREE_LATENCY
    messages = 2 * (within * latency[system.inner.kind] + math.log2(servers) * latency[system.outer.kind])
    return SHORT_TREE_START + messages + 2 * size / (SHORT_SHARE * _bandwidth(system, count))


def _hierarchical(system: System, size: float, count: int) -> float:
    within, servers = min(count, system.per_server), _servers(system, count)
    inner = 2 * (within - 1) * (RING_LATENCY[system.inner.kind] + size / within / (LINK_SHARE * system.inner.bandwidth))
    bandwidth = LINK_SHARE * system.outers * system.outer.bandwidth
    outer = 2 * math.log2(servers) * RING_LATENCY["network"] + 2 * (servers - 1) / servers * size / bandwidth
    return START + inner + outer


def _torus(system: System, size: float, count: int) -> float:
    rows = 2 ** (round(math.log2(count)) // 2)
    columns, bandwidth = count // rows, LINK_SHARE * system.outers * system.outer.bandwidth
    first = 2 * (columns - 1) * (RING_LATENCY["NVLink"] + size / columns / bandwidth)
    return START + first + 2 * (rows - 1) * (RING_LATENCY["NVLink"] + size / columns / rows / bandwidth)


ALGORITHMS: dict[str, Callable[[System, float, int], float]] = {
    "ring": _ring(RING_LATENCY, START, 1.0),
    "short ring": _ring(SHORT_RING_LATENCY, SHORT_RING_START, SHORT_SHARE),
    "short tree": _tree,
    "hierarchical": _hierarchical,
    "torus": _torus,
}


@dataclass
class _LayerCosts(Cost):
    """Also lists (parameters, multiply-adds) of each convolution and dense layer. norms: channels of batch norms."""

    layers: list[tuple[int, int]] = field(default_factory=list)

    def add_kernel(self, values: int, channels: int, *, bias: bool, positions: int) -> None:
        before = self.trainable
        super().add_kernel(values, channels, bias=bias, positions=positions)
        self.layers.append((self.trainable - before, values * positions))


class Network(NamedTuple):
    """layers: (parameters, multiply-adds of an image) in order. norms: how many batch norms there are."""

    layers: tuple[tuple[int, int], ...]
    norms: int
    norm_parameters: int

    @property
    def gradient_bytes(self) -> int:
        """What a step sums."""
        return GRADIENT_BYTES * (self.norm_parameters + sum(parameters for parameters, _ in self.layers))


@cache
def read_network(name: str) -> Network:
    """Return the layers of a network for 1000 classes and 224 × 224 pixels."""
    from keras_resnet.config.spec import Normalization
    from keras_resnet.models.build import build_classifier
    from keras_resnet.models.names import parse_model_name

    cost = _LayerCosts()
    norms = 0

    class Layers(CountingLayers):
        """Also count batch norms."""

        def norm(self, x: object, **options: object) -> object:
            nonlocal norms
            norms += 1
            return super().norm(x, **options)

    spec = parse_model_name(name)
    build_classifier(Layers(cost=cost), spec, classes=1000, input_shape=(224, 224, 3), normalization=Normalization())
    return Network(tuple(cost.layers), norms, cost.trainable - sum(parameters for parameters, _ in cost.layers))


def list_buckets(network: Network, size: float) -> list[tuple[float, float]]:
    """Return (bytes, share of the backward pass after which all of it is known) of buckets of `size` bytes or more, in
    the order in which they are summed. A layer's batch norm goes with it, by its share of all parameters."""
    total = sum(multiply_adds for _, multiply_adds in network.layers)
    scale = network.gradient_bytes / sum(parameters for parameters, _ in network.layers)
    buckets, held, done = [], 0.0, 0
    for parameters, multiply_adds in reversed(network.layers):
        held, done = held + scale * parameters, done + multiply_adds
        if held >= size:
            buckets.append((held, done / total))
            held = 0.0
    return [*buckets, (held, 1.0)] if held else buckets


@dataclass(frozen=True)
class Training:
    """network: its name. rate: images per second of one device alone. batch: images of each device. bucket: bytes that
    are summed at once; infinite: all gradients after the backward pass. synchronized: batch norms sum their statistics
    over all devices. accumulate: parts of a step, of `batch` images each, after which gradients are summed."""

    network: str
    rate: float
    batch: int
    bucket: float = math.inf
    synchronized: bool = True
    accumulate: int = 1


def step_seconds(training: Training, system: System, count: int) -> float:
    """Return how long a step takes on `count` devices of `system`."""
    network, compute = read_network(training.network), training.batch / training.rate
    if training.synchronized and count > 1:
        # Two numbers for each of some hundred channels: latency alone.
        compute += network.norms * NORM_SUMS * all_reduce(system, 2 * 4 * 512, count)
    earlier, summed = (training.accumulate - 1) * compute, 0.0
    if count == 1:
        return earlier + compute
    for size, share in list_buckets(network, training.bucket):
        known = compute * (1 - BACKWARD * (1 - share))
        summed = max(summed, known) + all_reduce(system, size, count)
    return earlier + max(compute, summed)


def efficiency(training: Training, system: System, count: int, base: int = 1) -> float:
    """Return the images per second of each of `count` devices over those of each of `base`."""
    return step_seconds(training, system, base) / step_seconds(training, system, count)


# One accelerator: ResNet-50 v1.5 in mixed precision on one A100 of 80 GB, images per second in training: NVIDIA,
# DeepLearningExamples, PyTorch/Classification/ConvNets/resnet50v1.5/README.md, batch size 256.
A100 = Training("resnet50", 2470, 256)
NVLINK, PCIE = LINKS["NVLink 3"], LINKS["PCIe 4.0 ×16"]
SYSTEMS = (
    System("8 × NVLink 4, 8 × InfiniBand NDR", LINKS["NVLink 4"], 8, LINKS["InfiniBand NDR"], 8),
    System("8 × NVLink 3, 8 × InfiniBand HDR", NVLINK, 8, LINKS["InfiniBand HDR"], 8),
    System("8 × NVLink 3, 1 × 100 GbE", NVLINK, 8, LINKS["100 GbE"]),
    System("8 × PCIe 4.0, 1 × 100 GbE", PCIE, 8, LINKS["100 GbE"]),
    System("8 × PCIe 4.0, 1 × 25 GbE", PCIE, 8, LINKS["25 GbE"]),
    System("8 × PCIe 4.0, 1 × 10 GbE", PCIE, 8, LINKS["10 GbE"]),
    System("TPU v3 ICI, 2-D torus", LINKS["TPU v3 ICI"], 1, LINKS["TPU v3 ICI"], 2, ("torus",)),
)


class Published(NamedTuple):
    """A measured scaling efficiency, from `base` to `count` devices, and what the model has to know of it."""

    source: str
    training: Training
    system: System
    count: int
    base: int
    efficiency: float


# TensorFlow's own benchmarks of one P100 (tensorflow.org/performance/benchmarks, May 2017, batch size 64): images per
# second of ResNet-50 219, ResNet-152 91.8, VGG-16 154. ResNet-101 lies between the ResNets by its multiply-adds.
P100 = {"resnet50": 219.0, "resnet101": 129.0, "vgg16": 154.0}
# 128 servers of 4 P100, 25 Gbit/s RoCE; NCCL 2.0 knew rings alone, and Horovod sums in buffers of 64 MiB.
UBER = System("4 × P100, 25 GbE", LINKS["PCIe 3.0 ×16"], 4, LINKS["25 GbE"], algorithms=("ring",))
HOROVOD = "Sergeev & Del Balso 2018 (Horovod)"
BIG_BASIN = System("8 × P100, 50 GbE", LINKS["NVLink 1"], 8, LINKS["50 GbE"], algorithms=("hierarchical",))
PUBLISHED = (
    # Its section 4: each layer's gradients are summed as soon as they are known.
    Published("Goyal et al. 2017", Training("resnet50", P100["resnet50"], 32, 0.0, False), BIG_BASIN, 256, 8, 0.90),
    Published(HOROVOD, Training("resnet101", P100["resnet101"], 64, 64 * 2**20, False), UBER, 512, 1, 0.90),
    Published(HOROVOD, Training("vgg16", P100["vgg16"], 64, 64 * 2**20, False), UBER, 512, 1, 0.68),
)


def predict(published: Published) -> float:
    """Return the efficiency that the model gives for a published one."""
    return efficiency(published.training, published.system, published.count, published.base)
