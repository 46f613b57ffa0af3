"""The table of epochs: aligned, and a line an epoch on 80 columns, whatever the task."""

import re

import pytest

from keras_resnet.tasks import TASKS
from keras_resnet.training.epoch_table import EpochTable


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("epochs", [3, 15, 600])
def test_lines_are_aligned_and_short(task, epochs):
    names, more = TASKS[task].train_metric_names, TASKS[task].eval_metric_names
    table = EpochTable(epochs, names, more)
    row = {"loss": 2.29, "val_loss": 1234.5678, "images_per_second": 25.2}
    row |= {key: 1.0 for name in names for key in (name, f"val_{name}")} | {f"val_{name}": 0.031 for name in more}
    lines = [table.heading, *(table.format_row({**row, "epoch": epoch}) for epoch in (1, epochs))]
    assert all(len(line) <= 80 for line in lines) and len({len(line) for line in lines}) == 1
    # Names have single spaces in them, columns are two apart; each number ends below the end of its name.
    ends = [[match.end() for match in re.finditer(r"\S+( \S+)*", line)] for line in lines]
    assert ends[0] == ends[1] == ends[2]
    assert all(name in table.heading for name in ("epoch", "loss", "val loss", "images/s", *more))
    if not more:
        assert all(name in table.heading for name in (*names, *(f"val {name}" for name in names)))


def test_a_training_prints_the_heading_once(quick_spec, tmp_path):
    from keras_resnet.training.train import train

    told = []
    train(quick_spec.override("training.epochs", 2), tmp_path, log=told.append)
    start = next(number for number, line in enumerate(told) if line.startswith("epoch"))
    heading, first, second = told[start : start + 3]
    assert heading.split() == ["epoch", "loss", "accuracy", "val", "loss", "val", "accuracy", "images/s"]
    assert re.fullmatch(r"  1/2(  +[\d.]+%?){5}", first) and re.fullmatch(r"  2/2(  +[\d.]+%?){5}", second)
    assert sum(line.startswith("epoch") for line in told) == 1
