"""Launches several workers on this machine: if one dies or stalls, all stop and continue from the last checkpoint.

Imports no TensorFlow.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from keras_resnet.errors import TrainingError, UsageError
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.signals import GRACE_PERIOD, LAUNCHER, detach_from_terminal, list_stop_signals
from keras_resnet.training import gpus, heartbeat, network_isolation

COMMAND = [sys.executable, "-m", "keras_resnet"]
POLL_INTERVAL = 0.2
# The exit code of a wrong request, which would be wrong again.
USAGE_ERROR = 2


@dataclass(frozen=True)
class RestartPolicy:
    """start_timeout: seconds until the first step. stall_timeout: seconds that may pass between two.
    max_restarts: how often all workers are started again."""

    start_timeout: float = 600.0
    stall_timeout: float = 300.0
    max_restarts: int = 3


def launch(workers: int, arguments: list[str], policy: RestartPolicy, log: Log, isolated: bool | None = None) -> int:
    """Run `kresnet` with `arguments` (those of train) as `workers` processes. Returns the exit code.

    isolated: whether they have a network of their own; None: if possible.

    After a failure all continue with --resume if there is a run yet, else start again. Raises TrainingError when they
    have failed more often than `policy` allows, UsageError for fewer GPUs than workers.
    """
    if shares := gpus.describe_shares(workers):
        log(f"GPUs: {shares}")
    network = _create_network(isolated, arguments, log)
    try:
        return _run_attempts(workers, arguments, policy, log, network)
    finally:
        if network:
            network.close()


def _run_attempts(
    workers: int, arguments: list[str], policy: RestartPolicy, log: Log, network: network_isolation.Network | None
) -> int:
    for attempt in range(policy.max_restarts + 1):
        with tempfile.TemporaryDirectory(prefix="kresnet-") as folder:
            group = _WorkerGroup(workers, arguments, Path(folder), network)
            log(f"launch: {workers} workers, process {', '.join(map(str, group.process_ids))}")
            failure = group.wait(policy)
            if failure is None:
                return 0
            code, reason = failure
            if code == USAGE_ERROR:
                return code
            log(f"launch: {reason}; all workers were stopped")
            if code == 128 + signal.SIGINT:
                return code
            if (deleted := group.deleted_run_folder()) is not None:
                raise TrainingError(
                    f"the folder of the run is gone: {deleted} was deleted or moved, so nothing starts again"
                )
            run = group.run_folder()
            if run and Run(run).is_finished:
                log(f"launch: {run} had finished before that")
                return 0
            if attempt < policy.max_restarts:
                arguments = resume_arguments(arguments, run) if run else arguments
                origin = f"from {run}" if run else "anew"
                log(f"launch: starting again ({attempt + 1} of {policy.max_restarts}), {origin}")
    raise TrainingError(
        f"the workers failed {counted(policy.max_restarts + 1, 'time')}, the last time because {reason}"
    )


def _create_network(requested: bool | None, arguments: list[str], log: Log) -> network_isolation.Network | None:
    """Return the workers' own network, or None for the machine's. Raises UsageError if `requested` and impossible."""
    obstacle = "--no-isolate" if requested is False else network_isolation.find_obstacle(arguments)
    if obstacle is None:
        try:
            network = network_isolation.Network()
        except OSError:
            obstacle = "this system does not allow another"
        else:
            log("network: the workers' own, which nobody else reaches (--no-isolate for the machine's)")
            return network
    if requested:
        raise UsageError(f"--isolate: the workers cannot have a network of their own: {obstacle}")
    log(
        f"network: the machine's ({obstacle}); TensorFlow accepts connections to the workers' ports on all addresses"
        " and without authentication, so block them from outside with a firewall"
    )
    return None


def resume_arguments(arguments: list[str], run: Path) -> list[str]:
    """Return the arguments that continue `run` in place of `arguments`."""
    verbose, flags = (
        [each for each in arguments if each in known] for known in (("-v", "--verbose"), ("--json", "--data-changed"))
    )
    return [*verbose, "train", "--resume", str(run), *flags]


class _WorkerGroup:
    """The processes of one attempt."""

    def __init__(
        self,
        workers: int,
        arguments: list[str],
        folder: Path,
        network: network_isolation.Network | None,
    ) -> None:
        addresses = [f"127.0.0.1:{port}" for port in find_free_ports(workers)]
        self._heartbeats = [folder / f"beat-{rank}" for rank in range(workers)]
        self._stop_requested = False
        self._started = time.monotonic()
        # The system closes our end when this process ends, however it ends; then the workers end too.
        workers_end, self._launcher_end = os.pipe()
        self._processes = []
        for rank in range(workers):
            environment = {
                **os.environ,
                **gpus.assign_gpus(rank, workers),
                "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}),
                heartbeat.VARIABLE: str(self._heartbeats[rank]),
                LAUNCHER: str(workers_end),
            }
            self._processes.append(
                subprocess.Popen(
                    [*COMMAND, *arguments],
                    env=environment,
                    start_new_session=True,
                    stderr=sys.stderr,
                    stdout=None if rank == 0 else subprocess.DEVNULL,  # results are printed once
                    pass_fds=(workers_end,),
                    preexec_fn=network.enter if network else None,
                )
            )
        os.close(workers_end)

    @property
    def process_ids(self) -> list[int]:
        """Of the workers, by rank."""
        return [process.pid for process in self._processes]

    def run_folder(self) -> Path | None:
        """Return the folder of the run that the workers reported, if it exists."""
        return next((folder for folder in self._reported_folders() if (folder / "spec.json").is_file()), None)

    def deleted_run_folder(self) -> Path | None:
        """Return the folder of the run that the workers reported, if it no longer exists."""
        return next((folder for folder in self._reported_folders() if not (folder / "spec.json").is_file()), None)

    def _reported_folders(self) -> list[Path]:
        return [Path(file.read_text(encoding="utf-8")) for file in self._heartbeats if file.is_file()]

    def wait(self, policy: RestartPolicy) -> tuple[int, str] | None:
        """Wait until all have ended well, and return None; or until one fails, and return its exit code and why."""
        before = {number: signal.signal(number, self._forward_signal) for number in list_stop_signals()}
        try:
            while True:
                codes = [process.poll() for process in self._processes]
                if all(code == 0 for code in codes):
                    return None
                if failure := self._find_failure(codes, policy):
                    return failure
                time.sleep(POLL_INTERVAL)
        finally:
            self._stop()
            os.close(self._launcher_end)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _find_failure(self, codes: list[int | None], policy: RestartPolicy) -> tuple[int, str] | None:
        for rank, code in enumerate(codes):
            if code:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                return code, f"worker {rank} {how}"
        now = time.time()
        for rank, (beat, code) in enumerate(zip(self._heartbeats, codes, strict=True)):
            if code is not None:
                continue
            if not beat.is_file():
                if time.monotonic() - self._started > policy.start_timeout:
                    return (
                        1,
                        f"worker {rank} has not begun to train within {policy.start_timeout:g} s (--start-timeout)",
                    )
            elif now - beat.stat().st_mtime > policy.stall_timeout:
                return 1, f"worker {rank} has stalled for {policy.stall_timeout:g} s (--stall-timeout)"
        return None

    def _forward_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop_requested = True
        if number == signal.SIGHUP:
            detach_from_terminal()
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _stop(self) -> None:
        """End the workers that still run. One that waits for a dead one cannot save anything and is killed at once."""
        deadline = time.monotonic() + (GRACE_PERIOD if self._stop_requested else 0)
        while any(process.poll() is None for process in self._processes) and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def find_free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, kept apart by being held open together."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
