"""A device by ssh: an sshd of this machine, with keys of its own."""

import getpass
import os
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from keras_resnet.export.devices.runner_session import RunnerSession
from keras_resnet.run import Run
from keras_resnet.training.launch import find_free_ports

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """--on of this machine by ssh."""
    if SSHD is None and not os.environ.get("CI"):  # which has to have it
        pytest.skip("there is no sshd")
    folder = tmp_path_factory.mktemp("ssh")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port, user = find_free_ports(1)[0], getpass.getuser()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    (folder / "config").write_text(
        f"Host box\nHostName 127.0.0.1\nPort {port}\nUser {user}\nIdentityFile {folder}/user\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {folder}/known\nStrictHostKeyChecking no\nLogLevel ERROR\n"
    )
    os.makedirs("/run/sshd", exist_ok=True) if os.geteuid() == 0 else None
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    ssh = ["ssh", "-F", str(folder / "config"), "box"]
    deadline = time.monotonic() + 20
    while subprocess.run([*ssh, "true"], capture_output=True, check=False).returncode:
        assert server.poll() is None and time.monotonic() < deadline, "sshd does not answer"
        time.sleep(0.1)
    yield shlex.join([*ssh, sys.executable])
    server.terminate()
    server.wait()


def of_box(run, box):
    (row,) = [row for row in run.device_verdicts() if row["device"]["where"] == box]
    return row


@pytest.mark.slow
def test_a_connection_killed_in_the_middle_goes_on_to_the_same_verdict(exported, tmp_path, kresnet, box, monkeypatch):
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "digits"))
    file, options = run.exports / "int8.tflite", ["--samples", "150", "--max-drop", "5"]
    verify = ["verify", file, "--runs", tmp_path, "--on", box, *options]
    code, _, err = kresnet(*verify)
    assert code == 0, err
    whole = of_box(run, box)
    ask, asked = RunnerSession.__call__, []

    def ask_and_kill(session, images):
        outputs = ask(session, images)
        if not asked:
            session._connection._process.kill()
        asked.append(len(images))
        return outputs

    monkeypatch.setattr(RunnerSession, "__call__", ask_and_kill)
    code, _, err = kresnet(*verify)
    assert code == 0 and [line for line in err if "broke after 1 batch" in line and "connecting again" in line], err
    resumed = of_box(run, box)
    same = ("value", "drop", "drop_interval", "agreement", "cpu_agreement", "samples", "verdict", "details")
    assert sum(asked) == 150 and {key: resumed[key] for key in same} == {key: whole[key] for key in same}


def test_a_key_that_is_not_known_is_one_sentence(exported, runs, kresnet, box, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    words = shlex.split(box)
    refused = shlex.join(
        ["ssh", "-o", "BatchMode=yes", *words[1:3], "-i", str(tmp_path / "other"), "-l", "nobody", *words[3:]]
    )
    code, out, err = kresnet("verify", exported[0].exports / "int8.tflite", "--runs", runs, "--on", refused)
    assert code == 1 and out == "" and "Permission denied" in err[-1]
