"""What used to grow faster than the data: the same results as by looking at each class, or each pair, one by one."""

import importlib.util
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from keras_resnet.checking import similar_images
from keras_resnet.checking.unlearned import FOLDS, _assign_folds
from keras_resnet.data.dataset import SPLIT_SEED, Split, split_stratified
from keras_resnet.data.pipeline import sample_balanced_rows
from keras_resnet.data.sources.parallel_decode import MOST_WAITING, decode_in_parallel
from keras_resnet.errors import DataError
from keras_resnet.metrics.classification import MAX_PAIRS, count_pairs, describe_confusion
from keras_resnet.metrics.result import Evaluation, accuracy_by_class
from keras_resnet.run.data_fingerprint import fingerprint_split
from keras_resnet.tasks.classification import Classification

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# ImageNet-21k.
MANY = 21_841


@pytest.fixture
def growth(monkeypatch):
    """Return benchmarks/growth.py as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("growth", BENCHMARKS / "growth.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "growth", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(8))
def test_every_class_is_on_both_sides_as_before(seed):
    """Rare classes beside a large one, by sets of rows, class by class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.concatenate([np.zeros(400, int), np.repeat(np.arange(1, 12), 2 + seed % 3)]))
    train, held_out = map(
        set, train_test_split(range(len(labels)), test_size=44, stratify=labels, random_state=SPLIT_SEED)
    )
    for label in range(12):
        of_class = set(np.flatnonzero(labels == label).tolist())
        for lacking, giving in ((held_out, train), (train, held_out)):
            if not of_class & lacking:
                moved = min(of_class)
                giving.remove(moved)
                lacking.add(moved)
    ours = split_stratified(labels, 44 / len(labels), tuple(map(str, range(12))))
    assert [each.tolist() for each in ours] == [sorted(train), sorted(held_out)]
    assert all(len(np.unique(labels[rows])) == 12 for rows in ours)


@pytest.mark.parametrize("classes", [3, 60])
def test_confusion_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, classes, 500), rng.integers(0, classes, 500)
    matrix = confusion_matrix(labels, predicted, labels=np.arange(classes))
    assert (count_pairs(labels, predicted, classes) == matrix).all()
    names = tuple(map(str, range(classes)))
    found = describe_confusion(labels, predicted, names)
    if classes == 3:
        assert found == {"confusion": matrix.tolist()}
        return
    np.fill_diagonal(matrix, 0)
    cells = np.argsort(-matrix, axis=None, kind="stable")[:MAX_PAIRS]
    rows, columns = np.unravel_index(cells, matrix.shape)
    expected = [
        {"label": names[row], "prediction": names[column], "images": int(matrix[row, column])}
        for row, column in zip(rows, columns, strict=True)
    ]
    assert found == {"confused": expected}


def test_many_classes_take_little_memory():
    """A matrix of 21,841 classes by as many would take 3.8 GB."""
    names, rng = tuple(map(str, range(MANY))), np.random.default_rng(0)
    labels = rng.integers(0, MANY, 64)
    logits = list(rng.normal(size=(64, MANY)).astype(np.float32))
    for row in range(0, 64, 2):
        logits[row][labels[row]] = 20
    task = Classification(names)
    tracemalloc.start()
    try:
        metrics = task.compute_metrics(logits, labels)
        evaluation = Evaluation(metrics, logits, np.stack(logits), labels)
        analysis = task.analyze(evaluation)
        typical = task.typical_images(evaluation, 4)
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()
    assert metrics.values["top1"] == 0.5
    assert len(analysis["confused"]) == MAX_PAIRS and len(analysis["by_class"]) == len(set(labels.tolist()))
    assert [names.index(each.label) for each in typical] == sorted(names.index(each.label) for each in typical)


