"""What is known of costs before training: by counting, by a measurement, or by one of another network."""

import json
from dataclasses import replace

import pytest

from keras_resnet.errors import ExportError, SearchError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices.base import UnusableDeviceError
from keras_resnet.network_search.budget import Budget
from keras_resnet.network_search.candidates import Architecture
from keras_resnet.network_search.cost import CostProbe
from keras_resnet.network_search.estimate import Estimator, choose_probes
from keras_resnet.network_search.search import require_any
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.target import Target

NETWORKS = [Architecture(name, width, 8, 3) for name in ("resnet8", "resnet20", "resnet20v2") for width in (0.5, 1.0)]
SMALL, LARGE = Architecture("resnet8", 0.5, 8, 3), Architecture("resnet20", 1.0, 8, 3)


class Probe(CostProbe):
    """Measures a millisecond for a million multiply-adds, and counts how often. refused: a network whose file cannot be
    run."""

    refused = None

    def _measure(self, architecture):
        if architecture == self.refused:
            raise ExportError("it is too large")
        macs = float(self.counted[architecture].multiply_adds)
        self.measurements = [*getattr(self, "measurements", []), architecture]
        return {"macs": macs, "latency": macs / 1e6, "size": 1e4}


@pytest.fixture
def probe(tmp_path):
    def make(budget):
        budget = Budget.parse(budget)
        target = Target.create(SearchSettings(data="digits", budget=str(budget)), DeviceSettings(), budget)
        counted = {each: each.count(10) for each in NETWORKS}
        counted = dict(sorted(counted.items(), key=lambda item: item[1].multiply_adds))
        return Probe(counted, None, tuple("0123456789"), target, budget, tmp_path / "costs.json", lambda words: None)

    return make


def test_what_is_counted_is_not_measured(probe):
    found = probe("macs<=1M").find(LARGE)
    assert not found.is_within and "as counted" in found.reason
    assert "size" in probe("size<=100kB").find(LARGE).reason
    assert not (probe("macs<=1M").file).exists()


def test_networks_that_do_not_exist_are_left_out(probe):
    found = probe("macs<=1G").find(Architecture("vgg11", 1.0, 8, 3))
    assert not found.is_within and "no such network" in found.reason


def test_each_network_is_measured_once_and_kept(probe):
    first = probe("latency<=1ms")
    assert first.find(SMALL).is_within and first.find(SMALL).is_within and first.measurements == [SMALL]
    again = probe("latency<=1ms")
    assert again.find(SMALL).is_within and not hasattr(again, "measurements")
    assert json.loads(first.file.read_text())[0]["architecture"]["model"] == "resnet8"


def test_what_counting_alone_decides_is_not_measured(probe):
    first = probe("macs<=1M")
    assert first.find(SMALL).is_within and first.find(SMALL).reason.endswith("as counted")
    assert not first.measured
    assert probe("macs<=1M,latency<=1s").find_evident(SMALL) is None


def test_a_file_that_cannot_be_run_is_outside_where_others_can(probe, monkeypatch):
    first = probe("latency<=1s")
    first.refused = LARGE
    with pytest.raises(ExportError, match="it is too large"):
        first.find(LARGE)  # maybe nothing can be run there
    assert first.find(SMALL).is_within
    for found in (first.find(LARGE), first.find_evident(LARGE)):
        assert not found.is_within and found.reason == "its file could not be measured: it is too large"
    require_any(first)

    def is_gone(target, log):
        raise UnusableDeviceError("no file can be run on pi: it cannot be reached")

    monkeypatch.setattr(Target, "require_usable", is_gone)
    first.failed.clear()
    with pytest.raises(UnusableDeviceError, match="on pi"):
        first.find(LARGE)


def test_larger_and_smaller_networks_of_its_kind_are_evident(probe):
    first = probe("latency<=1ms")
    medium = Architecture("resnet20", 0.5, 8, 3)
    assert not first.find(LARGE).is_within
    first.measured[medium] = {"latency": 0.9, "size": 1e4}
    assert first.find_evident(SMALL).is_within and "which is larger" in first.find_evident(SMALL).reason
    # One of another kind tells nothing of it.
    assert first.find_evident(Architecture("resnet20v2", 0.5, 8, 3)) is None
    first.measured = {SMALL: {"latency": 1.5, "size": 1e4}}
    assert not first.find_evident(LARGE).is_within and "which is smaller" in first.find_evident(LARGE).reason


def test_nothing_is_within_the_budget(probe):
    with pytest.raises(
        SearchError, match=r"no network is within latency<=1us on this machine's CPU; the nearest, resnet"
    ):
        require_any(probe("latency<=1us"))
    probe("macs<=1k").file.unlink()
    with pytest.raises(SearchError, match=r"the smallest, resnet8 × 0\.5, 8 px: macs 0\."):
        require_any(probe("macs<=1k"))


def test_estimates_follow_what_was_measured(probe):
    counted = probe("latency<=1ms").counted
    measured = [
        (cost, {"latency": 0.01 + 2e-9 * cost.multiply_adds + 1e-3 * cost.kernels}) for cost in counted.values()
    ]
    sizes = [(each, {"size": each.int8_bytes + 5000.0 + 600 * each.kernels}) for each in counted.values()]
    for known in (measured, sizes):
        estimator = Estimator.fit(known[::2])
        for cost, costs in known:
            assert estimator.estimate(cost) == pytest.approx({**costs, "macs": cost.multiply_adds}, rel=0.02)
    probes = choose_probes(counted, 3)
    assert probes[0] == next(iter(counted)) and probes[-1] == list(counted)[-1] and len(probes) == 3


@pytest.mark.slow
def test_the_file_of_random_weights_is_as_large_as_that_of_trained_ones(quick_spec, tmp_path):
    """No kernel is left out of it: residual units that begin as identities would be, being all zeros."""
    data = replace(quick_spec.data, image_size=8, resize=8, channels=3, fit="crop")
    budget = Budget.parse("latency<=1s,size<=1MB")
    target = Target.create(SearchSettings(data="digits", budget=str(budget)), DeviceSettings(), budget)
    counted = {LARGE: LARGE.count(10)}
    spec, labels = replace(quick_spec, data=data), tuple("0123456789")
    costs = CostProbe(counted, spec, labels, target, budget, tmp_path / "costs.json", lambda words: None).measure(LARGE)
    assert 1.0 < costs["size"] / counted[LARGE].int8_bytes < 1.15
    assert costs["macs"] == counted[LARGE].multiply_adds and 0 < costs["latency"] < 100 and costs["memory"] > 0
