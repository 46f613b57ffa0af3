"""A page that runs files without a browser, and may lie."""

import http.client
import json
import secrets
from urllib.parse import urlsplit

import numpy as np

from keras_resnet.export.devices.page_messages import Message

AGENT = "Mozilla/5.0 (nothing)"
LOADED = {
    **{"agent": AGENT, "threads": 2, "load_ms": 4.0, "fallback": "none", "version": "1"},
    **{"cores": 2, "memory": 8, "isolated": True},
}


class FakePage:
    """What the page's scripts do, in Python: `model` computes."""

    def __init__(self, address, model, agent=AGENT):
        self.split, self.model, self.agent = urlsplit(address), model, agent
        self.id, self.job, self.served = secrets.token_hex(16), 0, 0

    def request(self, method, action, body=None, path=None):
        """(status, body) of one request."""
        connection = http.client.HTTPConnection(self.split.hostname, self.split.port, timeout=20)
        connection.request(method, path or f"{self.split.path}{action}?page={self.id}&job={self.job}", body=body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content

    def greet(self):
        """Ask for work: (status, what it is)."""
        work = {"state": "waiting"}
        while work["state"] == "waiting":
            status, body = self.request("POST", "hello", json.dumps({"agent": self.agent}))
            if status != 200:
                return status, body.decode()
            work = json.loads(body)
        self.job = work.get("job", 0)
        return status, work

    def load(self, **changes):
        """Say that the file is loaded."""
        return self.answer(Message({"kind": "loaded", **LOADED, **changes}).pack())

    def next(self):
        """What is to be done; None where there is nothing yet."""
        status, body = self.request("GET", "next")
        return Message.unpack(body) if status == 200 else None

    def answer(self, content):
        """Send a message: (status, body)."""
        return self.request("POST", "answer", content)

    def compute(self, work):
        """The answer to images."""
        images = np.frombuffer(work.payload, np.uint8).reshape(work.head["shape"])
        outputs = self.model(images)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        arrays = [{"name": name, "dtype": "float32", "shape": list(each.shape)} for name, each in outputs.items()]
        payload = b"".join(each.astype("<f4").tobytes() for each in outputs.values())
        return Message({"kind": "outputs", "task": work.head["task"], "arrays": arrays, "first_ms": 3.0}, payload)

    def measure(self, work):
        """The answer to the question for times."""
        measured = {"times": [1.0, 0.0, *[2.0] * 9], "elapsed": 20.0, "windows": [], "memory": 2**20, "warnings": []}
        return Message({"kind": "measured", "task": work.head["task"], **measured})

    def serve(self, most=None):
        """Do what is asked, `most` times; returns what ended it."""
        while most is None or self.served < most:
            work = self.next()
            if work is None:
                continue
            if work.kind in ("finished", "reload"):
                return work.kind
            self.answer((self.measure if work.kind == "measure" else self.compute)(work).pack())
            self.served += 1
        return "enough"
