"""What a session and the browser's page that works for it hand each other; requests of several threads come here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from keras_resnet.errors import ExportError
from keras_resnet.export.devices.foreign_text import show
from keras_resnet.export.devices.page_messages import Message
from keras_resnet.runtime.plurals import counted

T = TypeVar("T")
# Seconds without a sign of a page after which it is taken to be gone; it gives one every two seconds.
LEASE = 10.0
# Seconds that the page's question for work may stay open, and between two looks at what has come.
POLL, LOOK = 10.0, 0.5
# What a page is told that has no place.
BUSY = "Another page is already running the files. This one continues when that one is closed."


class RefusedError(Exception):
    """A page that may not do what it wants: what it is told, in a sentence."""


@dataclass
class Job:
    """A file that a page runs.

    about: what the page is told of it. task: what it is to do, numbered from 1; 0 is to load the file. loaded, answer:
    what it said of that. done: images that are answered; progressed:
    when the page last came on. agent: of the browser that began.
    """

    number: int
    about: dict[str, Any]
    progressed: float = field(default_factory=time.monotonic)
    task: int = 0
    work: Message | None = None
    limit: int = 0
    loaded: Message | None = None
    answer: Message | None = None
    error: str = ""
    agent: str = ""
    done: int = 0


class Exchange:
    """One job at a time for one page at a time: another one has to wait until that is gone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._job: Job | None = None
        self._jobs = 0
        self._page, self._agent, self._seen = "", "", 0.0
        self._is_finished = self._knows_end = False

    # The page's side.

    def greet(self, page: str, agent: str) -> dict[str, Any]:
        """Give the work to `page`, of a browser that calls itself `agent`, and return what it is. Raises RefusedError
        for one that may not have it."""
        with self._changed:
            if self._is_finished:
                self._knows_end = True
                self._changed.notify_all()
                return {"state": "finished"}
            if self._is_there and page != self._page:
                raise RefusedError(BUSY)
            job = self._job
            if job and job.agent and job.agent != agent:
                raise RefusedError(f"Another browser began with this file, and has to go on: {job.agent}")
            self._page, self._agent, self._seen = page, agent, time.monotonic()
            self._changed.notify_all()
            return {"state": "job", **job.about, "job": job.number, "done": job.done} if job else {"state": "waiting"}

    def keep(self, page: str) -> None:
        """Take a sign of `page`. Raises RefusedError where it has lost its place."""
        with self._changed:
            if page != self._page:
                raise RefusedError(BUSY)
            self._seen = time.monotonic()

    def leave(self, page: str) -> None:
        """Take the place of `page`, which is closed, away."""
        with self._changed:
            if page == self._page:
                self._page, self._seen = "", 0.0
                self._changed.notify_all()

    def take_work(self, page: str, job: int) -> Message | None:
        """Return what `page` is to do next for the job of that number, None if nothing yet. Raises RefusedError."""
        until = time.monotonic() + POLL
        with self._changed:
            while True:
                self.keep(page)
                current = self._job
                if self._is_finished:
                    self._knows_end = True
                    self._changed.notify_all()
                    return Message({"kind": "finished"})
                if current and current.number != job:
                    return Message({"kind": "reload"})
                if current and current.work and not current.answer and not current.error:
                    return current.work
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def find_limit(self) -> int:
        """Return how many bytes the payload of the page's next message may have."""
        with self._changed:
            return self._job.limit if self._job else 0

    def take_answer(self, page: str, job: int, message: Message) -> None:
        """Take what `page` sends. Raises RefusedError where nobody asked."""
        self.keep(page)
        with self._changed:
            current = self._job
            if current is None or current.number != job:
                raise RefusedError("This file is done.")
            current.progressed = time.monotonic()
            if message.kind == "error":
                current.error = current.error or show(message.head.get("message"))
            elif message.kind == "loaded":
                current.loaded, current.agent = message, self._agent
            elif current.work and not current.answer and message.head.get("task") == current.task:
                current.answer = message
                current.done += current.work.head["shape"][0] if current.work.kind == "images" else 0
            self._changed.notify_all()

    def fail(self, words: str) -> None:
        """Let the job fail because of what a page sent."""
        with self._changed:
            if self._job:
                self._job.error = self._job.error or words
                self._changed.notify_all()

    # The session's side.

    def begin(self, about: dict[str, Any]) -> None:
        """Give a file to the page."""
        with self._changed:
            self._jobs += 1
            self._job = Job(self._jobs, about)
            self._changed.notify_all()

    def end(self) -> None:
        """Take the file back."""
        with self._changed:
            self._job = None
            self._changed.notify_all()

    def finish(self, farewell: float) -> None:
        """Tell the page that all is done; waits until it knows, `farewell` seconds at most."""
        with self._changed:
            self._is_finished = True
            self._changed.notify_all()
            if self._page:
                self._changed.wait_for(lambda: self._knows_end, farewell)

    def ask(self, kind: str, payload: bytes, limit: int, **fields: object) -> None:
        """Give the page something to do. limit: bytes of its answer's payload."""
        with self._changed:
            job = self._require_job()
            job.task, job.answer, job.limit = job.task + 1, None, limit
            job.work = Message({"kind": kind, "task": job.task, **fields}, payload)
            job.progressed = time.monotonic()
            self._changed.notify_all()

    def wait(self, find: Callable[[Job], T | None], look: Callable[[bool, float], None]) -> T:
        """Return what `find` finds in the job, as soon as it does. Raises ExportError for an error of the page, and
        whatever `look` raises, which is told at least every LOOK seconds whether a page is there, and for how many
        seconds nothing has come of it."""
        while True:
            with self._changed:
                job = self._require_job()
                if job.error:
                    raise ExportError(job.error)
                found = find(job)
                if found is not None:
                    return found
                self._changed.wait(LOOK)
                is_there, idle = self._is_there, time.monotonic() - job.progressed
            look(is_there, idle)

    @property
    def done(self) -> int:
        """How many images the page has answered."""
        with self._changed:
            return min(self._job.done, self._job.about["images"]) if self._job else 0

    @property
    def _is_there(self) -> bool:
        return bool(self._page) and time.monotonic() - self._seen < LEASE

    def _require_job(self) -> Job:
        if self._job is None:
            raise ExportError("no file is open in the browser")
        return self._job


def describe_done(images: int) -> str:
    """Say how far a page has come."""
    return f"after {counted(images, 'image')}" if images else "before its first image"
