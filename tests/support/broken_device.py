"""A device with a fault, for --on "python broken_device.py FAULT FOLDER": the real runner with one thing wrong."""

import os
import sys
import time
from pathlib import Path

sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))  # the runner, which this process has already

from keras_resnet.export.devices.runner import pipes, serve, storage  # noqa: E402

fault, folder = sys.argv[1], Path(sys.argv[2])
if fault == "goes" and (folder / "died").exists():
    os._exit(9)
honest_send, honest_receive = pipes.Pipes.send, pipes.Pipes.receive
sent = 0


def send(self, kind, payload=b"", **fields):
    global sent
    if kind == "outputs":
        sent += 1
        # Only the first process dies: the next goes on, or, of a device that goes, does not start.
        if fault == "goes" or (fault == "dies once" and sent == 2 and not (folder / "died").exists()):
            (folder / "died").touch()
            os._exit(9)
        if fault == "dies always":
            print("Segmentation fault", file=sys.__stderr__)
            os._exit(9)
        if fault == "slow":
            time.sleep(30)
        if fault == "other shape":
            fields["arrays"][0]["shape"] = [1, 1]
        if fault == "fewer numbers":
            payload = payload[:-4]
        if fault == "other outputs":
            fields["arrays"][0]["shape"] = [fields["arrays"][0]["shape"][0], 5, 2]
        if fault == "other part":
            fields["part"] += 1
        if fault == "lying checksum":
            honest_write = self.writer.write
            self.writer.write = lambda data: honest_write(data[:-1] + bytes([data[-1] ^ 1]))
    if kind == "hello" and fault == "older runner":
        fields["protocol"] = 0
    if kind == "loaded" and fault == "no such field":
        del fields["load_ms"]
    if kind == "measured" and fault == "restless":
        fields["repeat_difference"] = fields["largest_output"]
    honest_send(self, kind, payload, **fields)


def receive(self):
    head, payload = honest_receive(self)
    return (head, payload[::-1]) if head["kind"] == "model" and fault == "other file" else (head, payload)


pipes.Pipes.send, pipes.Pipes.receive = send, receive
if fault.startswith("greets"):
    os.write(1, b"Welcome to Debian" + b"\n" * (fault == "greets"))
if fault == "chatters":
    os.write(1, b"Welcome to Debian\n" * 10_000)
if fault == "disk full":

    def full(path, mode="r", **options):
        raise OSError(28, "No space left on device")

    storage.open = full
sys.exit(serve.main([]))
