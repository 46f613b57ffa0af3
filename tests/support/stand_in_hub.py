"""A Hugging Face hub on this machine: the few requests that publishing and downloading make, and what they change."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

# By token: who has it, and whether it may write.
TOKENS = {"hf_joe": ("joe", True), "hf_reader": ("joe", False), "hf_eve": ("eve", True)}
LARGE = (".keras", ".tflite", ".onnx", ".safetensors")


@dataclass
class Repository:
    """commits: by their hash the files, the newest last. large: names that are kept as large files."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def add(self, files, message=""):
        """Make a commit of these files alone; returns its hash."""
        content = repr((len(self.commits), sorted(files))).encode()
        commit = hashlib.sha1(content).hexdigest()
        self.commits[commit] = dict(files)
        self.messages.append(message)
        return commit

    @property
    def head(self):
        """The newest commit."""
        return list(self.commits)[-1] if self.commits else ""

    @property
    def files(self):
        """What is in it now."""
        return self.commits[self.head] if self.commits else {}

    def find(self, revision):
        """The commit of a branch, a tag or itself; None where there is none."""
        return self.head if revision == "main" else revision if revision in self.commits else None


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def do_HEAD(self):
        self._answer("HEAD")

    def do_GET(self):
        self._answer("GET")

    def do_POST(self):
        self._answer("POST")

    def do_PUT(self):
        self._answer("PUT")

    def _answer(self, method):
        hub = self.server.hub
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        hub.requests.append((method, path))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user, self.writes = TOKENS.get(token, ("", False))
        if hub.broken and hub.broken in path:
            return self._send(503, {"error": "maintenance"})
        parts = path.strip("/").split("/")
        if token and not self.user and path != "/":
            return self._fail(401, "", "Invalid credentials in Authorization header")
        if path == "/":
            return self._send(200, {})
        if path == "/api/whoami-v2":
            return self._send(200, {"name": self.user, "type": "user", "orgs": []})
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if parts[:2] == ["api", "models"]:
            return self._answer_about("/".join(parts[2:4]), parts[4:], body)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._send(200, self._batch(json.loads(body)))
        if parts[0] == "lfs":
            hub.large[parts[1]] = body
            return self._send(200, {})
        if len(parts) < 5 or parts[2] != "resolve":
            return self._fail(404, "", "Not found")
        return self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), method)

    def _create(self, wanted):
        owner = wanted.get("organization") or self.user
        name = f"{owner}/{wanted['name']}"
        if not self.writes or owner != self.user:
            return self._fail(403, "", "You don't have the rights to create a model under this namespace")
        if name in self.server.hub.repositories:
            return self._fail(409, "", "You already created this model repo")
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        self.server.hub.repositories[name] = Repository(private)
        return self._send(200, {"url": f"{self.server.hub.address}/{name}", "name": name})

    def _find(self, name):
        found = self.server.hub.repositories.get(name)
        return None if found is None or (found.private and self.user != name.split("/")[0]) else found

    def _answer_about(self, name, rest, body):
        found = self._find(name)
        if found is None:
            return self._fail(404 if self.user else 401, "RepoNotFound", "Repository not found")
        if rest[:1] in ([], ["revision"]):
            siblings = [{"rfilename": each} for each in found.files]
            about = {"id": name, "modelId": name, "sha": found.head or None, "private": found.private, "tags": []}
            return self._send(200, {**about, "siblings": siblings})
        if not self.writes or self.user != name.split("/")[0]:
            return self._fail(403, "", "Forbidden: you must have write access")
        if rest[0] == "preupload":
            files = json.loads(body)["files"]
            modes = {each["path"]: "lfs" if each["path"].endswith(LARGE) else "regular" for each in files}
            return self._send(
                200, {"files": [{"path": k, "uploadMode": v, "shouldIgnore": False} for k, v in modes.items()]}
            )
        files, message = dict(found.files), ""
        for line in map(json.loads, body.splitlines()):
            key, value = line["key"], line["value"]
            if key == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, found.head):
                    return self._fail(412, "", "A commit has happened since")
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.hub.large[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        commit = found.add(files, message)
        url = f"{self.server.hub.address}/{name}/commit/{commit}"
        return self._send(200, {"commitUrl": url, "commitOid": commit, "success": True})

    def _batch(self, wanted):
        objects = []
        for each in wanted["objects"]:
            upload = {"href": f"{self.server.hub.address}/lfs/{each['oid']}", "header": {}}
            objects.append({**each, "actions": {"upload": upload}})
        return {"transfer": "basic", "objects": objects}

    def _resolve(self, name, revision, file, method):
        found = self._find(name)
        if found is None:
            return self._fail(404 if self.user else 401, "RepoNotFound", "Repository not found")
        commit = found.find(revision)
        if commit is None:
            return self._fail(404, "RevisionNotFound", "Invalid rev id")
        if file not in found.commits[commit]:
            return self._fail(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        content, hub = found.commits[commit][file], self.server.hub
        sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        tag = hashlib.sha256(content).hexdigest() if file.endswith(LARGE) else sha1
        size = hub.claimed.get(file, len(content))
        sent = hub.damage(content) if method == "GET" and hub.damage else content
        return self._send(200, sent, {"X-Repo-Commit": commit, "ETag": f'"{tag}"', "X-Linked-Size": str(size)})

    def _fail(self, status, code, message, headers=None):
        more = {"X-Error-Code": code} if code else {}
        self._send(status, {"error": message}, {**more, "X-Error-Message": message, **(headers or {})})

    def _send(self, status, content, headers=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        if not isinstance(content, bytes):
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@dataclass
class StandInHub:
    """requests: all that came, by method and path. large: contents of large files by hash. broken: what has it in its
    path is answered by 503. damage: what becomes of the bytes that are downloaded. claimed: sizes that it says of
    files."""

    address: str = ""
    repositories: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    large: dict = field(default_factory=dict)
    broken: str = ""
    damage: object = None
    claimed: dict = field(default_factory=dict)


@contextmanager
def serve_hub():
    """Yield a StandInHub that answers at its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hub = StandInHub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def use_hub(monkeypatch, folder):
    """Yield a StandInHub that huggingface_hub asks, as Joe, with an empty cache and nobody logged in below `folder`."""
    constants = "huggingface_hub.constants"
    with serve_hub() as served:
        for name in ("KRESNET_OFFLINE", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("HF_TOKEN", "hf_joe")
        # What the library has read of the environment when it was imported.
        template = f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        values = {"ENDPOINT": served.address, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_DISABLE_XET": True}
        places = {"HF_HUB_CACHE": "cache", "HF_TOKEN_PATH": "token", "HF_STORED_TOKENS_PATH": "tokens"}
        paths = {name: str(folder / place) for name, place in places.items()}
        for name, value in {**values, **paths}.items():
            monkeypatch.setattr(f"{constants}.{name}", value, raising=False)
        monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        yield served
