"""Heat maps for the demo's page, on request: its files have no gradients, so that the run's Keras model makes them."""

from __future__ import annotations

import base64
import io
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from keras_resnet.explanation.targets import Question
from keras_resnet.run import Run
from keras_resnet.runtime.image import read_image, show_in_rgb

if TYPE_CHECKING:
    from keras_resnet.explanation.heat_map import Explainer


class HeatMapMaker:
    """Makes heat maps of images by the model of `run`, which is loaded for the first one; one at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._working = threading.Lock()

    @cached_property
    def _explainer(self) -> Explainer:
        from keras_resnet.evaluation.evaluate import load_model
        from keras_resnet.explanation.heat_map import Explainer
        from keras_resnet.export.predict import build_run_metadata

        model = load_model(self._run)
        return Explainer(model, build_run_metadata(self._run))

    def explain(self, content: bytes) -> dict[str, str]:
        """Explain what the model predicts first of the image whose file holds `content`: {"picture": the overlay, a PNG
        file as a data URL, "words"}. Raises DataError if it is no image, RunError if the model cannot be read."""
        with self._working:
            card = self._explainer.card
            picture = read_image(content, card.levels, card.channels)
            (heat_map,) = self._explainer.explain([picture], [Question()])
            file = io.BytesIO()
            heat_map.overlay(show_in_rgb(picture)).save(file, format="PNG")
            encoded = base64.b64encode(file.getvalue()).decode()
            return {"picture": f"data:image/png;base64,{encoded}", "words": heat_map.describe()}
