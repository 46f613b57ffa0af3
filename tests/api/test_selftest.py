"""`kresnet env --selftest`: its rows, whatever the machine does."""

import json
import sys
import time
from pathlib import Path

import pytest

from keras_resnet.api import selftest, selftest_checks
from keras_resnet.errors import TrainingError

# What the process of a check does, by the check's name: Python.
PASSES = 'print(\'noise\'); print(\'{"reason": "fine", "images_per_second": 7}\')'


@pytest.fixture
def checks(monkeypatch):
    """Lets the process of each check run Python given by name, PASSES for those that are not."""

    def use(programs, gpus=()):
        found = {"reason": "2 seen", "gpus": list(gpus), "built_for": {"cuda_version": "12.5.1"}}
        programs = {"devices": f"print({json.dumps(found)!r})", **programs}
        monkeypatch.setattr(
            selftest, "child_command", lambda module, home, name: [sys.executable, "-c", programs.get(name, PASSES)]
        )
        monkeypatch.setattr(selftest, "describe_driver", lambda: ["NVIDIA T4, 15360 MiB, 550.54"] if gpus else [])
        return {row.check: row for row in selftest.run_selftest().rows}

    return use


def gpu(version):
    return {"name": "T4", "compute_capability": version}


def test_without_a_gpu(checks):
    rows = checks({})
    skipped = {name for name, row in rows.items() if row.status == "SKIPPED"}
    assert skipped == {"mixed_float16", "XLA", "all GPUs", "workers"}
    assert {rows[name].reason for name in skipped} == {"no GPU"}
    assert rows["float32"].status == "PASS" and rows["float32"].images_per_second == 7


def test_with_one_gpu_and_with_two(checks):
    rows = checks({}, [gpu("7.5")])
    reasons = {name: row.reason for name, row in rows.items() if row.status == "SKIPPED"}
    assert reasons == {
        "mixed_bfloat16": "compute capability 7.5 has no bfloat16",
        "all GPUs": "one GPU only",
        "workers": "one GPU only",
    }
    assert {row.status for row in checks({}, [gpu("9.0")] * 2).values()} == {"PASS"}


def test_what_fails_is_said(checks, monkeypatch):
    monkeypatch.setattr(selftest, "TIME_LIMIT", 1.0)
    start = time.monotonic()
    rows = checks(
        {
            "float32": "print('the loss did not fall'); exit(3)",
            "mixed_bfloat16": "raise ValueError('no kernel')",
            "resume": "import time; time.sleep(60)",
            "8-bit training": "import os; os.abort()",
        }
    )
    assert time.monotonic() - start < 30
    failed = {name: row.reason for name, row in rows.items() if row.status == "FAIL"}
    assert failed == {
        "float32": "the loss did not fall",
        "mixed_bfloat16": "ended with exit code 1: ValueError: no kernel",
        "resume": "took more than 1 s",
        "8-bit training": "crashed (SIGABRT):",
    }


def test_the_command_fails_with_a_check(kresnet, checks):
    checks({"float32": "exit(1)"}, [gpu("9.0")])
    code, out, err = kresnet("env", "--selftest")
    assert code == 1 and err[-1].endswith("1 check failed: float32")
    assert "GPU 0: T4, compute capability 9.0" in out and "driver: NVIDIA T4" in out
    assert "FAIL     float32" in out and "PASS     XLA" in out and "7 images/s" in out
    assert out.rstrip().endswith("self-test: FAILED") and "cuda 12.5.1" in out and "tensorflow 2." in out
    code, out, _ = kresnet("env", "--selftest", "--json")
    found = json.loads(out)
    assert code == 1 and not found["passed"] and found["gpus"][0]["name"] == "T4"


def test_it_takes_no_folder_of_runs(kresnet, tmp_path):
    code, _, err = kresnet("env", "--selftest", "--runs", tmp_path)
    assert code == 2 and "--selftest trains in a temporary folder" in err[-1]


def test_every_check_is_there():
    assert {check.name for check in selftest.CHECKS} == set(selftest_checks.CHECKS) - {selftest_checks.BUSY}


def test_a_loss_that_does_not_fall_fails():
    class Run:
        history = {"loss": [1.0, 1.0], "images_per_second": [1.0, 1.0]}  # noqa: RUF012

    with pytest.raises(TrainingError, match="the loss did not fall"):
        selftest_checks._measure(Run())


@pytest.mark.slow
def test_it_passes_here_and_leaves_nothing(kresnet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = kresnet("env", "--selftest")
    assert code == 0, out
    assert out.count("PASS") == 6 and out.count("SKIPPED") == 4 and "images/s" in out
    assert list(Path(tmp_path).iterdir()) == []
