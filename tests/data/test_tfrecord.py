"""TFRecord files in any order."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data.sources.tfrecord import index_records
from keras_resnet.errors import DataError


def written(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def instruction(path, skip=0, take=-1):
    return SimpleNamespace(filename=str(path), skip=skip, take=take)


def test_records_of_several_files_in_any_order(tmp_path):
    rng = np.random.default_rng(0)
    shards = [[rng.bytes(int(size)) for size in rng.integers(0, 300, 20)] for _ in range(3)]
    paths = [written(tmp_path / f"{number}.tfrecord", shard) for number, shard in enumerate(shards)]
    records = index_records([instruction(paths[0]), instruction(paths[1], 5, 7), instruction(paths[2], 18)])
    expected = shards[0] + shards[1][5:12] + shards[2][18:]
    assert len(records) == len(expected)
    for row in rng.permutation(len(expected)):
        assert records[row] == expected[row]


@pytest.mark.parametrize("lost", [1, 5, 25])
def test_a_file_that_was_cut(tmp_path, lost):
    path = written(tmp_path / "cut.tfrecord", [b"x" * 10, b"y" * 10])
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DataError, match=r"cut\.tfrecord ends within a record; prepare the dataset again"):
        index_records([instruction(path)])
