"""The model of many accelerators: what is known without it, published efficiencies, and the tables of the page."""

import importlib
import math
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# How far the page says that the model is off, at most.
MOST_DEVIATION = 0.10


@pytest.fixture
def model(monkeypatch):
    """Return benchmarks/scaling_model.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("scaling_model")


def test_published_efficiencies_are_met_as_closely_as_the_page_says(model):
    assert len(model.PUBLISHED) >= 2
    for each in model.PUBLISHED:
        assert 0 <= model.predict(each) - each.efficiency <= MOST_DEVIATION, each.source
    page = (ROOT / "docs" / "many-devices.md").read_text(encoding="utf-8")
    assert "optimistic by up to ten points" in " ".join(page.split())


def test_the_page_has_the_tables_of_the_model(model):
    page = (ROOT / "docs" / "many-devices.md").read_text(encoding="utf-8")
    for table in importlib.import_module("scaling").make_model_tables(model.A100):
        for cells in ([column.name for column in table.columns], *table.texts()):
            assert f"| {' | '.join(cells)} |\n" in page, table.name


def test_a_ring_costs_what_its_formula_says(model):
    """Bytes alone, and messages alone: Patarasuk & Yuan 2009."""
    system = model.SYSTEMS[3]
    bytes_alone = model.seconds(system, "ring", 1e15, 64) / (2 * 63 / 64 * 1e15)
    assert bytes_alone == pytest.approx(1 / (model.LINK_SHARE * 12.5e9), rel=1e-3)
    messages = 2 * (56 * model.RING_LATENCY["PCIe"] + 7 * model.RING_LATENCY["network"])
    assert model.seconds(system, "ring", 0, 64) == pytest.approx(model.START + messages)
    assert model.all_reduce(system, 1e6, 1) == 0


def test_buckets_hold_all_gradients_in_the_order_of_the_backward_pass(model):
    from keras_resnet.models.flops import count_cost
    from keras_resnet.models.names import parse_model_name

    for name in ("resnet50", "vgg16"):
        network = model.read_network(name)
        trainable = count_cost(parse_model_name(name), classes=1000, input_shape=(224, 224, 3)).trainable
        assert network.gradient_bytes == 4 * trainable
        for size in (0.0, 25e6, math.inf):
            buckets = model.list_buckets(network, size)
            assert sum(held for held, _ in buckets) == pytest.approx(4 * trainable)
            assert [known for _, known in buckets] == sorted(known for _, known in buckets)
            assert buckets[-1][1] == pytest.approx(1)
        assert len(model.list_buckets(network, math.inf)) == 1
    # The dense layers of VGG-16, nine tenths of its parameters, are known when the backward pass has just begun.
    assert model.list_buckets(model.read_network("vgg16"), 480e6)[0][1] < 0.02


def test_efficiency_falls_with_devices_slow_links_and_small_batches(model):
    fast, slow = model.SYSTEMS[1], model.SYSTEMS[4]
    for system in model.SYSTEMS:
        rates = [model.efficiency(model.A100, system, count) for count in model.COUNTS]
        assert rates == sorted(rates, reverse=True) and 0 < rates[-1] < rates[0] < 1
        assert model.efficiency(model.A100, system, 1) == 1
    small, bucketed = replace(model.A100, batch=32), replace(model.A100, bucket=25e6)
    for count in (16, 1024):
        usual = model.efficiency(model.A100, slow, count)
        assert usual < model.efficiency(model.A100, fast, count)
        assert model.efficiency(small, slow, count) < usual < model.efficiency(bucketed, slow, count)
        assert model.efficiency(replace(model.A100, synchronized=False), slow, count) > usual
        accumulated = model.efficiency(replace(small, accumulate=8), slow, count)
        assert model.efficiency(small, slow, count) < accumulated < usual


@pytest.mark.slow
def test_a_batch_norm_meets_as_often_as_the_model_has_it(model, monkeypatch):
    """In a traced training step of two logical devices; without it, only the gradients are summed."""
    worker = importlib.import_module("scaling")
    monkeypatch.setitem(worker.NETWORKS, "resnet8", {"image-size": 8, "batch-size": 4, "steps": 1})
    counts = worker.run_processes("resnet8", 2, "auto", 1)["counts"]
    assert counts == {"gradients": 1, "batch norm": model.NORM_SUMS * model.read_network("resnet8").norms}
