"""NPUs of phones: names, missing compilers, and what becomes of a compilation. Vendors' compilers are not here."""

import importlib.util
import shutil
import sys

import pytest
from ai_edge_litert.aot import aot_compile
from ai_edge_litert.aot.core import aot_types

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.accelerators import check_accelerators, find_accelerator, phone_npu, require_accelerator


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qualcomm-sm9999", "--target must be one of qualcomm-sa8255, "),
        ("google-tensor-g1", "google-tensor-g3, google-tensor-g4"),
        (
            "qualcom-sm8750",
            "rv1103, qualcomm-CHIP, mediatek-CHIP, google-tensor-CHIP, intel-CHIP. Received: 'qualcom-sm8750'",
        ),
        (
            "qualcomm-sm8750",
            "compiler, which this package downloads while it is installed: pip install ai-edge-litert-sdk-q",
        ),
    ],
)
def test_what_cannot_be_compiled_for(name, words, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda each: None if "_sdk_" in each else found(each))
    with pytest.raises(UsageError) as raised:
        require_accelerator(name)
    assert words in str(raised.value)


@pytest.mark.parametrize("name", ["qualcomm-sm8750", "mediatek-mt6991", "google-tensor-g5", "intel-lnl"])
def test_each_vendor_has_its_chips(name):
    accelerator = find_accelerator(name)
    target = accelerator.vendor.build_target(accelerator.chip)
    assert isinstance(target, aot_types.Target) and accelerator.chip in repr(target)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LiteRT compiles ahead of time on Linux alone")
def test_a_compiler_that_fails_is_named_with_its_log(exported, tmp_path):
    accelerator = find_accelerator("qualcomm-sm8750")
    with pytest.raises(ExportError, match=r"Qualcomm's compiler failed on int8\.tflite \(.*its output is in .*\.log"):
        accelerator.check(exported[0].exports / "int8.tflite", tmp_path / "targets")
    assert [each.suffix for each in (tmp_path / "targets").iterdir()] == [".log"]


def test_what_is_compiled_and_what_stays(exported, tmp_path, monkeypatch):
    file = exported[0].exports / "int8.tflite"

    def compile_nothing(name, output_dir, target, keep_going):
        model = aot_types.Model.create_from_path(shutil.copy(name, output_dir))
        part = aot_types.SubgraphPartitionStats(0, num_ops_offloaded=20, num_total_ops=25, num_partitions_offloaded=1)
        model.partition_stats = aot_types.PartitionStats([part])
        return aot_types.CompilationResult(models_with_backend=[(None, model)])

    monkeypatch.setattr(aot_compile, "aot_compile", compile_nothing)
    accelerator, target = find_accelerator("qualcomm-sm8750"), tmp_path / "compiled.tflite"
    assert phone_npu.compile_file(file, accelerator, target) == (20, 25)
    assert target.read_bytes() == file.read_bytes()
    monkeypatch.setattr(phone_npu.subprocess, "run", lambda command, **_: finish(command, file))
    (report,) = check_accelerators(exported[0], [exported[1]["int8.tflite"]], ["qualcomm-sm8750"], print)
    assert report.accepted == 0.8 and report.compiled == "int8-qualcomm-sm8750.tflite"
    assert "1 FULLY_CONNECTED left to the CPU" in report.refused and report.remark.startswith("UNVERIFIED: ")


def finish(command, file):
    """Do what the child process would."""
    shutil.copy(file, command[-1])
    return phone_npu.subprocess.CompletedProcess(command, 0, stdout=b"[20, 25]\n")
