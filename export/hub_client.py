"""The Hugging Face hub as the owner of a repository: what is there, and a commit of files to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.connectivity import describe_unreachable, is_reachable
from keras_resnet.errors import HubError
from keras_resnet.pretrained.hub_repository import (
    LOGIN,
    VERDICTS_FILE,
    HubRepository,
    describe_refusal,
    endpoint,
    endpoint_host,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Of the verdicts of an earlier push, which say what of the repository is of it.
MAX_VERDICTS_BYTES = 8 * 2**20


@dataclass(frozen=True)
class PublishedFile:
    """A file of a repository. name: its path there. content: the bytes, or the file that has them."""

    name: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def read(self) -> bytes:
        """Return all of it."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class RemoteState:
    """What is at a repository. exists: whether there is one. files: names of all. commit: of the main branch, None of
    an empty one."""

    exists: bool = False
    files: frozenset[str] = frozenset()
    commit: str | None = None
    is_private: bool = False


def connect(repository: HubRepository) -> Hub:
    """Return the hub as the user's token lets in. Raises HubError where there is no token, no network, or a token that
    the hub does not know."""
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise HubError(f"publishing needs a token with write access: log in with: {LOGIN}; or set HF_TOKEN")
    if not is_reachable(endpoint_host()):
        raise HubError(f"cannot publish {repository}: {describe_unreachable(endpoint_host())}")
    api = HfApi(endpoint=endpoint(), token=token, library_name="kresnet")
    try:
        api.whoami()
    except Exception as error:  # of the library, of its HTTP client and of the network
        raise _explain(error, repository) from error
    return Hub(repository, api)


@dataclass(frozen=True)
class Hub:
    """The hub as the owner of `repository`."""

    repository: HubRepository
    api: HfApi

    def look(self) -> RemoteState:
        """Return what is at the repository. Raises HubError."""
        from huggingface_hub import errors

        try:
            found = self.api.model_info(self.repository.id)
        except errors.GatedRepoError as error:
            raise _explain(error, self.repository) from error
        except errors.RepositoryNotFoundError:
            return RemoteState()
        except Exception as error:
            raise _explain(error, self.repository) from error
        names = frozenset(each.rfilename for each in found.siblings or ())
        return RemoteState(True, names, found.sha, bool(found.private))

    def list_outdated(self, state: RemoteState, files: Sequence[PublishedFile]) -> list[str]:
        """Return the exported files of an earlier push that are not published again: nothing would say what they are
        worth. Raises HubError where that push cannot be read."""
        if VERDICTS_FILE not in state.files:
            return []
        import huggingface_hub

        try:
            url = huggingface_hub.hf_hub_url(
                self.repository.id, VERDICTS_FILE, revision=state.commit, endpoint=endpoint()
            )
            size = huggingface_hub.get_hf_file_metadata(url, token=self.api.token).size
            if size is None or size > MAX_VERDICTS_BYTES:
                raise ValueError(f"{VERDICTS_FILE} there is too large to be of kresnet")
            place = self.api.hf_hub_download(self.repository.id, VERDICTS_FILE, revision=state.commit)
            names = {str(row["file"]) for row in json.loads(Path(place).read_bytes())}
        except (KeyError, TypeError, ValueError, RecursionError):
            return []  # of something else
        except Exception as error:
            raise _explain(error, self.repository) from error
        kept = {file.name for file in files}
        return sorted(
            each for each in state.files - kept if each in names or any(each.startswith(f"{name}/") for name in names)
        )

    def commit(
        self,
        state: RemoteState,
        files: Sequence[PublishedFile],
        outdated: Sequence[str],
        message: str,
        private: bool,
    ) -> None:
        """Send all in one commit, to a new repository where there is none. Raises HubError."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(each.name, each.content) for each in files),
            *(CommitOperationDelete(name) for name in outdated),
        ]
        is_made = False
        try:
            if not state.exists:
                self.api.create_repo(self.repository.id, private=private)
                is_made = True
            with _progress_on_terminals():
                self.api.create_commit(
                    self.repository.id, operations, commit_message=message, parent_commit=state.commit
                )
        except Exception as error:
            raise _explain(error, self.repository, "; the new repository is there, and empty" * is_made) from error


def _explain(error: Exception, repository: HubRepository, more: str = "") -> HubError:
    return HubError(f"nothing was published: {describe_refusal(error, repository, writes=True)}{more}")


@contextmanager
def _progress_on_terminals() -> Iterator[None]:
    """Let the hub's library show its progress, which it writes to standard error, on a terminal alone."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
