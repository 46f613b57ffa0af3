"""Workers of one launch talk to each other, and nobody else reaches them."""

import json
import os
import socket
import sys
import textwrap

import pytest

from keras_resnet.errors import TrainingError, UsageError
from keras_resnet.training import gpus, network_isolation
from keras_resnet.training import launch as launching
from keras_resnet.training.launch import RestartPolicy, launch

# Listens as TensorFlow does, on all addresses, and connects to the others as TF_CONFIG says.
WORKER = """
    import json, os, socket, sys, time
    config = json.loads(os.environ["TF_CONFIG"])
    ports = [int(each.partition(":")[2]) for each in config["cluster"]["worker"]]
    rank = config["task"]["index"]
    with socket.create_server(("0.0.0.0", ports[rank])) as server:
        folder = sys.argv[1]
        open(f"{folder}/{rank}-listens", "w").close()
        while len([name for name in os.listdir(folder) if name.endswith("-listens")]) < 2:
            time.sleep(0.05)
        socket.create_connection(("127.0.0.1", ports[1 - rank]), 5).close()
        server.accept()[0].close()
        seen = {"port": ports[rank], "network": os.readlink("/proc/self/ns/net"), "user": os.geteuid()}
        json.dump(seen, open(f"{folder}/{rank}.json", "w"))
        while not os.path.exists(f"{folder}/asked"):
            time.sleep(0.05)
"""


@pytest.fixture
def workers(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    monkeypatch.setattr(launching, "COMMAND", [sys.executable, str(tmp_path / "worker.py"), str(tmp_path)])
    monkeypatch.setattr(
        launching.time, "sleep", lambda seconds, sleep=launching.time.sleep: (ask(tmp_path), sleep(seconds))
    )
    return tmp_path


def ask(folder):
    """From outside, whether each worker's port answers; once both are there."""
    reports = [folder / "0.json", folder / "1.json"]
    if (folder / "asked").exists() or not all(each.exists() and each.read_text().endswith("}") for each in reports):
        return
    rows = [json.loads(each.read_text()) for each in reports]
    for row in rows:
        try:
            socket.create_connection(("127.0.0.1", row["port"]), 1).close()
            row["reached"] = True
        except OSError:
            row["reached"] = False
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "asked").touch()


def rows_of(folder):
    return json.loads((folder / "rows.json").read_text())


def allowed():
    try:
        network_isolation.Network().close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not allowed(), reason="this system does not allow a network of one's own")
def test_nobody_else_reaches_the_workers(workers):
    said = []
    assert launch(2, [], RestartPolicy(start_timeout=30, max_restarts=0), said.append) == 0
    rows = rows_of(workers)
    assert [row["reached"] for row in rows] == [False, False]
    assert rows[0]["network"] == rows[1]["network"] != os.readlink("/proc/self/ns/net")
    assert {row["user"] for row in rows} == {os.geteuid()}
    assert said[0] == "network: the workers' own, which nobody else reaches (--no-isolate for the machine's)"


def test_without_isolation_everybody_does_and_it_is_said(workers):
    said = []
    assert launch(2, [], RestartPolicy(start_timeout=30, max_restarts=0), said.append, isolated=False) == 0
    assert [row["reached"] for row in rows_of(workers)] == [True, True]
    assert "on all addresses and without authentication" in said[0] and "(--no-isolate)" in said[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--data", "cifar10", "--download"],
        ["train", "--weights", "timm:resnet18"],
        ["train", "--weights=torchvision:resnet18"],
        ["train", "--track", "mlflow"],
        ["train", "--track=wandb"],
    ],
)
def test_what_needs_the_network_keeps_it(arguments):
    assert "needs the network" in network_isolation.find_obstacle(arguments)
    with pytest.raises(UsageError, match="--isolate: the workers cannot have a network of their own"):
        launch(2, arguments, RestartPolicy(), lambda message: None, isolated=True)


LISTED = "".join(f"GPU {number}: NVIDIA A100 (UUID: GPU-{number})\n" for number in range(4))


@pytest.mark.parametrize(
    ("told", "listed", "there"),
    [
        (None, None, []),
        (None, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", []),
        (None, LISTED, ["0", "1", "2", "3"]),
        ("", LISTED, []),
        ("-1", LISTED, []),
        ("2, 0", LISTED, ["2", "0"]),
        ("3,1,-1,0", LISTED, ["3", "1"]),
        ("GPU-a,GPU-b", None, ["GPU-a", "GPU-b"]),
    ],
)
def test_gpus_are_dealt_out_and_look_for_a_network_device(monkeypatch, tmp_path, told, listed, there):
    """As the driver or the environment names them, each to one worker; where none may be used, nothing is in the way of
    a network of the workers' own."""
    if listed is not None:
        driver = tmp_path / "nvidia-smi"
        driver.write_text(f'#!/bin/sh\ntest "$1" = -L && echo "{listed.strip()}"\n')
        driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if told is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    assert gpus.list_visible_gpus() == there
    shares = [gpus.assign_gpus(rank, 2) for rank in range(2)]
    half = len(there) // 2
    parts = (there[:half], there[half : 2 * half])
    assert shares == [{"CUDA_VISIBLE_DEVICES": ",".join(part)} if half else {} for part in parts]
    assert (network_isolation.find_obstacle([]) is None) == (not there)


@pytest.mark.parametrize("isolated", [None, True])
def test_a_system_that_does_not_allow_it_is_no_obstacle_to_training(workers, monkeypatch, isolated):
    def refused():
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(network_isolation, "enter_new_network", refused)
    said = []
    if isolated:
        with pytest.raises(UsageError, match="this system does not allow another"):
            launch(2, [], RestartPolicy(start_timeout=30, max_restarts=0), said.append, isolated)
    else:
        assert launch(2, [], RestartPolicy(start_timeout=30, max_restarts=0), said.append) == 0
        assert said[0].startswith("network: the machine's (this system does not allow another)")


def test_workers_that_die_at_once_are_told_of(monkeypatch):
    monkeypatch.setattr(launching, "COMMAND", [sys.executable, "-c", "exit(1)"])
    with pytest.raises(TrainingError, match="ended with exit code 1"):
        launch(2, [], RestartPolicy(max_restarts=0), lambda message: None)
