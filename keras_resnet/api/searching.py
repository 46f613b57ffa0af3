"""`keras_resnet.search`: the most accurate network whose file is within a budget, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from keras_resnet import progress
from keras_resnet.api.keywords import require_known, to_list, to_options
from keras_resnet.api.options import SearchOptions
from keras_resnet.api.run import Run
from keras_resnet.api.session import from_python
from keras_resnet.api.signatures import SEARCH, document_options, names
from keras_resnet.config.given_options import select_given
from keras_resnet.config.settings import iterate_settings
from keras_resnet.errors import TrainingInterrupted, UsageError, describe_received
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.network_search.budget import EXAMPLE
from keras_resnet.network_search.result import SearchResult
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.tables import COLUMNS, list_rows
from keras_resnet.reporting import html_tables
from keras_resnet.run import Run as RunFolder

if TYPE_CHECKING:
    from keras_resnet.network_search.dry_run import DryRun

StrPath = str | os.PathLike[str]
_SECTIONS = (SearchSettings, DeviceSettings)


@dataclass(frozen=True, repr=False)
class ShownSearchResult(SearchResult):
    """What `keras_resnet.search` returns: readable when printed, and a table in notebooks."""

    @property
    def run(self) -> Run:
        """The run of the recommended candidate, with its exported file."""
        return Run(RunFolder(self.home / self.require_recommended().run))

    def __str__(self) -> str:
        best = self.require_recommended()
        return f"{best.run}: {best}"

    def __repr__(self) -> str:
        return f"<SearchResult {self}>"

    def _repr_html_(self) -> str:
        return html_tables.table(COLUMNS, list_rows(self))


@document_options(SearchOptions)
@from_python
def search(data: StrPath, budget: str, **options: Unpack[SearchOptions]) -> ShownSearchResult:
    """Search for the network that fits a budget and return what was found: what `kresnet search` does.

    data: what `train` takes. budget: what the file may cost where it runs, "latency<=20ms,size<=2MB".

    The runs of all candidates stay; that of the recommended one is `run` of what is returned. Raises UsageError for
    options that are wrong, DataError for images that cannot be used, SearchError where no network is within the budget
    or Optuna is missing, and TrainingInterrupted after Ctrl-C: the same call goes on.
    """
    require_known("search", options, names(SEARCH))
    given = select_given(to_options({"data": data, **options}))
    if not isinstance(budget, str):
        raise UsageError(f"budget must be limits such as {EXAMPLE!r}. Received: {describe_received(budget)}")
    settings, on = take_settings({**given, "budget": budget})
    result = find_network(settings, on)
    if result.is_interrupted:
        raise TrainingInterrupted(f"interrupted; the same call goes on with {result.folder}")
    result.require_recommended()
    return ShownSearchResult(**vars(result))


def take_settings(given: Mapping[str, Any]) -> tuple[SearchSettings, DeviceSettings]:
    """Return what the `given` options ask for: of what is chosen among, one value or several, also as text with commas
    between. Raises UsageError."""
    lists = {each.key for section in _SECTIONS for each in iterate_settings(section) if each.is_list}
    given = {name: to_list(value) if name in lists else value for name, value in given.items()}
    on, others = DeviceSettings.take(given)
    if sizes := others.get("image_size"):  # in Python also numbers, and pairs of them
        others["image_size"] = tuple("x".join(map(str, e)) if isinstance(e, tuple) else str(e) for e in sizes)
    return SearchSettings(**others), on


def find_network(settings: SearchSettings, on: DeviceSettings) -> SearchResult:
    """Return what a search has come to; see `search`."""
    settings.require_possible()
    from keras_resnet.network_search.search import run_search

    return run_search(settings, on, progress.log)


def estimate(settings: SearchSettings, on: DeviceSettings) -> DryRun:
    """Return which networks are expected to be within the budget; see `search`."""
    settings.require_possible()
    from keras_resnet.network_search.dry_run import estimate_space

    return estimate_space(settings, on, progress.log)
