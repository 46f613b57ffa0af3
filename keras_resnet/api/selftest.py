"""`kresnet env --selftest`: what kresnet does with this machine's GPUs, tried in a few minutes. Imports no TensorFlow.

Each check is a process of its own with a time limit, because what is wrong with a GPU or its driver may hang or end the
process.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import (
    EXPECTED_ERROR_CODE,
    KILL,
    child_command,
    describe_end,
    signal_session,
)
from keras_resnet.training.gpus import describe_driver
from keras_resnet.training.precision import BFLOAT16_CAPABILITY

# Seconds for one check: kernels for a GPU that is newer than this TensorFlow are compiled at the first use.
TIME_LIMIT = 240.0
# Characters of an error that are kept.
MAX_QUOTED = 300
PASS: Final = "PASS"
FAIL: Final = "FAIL"
SKIPPED: Final = "SKIPPED"


@dataclass(frozen=True)
class Check:
    """One of the checks in `selftest_checks`. gpus: how many it needs; with fewer it is skipped."""

    name: str
    gpus: int = 0


CHECKS = (
    Check("devices"),
    Check("float32"),
    Check("mixed_bfloat16"),
    Check("mixed_float16", gpus=1),
    Check("XLA", gpus=1),
    Check("all GPUs", gpus=2),
    Check("workers", gpus=2),
    Check("resume"),
    Check("8-bit training"),
    Check("export beside a training"),
)


@dataclass(frozen=True)
class Row:
    """What came of a check: why it failed or was skipped or what was seen, and how long it took."""

    check: str
    status: Literal["PASS", "FAIL", "SKIPPED"]
    reason: str
    images_per_second: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class SelfTest:
    """All rows, and what is known of the GPUs: `gpus` and `built_for` by TensorFlow, `driver` by nvidia-smi."""

    rows: tuple[Row, ...]
    gpus: tuple[dict[str, Any], ...]
    built_for: dict[str, str]
    driver: tuple[str, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(row.check for row in self.rows if row.status == FAIL)

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {**asdict(self), "passed": not self.failed}


def run_selftest() -> SelfTest:
    """Run all checks in a temporary folder, which is removed."""
    with tempfile.TemporaryDirectory(prefix="kresnet-selftest-", ignore_cleanup_errors=True) as folder:
        rows, found = [], {}
        for row, facts in _run_checks(Path(folder)):
            rows.append(row)
            found.update(facts)
    return SelfTest(tuple(rows), tuple(found.get("gpus", ())), found.get("built_for", {}), tuple(describe_driver()))


def _run_checks(home: Path) -> Iterator[tuple[Row, dict[str, Any]]]:
    gpus: list[dict[str, Any]] = []
    for number, check in enumerate(CHECKS, 1):
        if why := _find_reason_to_skip(check, gpus):
            yield Row(check.name, SKIPPED, why), {}
            continue
        with show_activity(f"check {number} of {len(CHECKS)}: {check.name}"):
            row, found = _run(check, home)
        gpus = found.get("gpus", gpus)
        yield row, found


def _find_reason_to_skip(check: Check, gpus: list[dict[str, Any]]) -> str | None:
    """Return why this machine's `gpus` cannot do a check; None if they can."""
    if len(gpus) < check.gpus:
        return "no GPU" if not gpus else "one GPU only"
    lacking = [gpu for gpu in gpus[:1] if not _has_bfloat16(gpu)]
    if check.name == "mixed_bfloat16" and lacking:
        return f"compute capability {lacking[0]['compute_capability']} has no bfloat16"
    return None


def _has_bfloat16(gpu: dict[str, Any]) -> bool:
    version = gpu["compute_capability"]
    return version is None or tuple(map(int, version.split("."))) >= BFLOAT16_CAPABILITY


def _run(check: Check, home: Path) -> tuple[Row, dict[str, Any]]:
    """Return what came of a check, and the facts that it found."""
    start = time.monotonic()
    code, printed, said = _run_process(child_command(f"{__name__}_checks", str(home), check.name), home)
    seconds = round(time.monotonic() - start, 1)
    last = (printed.splitlines() or [""])[-1]
    if code == 0:
        found: dict[str, Any] = json.loads(last)
        return Row(check.name, PASS, found.pop("reason"), found.get("images_per_second"), seconds), found
    if code is None:
        reason = f"took more than {TIME_LIMIT:g} s"
    elif code == EXPECTED_ERROR_CODE:
        reason = last
    else:
        reason = f"{describe_end(code)}: {(said.splitlines() or [''])[-1].strip()}"
    return Row(check.name, FAIL, " ".join(reason.split())[:MAX_QUOTED], None, seconds), {}


def _run_process(command: list[str], home: Path) -> tuple[int | None, str, str]:
    """Return the exit code, None after the time limit, and what was printed to standard output and error."""
    # Nothing of the user's: no runs, no settings of workers.
    environment = {name: value for name, value in os.environ.items() if name not in ("TF_CONFIG", "KRESNET_RUNS")}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            cwd=home,
            env={**environment, "TF_CPP_MIN_LOG_LEVEL": "2"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            code = process.poll()
            signal_session(process, KILL)
            process.wait()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="replace").strip())
    return code, texts[0], texts[1]
