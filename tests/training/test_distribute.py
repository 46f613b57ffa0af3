"""One device, two mirrored ones, two workers: the same training."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.training.launch import find_free_ports

CHECKS = Path(__file__).parents[1] / "support" / "parallel_checks.py"


def look(folder, *cases):
    """Return what one process with two logical devices has seen of these cases."""
    out = folder / "out.npz"
    done = subprocess.run([sys.executable, CHECKS, "devices", out, *cases], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(out))


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return look(tmp_path_factory.mktemp("devices"), "plain", "clipped")


def compare(seen, case, tolerance):
    """One step differs by rounding alone; over five, float32 lets differences grow."""
    one, two = (seen[f"{case}-1-{count}"] for count in ("one", "two"))
    np.testing.assert_allclose(one, two, rtol=0, atol=tolerance)
    one, two = (seen[f"{case}-5-{count}"] for count in ("one", "two"))
    assert np.abs(one - two).mean() < 1e-4


@pytest.mark.parametrize("case", ["plain", "clipped", "averages"])
def test_two_mirrored_devices_train_as_one(seen, case):
    compare(seen, case, 2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["adamw", "lamb", "muon", "segment", "recomputed"])
def test_two_mirrored_devices_train_as_one_by_other_steps(tmp_path, case):
    """Adam's differences grow the most: it divides by roots of gradients near zero."""
    compare(look(tmp_path, case), case, 2e-6 if case in ("segment", "recomputed") else 5e-5)


def test_clipping_did_something(seen):
    assert np.abs(seen["clipped-1-one"] - seen["plain-1-one"]).max() > 1e-3


def test_averages_lag_behind_the_weights(seen):
    first, fifth = seen["averages-1-one"], seen["averages-5-one"]
    assert np.abs(fifth - seen["plain-5-one"]).max() > 1e-3 and np.abs(fifth - first).max() > 1e-3


@pytest.mark.parametrize("count", ["one", "two"])
def test_accumulated_parts_make_the_big_batch(seen, count):
    """Batch norms kept as they are: their statistics are those of each part."""
    np.testing.assert_allclose(seen[f"accumulated-2-{count}"], seen["accumulated-1-one"], rtol=0, atol=1e-6)


def test_an_infinity_on_one_replica_changes_no_weight(seen):
    np.testing.assert_array_equal(seen["overflow-after"], seen["overflow-before"])
    assert np.isfinite(seen["overflow-after"]).all()
    assert seen["overflow-scale"] == seen["overflow-first-scale"] / 2
    assert np.isfinite(seen["no-overflow-after"]).all()
    assert np.abs(seen["no-overflow-after"] - seen["overflow-before"]).max() > 1e-4


def by_tf_job(rank, addresses):
    """As Kubernetes' TFJob has it: the first is called chief."""
    cluster = {"chief": addresses[:1], "worker": addresses[1:]}
    task = {"type": "worker" if rank else "chief", "index": 0}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})}


def by_slurm(rank, addresses):
    """Its ports are fixed: 8888 and on."""
    told = {"PROCID": rank, "STEP_NUM_TASKS": 2, "STEP_NODELIST": "localhost", "STEP_TASKS_PER_NODE": "2"}
    return {f"SLURM_{key}": str(value) for key, value in told.items()}


@pytest.mark.parametrize(
    ("told_by", "case"), [(by_tf_job, "plain"), pytest.param(by_slurm, "segment", marks=pytest.mark.slow)]
)
def test_two_workers_train_as_one_device(seen, tmp_path, told_by, case):
    addresses = [f"127.0.0.1:{port}" for port in find_free_ports(2)]
    workers = []
    for rank in range(2):
        environment = {**told_by(rank, addresses), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKS.parents[1])}
        command = [sys.executable, CHECKS, "worker", tmp_path / "out", case]
        workers.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for worker in workers:
        _, told = worker.communicate(timeout=300)
        assert worker.returncode == 0, told[-3000:]
    ranks = [dict(np.load(tmp_path / f"out-{rank}.npz")) for rank in range(2)]
    for steps in (1, 5):
        np.testing.assert_array_equal(*(rank[f"{case}-{steps}-workers"] for rank in ranks))
    alone = seen if case == "plain" else look(tmp_path, case)
    np.testing.assert_allclose(ranks[0][f"{case}-1-workers"], alone[f"{case}-1-one"], rtol=0, atol=2e-6)
    assert [str(rank["told"]) for rank in ranks] == ["by rank 0: ü"] * 2