def test_numbers_by_class_are_those_of_each_class():
    rng = np.random.default_rng(0)
    labels, correct = rng.integers(0, 50, 400), rng.random(400) < 0.7
    labels[labels == 7] = 8
    names = tuple(f"class {number}" for number in range(50))
    expected = {names[label]: correct[labels == label].mean() for label in np.unique(labels)}
    assert accuracy_by_class(correct, labels, names) == pytest.approx(expected)
    counts = fingerprint_split(Split("train", labels, pixels=np.zeros((400, 1, 1, 3), np.uint8)), names)["labels"]
    assert counts == {name: int((labels == label).sum()) for label, name in enumerate(names)}
    rows = sample_balanced_rows(Split("train", labels), per_class=3, classes=50, seed=1)
    order = np.random.default_rng(1).permutation(400)
    assert rows.tolist() == sorted(row for label in range(50) for row in order[labels[order] == label][:3])
    folds = _assign_folds(labels)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        assert folds[rows].tolist() == (np.arange(len(rows)) * FOLDS // len(rows)).tolist()


def test_similar_hashes_are_those_of_comparing_each_with_each(monkeypatch):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 1500, np.uint64)
    for row in range(1000, 1500):  # by 0 to 16 bits other than an earlier one, anywhere
        flipped = rng.choice(64, int(rng.integers(0, 17)), replace=False)
        hashes[row] = hashes[row - 1000] ^ np.bitwise_or.reduce(
            np.uint64(1) << flipped.astype(np.uint64), initial=np.uint64(0)
        )
    hashes[20:40] = hashes[0]
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= similar_images.MAX_BITS
    expected = set(zip(*(each.tolist() for each in np.nonzero(np.triu(near, 1))), strict=True))
    for most in (similar_images.MOST_CANDIDATES, 50):
        monkeypatch.setattr(similar_images, "MOST_CANDIDATES", most)
        pairs = [
            pair
            for first, second in similar_images.list_similar_hashes(hashes)
            for pair in zip(first.tolist(), second.tolist(), strict=True)
        ]
        assert len(pairs) == len(set(pairs)) and set(pairs) == expected
    assert len(expected) > 400


def test_all_items_are_decoded_in_order_though_few_wait_for_the_threads():
    def decode(item):
        if item % 1000 == 999:
            raise DataError(f"{item} is bad")
        return item

    count = 2 * MOST_WAITING + 5
    decoded = decode_in_parallel(range(count), decode, "reading")
    good = [item for item in range(count) if item % 1000 != 999]
    assert decoded.rows == decoded.values == good
    assert [str(each) for each in decoded.errors] == [f"{item} is bad" for item in range(999, count, 1000)]


@pytest.mark.parametrize("power", [0.5, 1, 1.5, 2])
def test_the_exponent_of_growth(growth, power):
    sizes = (10, 30, 100, 300, 1000, 3000)
    fixed = {size: 0.05 + 1e-3 * size**power for size in sizes}
    exponent = growth.fit_exponent(fixed, 0.01)
    assert exponent is None if power == 0.5 else exponent == pytest.approx(power, abs=0.05)
    assert growth.fit_exponent({size: 2 + 1e-9 * size for size in sizes}, 0.01) is None


def test_growth_faster_than_linear_fails(growth, monkeypatch, capsys, tmp_path):
    def quadratic(size, watch):
        watch.seconds["pairs"] = 1e-4 * size**2

    def linear(size, watch):
        watch.seconds["each"] = 1e-3 * size

    axes = {
        name: growth.Axis("data", name, "things", (10, 100, 1000), run)
        for name, run in (("q", quadratic), ("l", linear))
    }
    monkeypatch.setattr(growth, "AXES", axes)

    def measure(name, axis, options):
        costs = {}
        for size in axis.sizes:
            watch = growth.Watch(tmp_path)
            axis.run(size, watch)
            for part, cost in watch.seconds.items():
                costs.setdefault(part, {})[size] = cost
        return costs

    monkeypatch.setattr(growth, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["growth.py", "--only", "l,q", "--figures", str(tmp_path)])
    assert growth.main() == 1
    printed = capsys.readouterr()
    assert "q: pairs grows with an exponent of 1.9" in printed.err and "l: each" not in printed.err
    assert (tmp_path / "growth-data.png").stat().st_size > 1000
    monkeypatch.setattr(sys, "argv", ["growth.py", "--only", "l"])
    assert growth.main() == 0
