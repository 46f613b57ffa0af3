"""Publish a run on the Hugging Face hub from Python."""

from __future__ import annotations

from collections.abc import Mapping

from keras_resnet import progress
from keras_resnet.api.keywords import require_known, to_list, to_options, to_text
from keras_resnet.api.signatures import PUSH, names
from keras_resnet.config.given_options import select_given
from keras_resnet.config.settings import iterate_settings
from keras_resnet.export.publish import publish
from keras_resnet.export.publish_settings import PublishSettings
from keras_resnet.run import Run as RunFolder

_LISTS = {each.key for each in iterate_settings(PublishSettings) if each.is_list}


def push_run(run: RunFolder, destination: str, keywords: Mapping[str, object]) -> str:
    """Publish `run` with the keywords of `Run.push`, and return its address. Raises as that does."""
    require_known("push", keywords, names(PUSH))
    given = select_given(to_options(keywords))
    given = {name: to_list(value) if name in _LISTS else value for name, value in given.items()}
    return publish(
        run, to_text("destination", destination, "hf:USER/NAME, as text"), PublishSettings(**given), progress.log
    )
