"""What kresnet says of the machine, and how a shell completes it."""

import json
import os
import platform
import subprocess
import sys

import pytest

from keras_resnet.machine import onednn, processor
from keras_resnet.training import environment, precision


def test_what_there_is(kresnet, monkeypatch, tmp_path):
    for name, value in (("TRIAL_DEPTH", 8), ("TRIAL_IMAGE_SIZE", 8), ("TRIAL_BATCH_SIZE", 2)):
        monkeypatch.setattr(environment, name, value)
    monkeypatch.setattr(precision, "read_processor_flags", lambda: {"sse2", "avx512f"})
    code, out, _ = kresnet("env", "--json", "--runs", tmp_path)
    found = json.loads(out)
    assert code == 0 and found["cores"] == os.cpu_count() and found["runs"] == str(tmp_path.resolve())
    assert found["versions"]["tensorflow"].startswith("2.") and found["extras"]["video"] is True
    assert found["precision"].split(":")[0] in ("float32", "mixed_bfloat16", "mixed_float16")
    assert "in a trial on this CPU" in found["precision"] and found["precision"].endswith(", here ResNet-8's")
    assert "CPU" in found["devices"]


@pytest.mark.parametrize(("flags", "is_known"), [("sse2 avx2", True), ("avx2 avx_vnni", False), ("avx512f", False)])
def test_a_processor_without_bfloat16_is_not_tried(monkeypatch, tmp_path, flags, is_known):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: x\nflags\t\t: {flags}\nbugs\t\t: avx512f\n")
    monkeypatch.setattr(processor, "PROCESSOR_FILE", file)
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
    chosen = precision.choose_by_hardware()
    assert (chosen is not None) == is_known
    if chosen:
        assert chosen[0] == "float32" and "this CPU has neither AVX-512 nor AVX-VNNI" in chosen[1]
        assert precision.choose_precision(None, 8, 2) == chosen  # which builds no network to try
        monkeypatch.setattr(precision.platform, "machine", lambda: "aarch64")
        assert precision.choose_by_hardware() is None
    monkeypatch.setattr(processor, "PROCESSOR_FILE", tmp_path / "none")
    assert precision.choose_by_hardware() is None


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        (
            "processor\t: 0\nmodel name\t: Xeon: E5\nflags\t\t: fma avx2\n\nflags\t\t: none\n",
            "Xeon: E5",
            {"fma", "avx2"},
        ),
        ("processor\t: 0\nFeatures\t: fp asimddp\n\nprocessor\t: 1\n", None, {"fp", "asimddp"}),  # an Arm CPU
        ("", None, set()),
    ],
)
def test_a_processor_is_read_as_linux_describes_its_first_core(monkeypatch, tmp_path, text, name, flags):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "PROCESSOR_FILE", tmp_path / "cpuinfo")
    assert processor.read_processor_flags() == flags
    elsewhere = platform.processor() or platform.machine()
    assert processor.describe_processor() == f"{name or elsewhere} ({platform.machine()})"


@pytest.mark.parametrize(
    ("flags", "before", "after"),
    [
        ("sse2 avx2", None, "1"),
        ("sse2 avx", None, None),
        ("sse2 avx2", "0", "0"),
        ("sse2 avx2", "False", "False"),
        ("sse2 avx2", "1", "1"),
        ("sse2 avx", "True", "True"),
        ("sse2 avx2", "yes", "yes"),
        ("sse2 avx2", "", ""),
    ],
)
def test_onednn_is_on_where_the_processor_has_avx2(monkeypatch, tmp_path, flags, before, after):
    monkeypatch.setattr(onednn, "_is_ours", False)
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "PROCESSOR_FILE", tmp_path / "cpuinfo")
    monkeypatch.setattr(onednn.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(onednn.sys, "platform", "linux")
    monkeypatch.setattr(onednn.sys, "modules", {})
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(onednn.VARIABLE, before)
    onednn.enable_onednn()
    assert os.environ.get(onednn.VARIABLE) == after
    if before in ("yes", ""):
        expected = f"TensorFlow's default, because TF_ENABLE_ONEDNN_OPTS={before} is none of 1, true, 0, false"
    elif before:
        expected = f"{'on' if before in ('1', 'True') else 'off'} (TF_ENABLE_ONEDNN_OPTS={before})"
    else:
        expected = (
            "on, because this CPU has AVX2 (TF_ENABLE_ONEDNN_OPTS=0 turns it off)" if after else "TensorFlow's default"
        )
    assert onednn.describe_onednn() == expected


@pytest.mark.skipif("avx2" not in processor.read_processor_flags(), reason="this processor has no AVX2")
def test_tensorflow_uses_onednn_from_its_import_on():
    script = (
        "import keras_resnet; from tensorflow.python.util import _pywrap_util_port as port; print(port.IsMklEnabled())"
    )
    variables = {name: value for name, value in os.environ.items() if name != onednn.VARIABLE}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(kresnet, shell):
    code, out, _ = kresnet("completion", shell)
    assert code == 0 and f"_KRESNET_COMPLETE={shell}_complete" in out


def test_commands_and_runs_are_completed(trained, runs):
    def completed(*words):
        asked = {"COMP_WORDS": " ".join(["kresnet", *words]), "COMP_CWORD": str(len(words))}
        variables = {**os.environ, **asked, "_KRESNET_COMPLETE": "bash_complete", "KRESNET_RUNS": str(runs)}
        command = [sys.executable, "-m", "keras_resnet"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("rep") == ["report"]
    assert trained.name in completed("report", trained.name[:3])
    assert "--max-drop" in completed("export", "--max")
