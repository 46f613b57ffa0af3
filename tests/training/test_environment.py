"""What kresnet says of the machine, and how a shell completes it."""

import json
import os
import subprocess
import sys

import pytest

from keras_resnet.training import environment


def test_what_there_is(kresnet, monkeypatch, tmp_path):
    for name, value in (("TRIAL_DEPTH", 18), ("TRIAL_IMAGE_SIZE", 32), ("TRIAL_BATCH_SIZE", 2)):
        monkeypatch.setattr(environment, name, value)
    code, out, _ = kresnet("env", "--json", "--runs", tmp_path)
    found = json.loads(out)
    assert code == 0 and found["cores"] == os.cpu_count() and found["runs"] == str(tmp_path.resolve())
    assert found["versions"]["tensorflow"].startswith("2.") and found["extras"]["video"] is True
    assert found["precision"].split(":")[0] in ("float32", "mixed_bfloat16", "mixed_float16")
    assert "in a trial on this CPU" in found["precision"] and "CPU" in found["devices"]


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
