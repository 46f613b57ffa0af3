"""Looking for a learning rate and a batch size."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from keras_resnet.cli.main import cli
from keras_resnet.errors import TrainingError
from keras_resnet.training import finder
from keras_resnet.training.finder import BatchSizeTrial, LearningRateRange, choose_batch_size


def test_a_rate_is_suggested_and_drawn(tfds_home, tmp_path):
    options = ["--depth", "8", "--data-dir", tfds_home, "--precision", "float32", "--runs", str(tmp_path), "--json"]
    done = CliRunner().invoke(cli, ["train", *options, "--find-lr"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert 0.005 <= found["suggested"] <= 1  # what trains this network elsewhere in these tests lies within
    rates = [row["rate"] for row in found["rates"]]
    assert rates[0] == pytest.approx(finder.MIN_RATE) and rates == sorted(rates)
    assert (tmp_path / "learning-rate-resnet8.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["learning-rate-resnet8.png"]


def test_the_suggestion_is_a_tenth_of_the_rate_of_the_lowest_loss():
    rates = np.array([0.01, 0.1, 1.0])
    found = LearningRateRange(rates, np.array([3.0, 2.0, 2.5]))
    assert found.suggested == 0.01
    assert repr(found) == "<LearningRateRange: suggested 0.01; lowest loss 2.0000 of 3 rates from 0.01 to 1>"


@pytest.mark.slow
def test_batch_sizes_are_tried_in_processes_of_their_own(quick_spec):
    said = []
    found = finder.find_batch_size(quick_spec, said.append)
    sizes = [pace.batch_size for pace in found]
    assert sizes == [16 * 2**n for n in range(len(sizes))] and len(said) >= len(sizes)
    assert all(pace.images_per_second > 0 and pace.memory > 2**20 for pace in found)
    assert choose_batch_size(found).batch_size in sizes


@pytest.mark.slow
def test_a_batch_size_that_cannot_be(quick_spec):
    with pytest.raises(TrainingError, match=r"not even batches of 16 can be tried: .*no such file or folder"):
        finder.find_batch_size(quick_spec.override("data.source", "./nowhere"), lambda message: None)


def test_the_smallest_of_the_fast_ones_is_best():
    found = [
        BatchSizeTrial(16, 100, 1),
        BatchSizeTrial(32, 190, 2),
        BatchSizeTrial(64, 199, 3),
        BatchSizeTrial(128, 200, 4),
    ]
    assert choose_batch_size(found).batch_size == 64
    assert choose_batch_size(found[:2]).batch_size == 32
