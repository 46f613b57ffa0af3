"""Several workers on this machine, watched over: one that dies or stalls stops all, and all go on from the last
checkpoint. Imports no TensorFlow."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet.errors import TrainingError, UsageError
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.signals import GRACE, LAUNCHER, leave_terminal, stopping_signals
from keras_resnet.training import gpus, heartbeat, network_isolation

COMMAND = [sys.executable, "-m", "keras_resnet"]
POLL = 0.2
# The exit code of a request that is wrong, and will be wrong again.
USAGE = 2


@dataclass(frozen=True)
class Watch:
    """start: seconds until the first step; stall: seconds that may pass between two; restarts: how often all are
    started again."""

    start: float = 600.0
    stall: float = 300.0
    restarts: int = 3


def launch(
    workers: int, arguments: list[str], watch: Watch, log: Callable[[str], None], isolated: bool | None = None
) -> int:
    """Run `kresnet` with `arguments` (those of train) as `workers` processes; returns the exit code.

    isolated: whether they have a network of their own; None where nothing is against it.

    After a failure all go on with --resume, if there is a run yet, else start anew. Raises TrainingError when they
    have failed more often than `watch` allows.
    """
    network = _network(isolated, arguments, log)
    try:
        return _attempts(workers, arguments, watch, log, network)
    finally:
        if network:
            network.close()


def _attempts(
    workers: int,
    arguments: list[str],
    watch: Watch,
    log: Callable[[str], None],
    network: network_isolation.Network | None,
) -> int:
    """`launch`, in a network that is there."""
    for attempt in range(watch.restarts + 1):
        with tempfile.TemporaryDirectory(prefix="kresnet-") as folder:
            group = _Group(workers, arguments, Path(folder), log, network)
            failure = group.watch(watch)
            if failure is None:
                return 0
            code, words = failure
            if code == USAGE:
                return code
            log(f"launch: {words}; all workers were stopped")
            if code == 128 + signal.SIGINT:
                return code
            if (gone := group.gone()) is not None:
                raise TrainingError(
                    f"the folder of the run is gone: {gone} was deleted or moved, so nothing starts again"
                )
            run = group.run()
            if run and Run(run).finished:
                log(f"launch: {run} had finished before that")
                return 0
            if attempt < watch.restarts:
                arguments = resuming(arguments, run) if run else arguments
                log(f"launch: starting again ({attempt + 1} of {watch.restarts}), {f'from {run}' if run else 'anew'}")
    raise TrainingError(f"the workers failed {counted(watch.restarts + 1, 'time')}, the last time because {words}")


def _network(wanted: bool | None, arguments: list[str], log: Callable[[str], None]) -> network_isolation.Network | None:
    """The workers' own network; None for the machine's. Raises UsageError if one is `wanted` and cannot be."""
    against = "--no-isolate" if wanted is False else network_isolation.obstacle(arguments)
    if against is None:
        try:
            network = network_isolation.Network()
        except OSError:
            against = "this system does not allow another"
        else:
            log("network: the workers' own, which nobody else reaches (--no-isolate for the machine's)")
            return network
    if wanted:
        raise UsageError(f"--isolate: the workers cannot have a network of their own: {against}")
    log(
        f"network: the machine's ({against}); TensorFlow takes connections to the workers' ports on all addresses and"
        " asks nobody who they are, so let a firewall keep them to this machine"
    )
    return None


def resuming(arguments: list[str], run: Path) -> list[str]:
    """What to run instead of `arguments`, to go on with `run`."""
    verbose, kept = (
        [each for each in arguments if each in known] for known in (("-v", "--verbose"), ("--json", "--data-changed"))
    )
    return [*verbose, "train", "--resume", str(run), *kept]


class _Group:
    """The processes of one attempt."""

    def __init__(
        self,
        workers: int,
        arguments: list[str],
        folder: Path,
        log: Callable[[str], None],
        network: network_isolation.Network | None,
    ) -> None:
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
        self._beats = [folder / f"beat-{rank}" for rank in range(workers)]
        self._told_to_stop = False
        self._began = time.monotonic()
        # The system closes our end when this process ends, however it ends; then the workers end too.
        self._told, self._alive = os.pipe()
        command = [*COMMAND, *arguments]
        self._processes = []
        for rank in range(workers):
            environment = {
                **os.environ,
                **gpus.share(rank, workers),
                "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}),
                heartbeat.VARIABLE: str(self._beats[rank]),
                LAUNCHER: str(self._told),
            }
            # Their words go where ours go; results are told once.
            out = None if rank == 0 else subprocess.DEVNULL
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    start_new_session=True,
                    stderr=sys.stderr,
                    stdout=out,
                    pass_fds=(self._told,),
                    preexec_fn=network.enter if network else None,
                )
            )
        os.close(self._told)
        log(f"launch: {workers} workers, process {', '.join(str(process.pid) for process in self._processes)}")

    def run(self) -> Path | None:
        """The folder of the run that the workers have told of, if it is there."""
        for beat in self._beats:
            if beat.is_file() and (Path(beat.read_text(encoding="utf-8")) / "spec.json").is_file():
                return Path(beat.read_text(encoding="utf-8"))
        return None

    def gone(self) -> Path | None:
        """The folder of the run that the workers have told of, if it is no longer there."""
        told = [Path(beat.read_text(encoding="utf-8")) for beat in self._beats if beat.is_file()]
        return next((folder for folder in told if not (folder / "spec.json").is_file()), None)

    def watch(self, watch: Watch) -> tuple[int, str] | None:
        """Until all have ended well: None; or until one has not: its exit code and what happened."""
        before = {number: signal.signal(number, self._pass_on) for number in stopping_signals()}
        try:
            while True:
                codes = [process.poll() for process in self._processes]
                if all(code == 0 for code in codes):
                    return None
                if failure := self._failure(codes, watch):
                    return failure
                time.sleep(POLL)
        finally:
            self._stop()
            os.close(self._alive)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _failure(self, codes: list[int | None], watch: Watch) -> tuple[int, str] | None:
        for rank, code in enumerate(codes):
            if code:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                return code, f"worker {rank} {how}"
        now = time.time()
        for rank, (beat, code) in enumerate(zip(self._beats, codes, strict=True)):
            if code is not None:
                continue
            if not beat.is_file():
                if time.monotonic() - self._began > watch.start:
                    return 1, f"worker {rank} has not begun to train within {watch.start:g} s (--start-timeout)"
            elif now - beat.stat().st_mtime > watch.stall:
                return 1, f"worker {rank} has stalled for {watch.stall:g} s (--stall-timeout)"
        return None

    def _pass_on(self, number: int, frame: Any) -> None:
        self._told_to_stop = True
        if number == signal.SIGHUP:
            leave_terminal()
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _stop(self) -> None:
        """End what still runs. A worker that waits for a dead one cannot save anything: it is killed at once."""
        deadline = time.monotonic() + (GRACE if self._told_to_stop else 0)
        while any(process.poll() is None for process in self._processes) and time.monotonic() < deadline:
            time.sleep(POLL)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, kept apart by being held open together."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
