"""Name repositories of the Hugging Face hub, and say in one sentence why it refuses something."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from keras_resnet.connectivity import get_host
from keras_resnet.errors import UsageError, describe_received
from keras_resnet.runtime.printable import make_printable

SOURCE = "hf"
FORM = f"{SOURCE}:USER/NAME"
# What `kresnet push` writes beside the exported files.
MODEL_FILE, DESCRIPTION_FILE, VERDICTS_FILE, CARD_FILE = "model.keras", "kresnet.json", "verdicts.json", "README.md"
# Of DESCRIPTION_FILE.
DESCRIPTION_FORMAT = 1
DEFAULT_ENDPOINT = "https://huggingface.co"
LOGIN = "hf auth login"
# The hub's own rules, as huggingface_hub.utils.validate_repo_id has them; of both names together its limit.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/-]*[A-Za-z0-9_])?")
MAX_LENGTH = 96
# Characters of the hub's own words that a message quotes.
_MAX_QUOTED = 200


def endpoint() -> str:
    """Return the address of the hub: HF_ENDPOINT, or the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT


def endpoint_host() -> str:
    """Return scheme and host of the hub."""
    return get_host(endpoint())


@dataclass(frozen=True)
class HubRepository:
    """A repository of models on the hub. revision: a branch, tag or commit; None for the main branch."""

    owner: str
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubRepository:
        """Return what "hf:USER/NAME" or "hf:USER/NAME@REVISION" names. Raises UsageError for anything else."""
        source, _, place = text.partition(":")
        place, mark, revision = place.partition("@")
        owner, _, name = place.partition("/")
        if source != SOURCE or not (_is_name(owner) and _is_name(name) and len(place) <= MAX_LENGTH):
            raise UsageError(
                f"a repository of the Hugging Face hub is named {FORM}, both of letters, digits, '-', '_' and '.', at"
                f" most {MAX_LENGTH} together. Received: {describe_received(text)}{_suggest(text)}"
            )
        if mark and (not _REVISION.fullmatch(revision) or ".." in revision):
            raise UsageError(
                f"{FORM}@REVISION takes a branch, a tag or a commit for REVISION. Received: {describe_received(text)}"
            )
        return cls(owner, name, revision or None)

    @property
    def id(self) -> str:
        """The hub's name of it, "USER/NAME"."""
        return f"{self.owner}/{self.name}"

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"{endpoint()}/{self.id}"

    def at(self, revision: str) -> HubRepository:
        """Return the same at a `revision`."""
        return HubRepository(self.owner, self.name, revision)

    def __str__(self) -> str:
        return f"{SOURCE}:{self.id}" + (f"@{self.revision}" if self.revision else "")


def _suggest(text: str) -> str:
    """Return the question whether a repository is meant that is written without "hf:", or as its address; "" where
    nothing fits."""
    place = text.removeprefix(f"{endpoint()}/").removeprefix(f"{DEFAULT_ENDPOINT}/").strip("/")
    owner, _, name = place.partition("@")[0].partition("/")
    return f". Did you mean '{SOURCE}:{place}'?" if _is_name(owner) and _is_name(name) else ""


def _is_name(text: str) -> bool:
    """Return whether a user or a repository may be called `text`."""
    is_plain = bool(_NAME.fullmatch(text)) and "--" not in text and ".." not in text
    return is_plain and not text.endswith((".git", ".ipynb"))


def describe_refusal(error: Exception, repository: HubRepository, writes: bool = False) -> str:
    """Return why the hub did not do what was asked for `repository`, in a sentence without its end: by the status of
    its answer, or in the words of `error`."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision {repository.revision or 'main'}"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{repository} has no such file"
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is shown only to users whom its owner admits; ask for that at {repository.address}"
    if writes and status == 403:
        return (
            f"the token may not write to {repository.id}: {repository.owner} must be you or an organization of yours,"
            " and the token needs write access"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no {repository}, or it is private and you are not logged in with a token that may read it"
    if status == 401:
        return f"the hub does not accept the token; log in again with: {LOGIN}"
    if status == 403:
        return f"the token may not read {repository}"
    if status is not None:
        words = getattr(error, "server_message", None) or ""
        return f"the hub answered {status}{words and f', {quote(words)}'}"
    return quote(str(error)) or type(error).__name__


def quote(words: str) -> str:
    """Return words of foreign origin in one line that is safe to print and not too long."""
    line = make_printable(" ".join(words.split()))
    return line if len(line) <= _MAX_QUOTED else f"{line[:_MAX_QUOTED]}…"
