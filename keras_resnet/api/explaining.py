"""Heat maps from Python and from the command line: which parts of images the scores of a run's model rest on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from PIL import Image

from keras_resnet.api.predicting import Images, Pixels, answer_each, list_images, to_pictures
from keras_resnet.api.session import from_python
from keras_resnet.atomic_write import write_atomically
from keras_resnet.config.data import FITS, Fit
from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.explanation.targets import Question, refuse_video
from keras_resnet.reporting import html_tables
from keras_resnet.runtime.image import Picture, read_for_display, read_image, show_in_rgb
from keras_resnet.runtime.metadata import ModelMetadata

if TYPE_CHECKING:
    import keras

    from keras_resnet.explanation.heat_map import Explainer, HeatMap
    from keras_resnet.export.predict import Input

# Images of many that a notebook shows.
SHOWN = 20


@from_python
def explain(
    model: keras.Model,
    images: Images,
    classes: Sequence[str],
    *,
    label: str | None = None,
    method: str | None = None,
    layer: str | None = None,
    fit: Fit = "stretch",
) -> Explanation | Explanations:
    """Show by heat maps which parts of `images` a score of any Keras classifier rests on; those of runs have
    `Run.explain`.

    model: functional or sequential, from pixels (B, H, W, C) in 0–255 to logits (B, classes). classes: the labels, in
    the order of the logits. fit: how images of other sizes are brought to the model: "stretch", "crop" or "pad", see
    `--fit`. images, label, method, layer, and what is returned: see `Run.explain`.

    Raises UsageError for a model that is not of this kind, and as `Run.explain`.
    """
    from keras_resnet.compression.quantization.graph_reader import find_softmax
    from keras_resnet.explanation.feature_maps import require_graph
    from keras_resnet.explanation.heat_map import Explainer

    require_one_of("fit", fit, tuple(FITS))
    require_graph(model)
    shape: Any = getattr(model, "input_shape", None)
    outputs: Any = getattr(model, "output_shape", None)
    is_image = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:]
    if not is_image or not isinstance(outputs, tuple) or outputs[1:] != (len(classes),):
        raise UsageError(
            f"the model must go from images of one size, (None, height, width, channels), to (None, {len(classes)}), a"
            f" logit for each class. Received: from {shape} to {outputs}"
        )
    if softmax := find_softmax(model):
        raise UsageError(
            "the model must end in logits, without a softmax, whose gradient is nearly 0 where the model is confident."
            f" Received: {model.name}, which ends in {softmax.name}"
        )
    size = (shape[1], shape[2])
    card = ModelMetadata(tuple(classes), size, size, {}, preprocessing=FITS[fit], channels=shape[3])
    return explain_images(Explainer(model, card, method, layer), images, Question(label))


@dataclass(frozen=True, repr=False)
class Explanation:
    """Which parts of one image a score rests on. image: its path, or its place among arrays. heat_map: the map, with
    what it explains and how it was made. picture: the image, None of a file that is read when it is drawn."""

    image: str
    heat_map: HeatMap
    picture: Image.Image | None = field(default=None, compare=False)

    @property
    def map(self) -> np.ndarray:
        """The heat map in the pixels that the network sees: float32 (H, W), 0–1."""
        return self.heat_map.map

    @property
    def on_image(self) -> np.ndarray:
        """The heat map in the pixels of the image: float32 (height, width), 0 where the network does not see it."""
        return self.heat_map.on_image

    @property
    def label(self) -> str:
        """The class, the label or the class of the object whose score is explained."""
        return self.heat_map.target.label

    @property
    def probability(self) -> float:
        """The probability of `label`, 0–1."""
        return self.heat_map.target.probability

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """The object's left, top, right and bottom edge in pixels of the image; None where no object is explained."""
        return self.heat_map.target.box

    def read(self) -> Image.Image:
        """Return the image."""
        return self.picture or read_for_display(self.image)

    def overlay(self) -> Image.Image:
        """Return a copy of the image, in gray under the heat map; what the network does not see is darkened."""
        return self.heat_map.overlay(self.read())

    def side_by_side(self) -> Image.Image:
        """Return the image, and beside it the overlay."""
        return self.heat_map.side_by_side(self.read())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the image with the overlay beside it as a file, such as map.png."""
        write_picture(self.side_by_side(), Path(path))

    def as_dict(self) -> dict[str, Any]:
        """Return what `kresnet predict --explain --json` prints of the image."""
        target = self.heat_map.target
        found = {"label": target.label, "probability": target.probability, "is_predicted": target.is_predicted}
        box = {} if target.box is None else {"box": list(target.box)}
        peak = self.heat_map.peak and list(self.heat_map.peak)
        how = {"method": self.heat_map.method, "layer": self.heat_map.layer, "peak": peak}
        return {"image": self.image, **found, **box, **how}

    def __str__(self) -> str:
        return f"{self.image}: {self.heat_map.describe()}"

    def __repr__(self) -> str:
        return f"<Explanation {self}>"

    def _repr_html_(self) -> str:
        return html_tables.table(["", "", "explained"], [self._cells()])

    def _cells(self) -> list[str]:
        words = self.heat_map.describe()
        shown = html_tables.thumbnail(self.overlay(), f"heat map of {words}")
        return [html_tables.thumbnail(self.read(), self.image), shown, str(self)]


@dataclass(frozen=True, repr=False)
class Explanations(Sequence[Explanation]):
    """Heat maps of several images, in their order. unreadable: files that were left out, for they are damaged."""

    items: tuple[Explanation, ...]
    unreadable: tuple[str, ...] = field(default=())

    @overload
    def __getitem__(self, place: int) -> Explanation: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Explanation, ...]: ...
    def __getitem__(self, place: int | slice) -> Explanation | tuple[Explanation, ...]:
        return self.items[place]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.items)

    def __str__(self) -> str:
        return "\n".join(map(str, self.items))

    def __repr__(self) -> str:
        more = f", … {len(self) - 1} more" if len(self) > 1 else ""
        return f"<Explanations {self.items[0]}{more}>" if self.items else "<Explanations of no images>"

    def _repr_html_(self) -> str:
        shown = html_tables.table(["", "", "explained"], [each._cells() for each in self.items[:SHOWN]])
        left = len(self) - SHOWN
        return f"{shown}<p>… and {left} more</p>" if left > 0 else shown


def explain_image_file(explainer: Explainer, file: str, question: Question) -> Explanation:
    """Explain one image file. Raises DataError if it cannot be read, UsageError for a video."""
    refuse_video(file)
    picture = read_image(file, explainer.card.levels, explainer.card.channels)
    return explain_picture(explainer, file, picture, question)


def explain_picture(explainer: Explainer, name: str, picture: Picture, question: Question) -> Explanation:
    """Explain one image, called `name`."""
    (heat_map,) = explainer.explain([picture], [question])
    return Explanation(name, heat_map, show_in_rgb(picture))


def explain_images(explainer: Explainer, images: Images, question: Question) -> Explanation | Explanations:
    """Explain one image, or several: of a list, a folder, or an array of several.

    A damaged file among several is logged and left out. Raises DataError for one alone, or where all are damaged, and
    UsageError for what is no image.
    """
    several, is_one = list_images(images)
    for each in several:
        if isinstance(each, (str, os.PathLike)):
            refuse_video(os.fspath(each))

    def explain_file(file: Input) -> Iterator[Explanation]:
        explanation = explain_image_file(explainer, file.name, question)
        # Of many photographs the pixels would fill the memory.
        yield explanation if is_one else replace(explanation, picture=None)

    def explain_pixels(pixels: Pixels, place: int) -> Iterator[Explanation]:
        for number, picture in enumerate(to_pictures(pixels, explainer.card.channels), place):
            yield explain_picture(explainer, f"image {number}", picture, question)

    found, unreadable = answer_each(several, is_one, explain_file, explain_pixels, ("making heat maps", "images"))
    return found[0] if is_one else Explanations(found, unreadable)


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture as a file of the kind that its suffix names, whole or not at all. Raises UsageError for a suffix
    that no kind has."""
    kinds = Image.registered_extensions()
    if path.suffix.lower() not in kinds:
        raise UsageError(f"a heat map must be saved as an image file, such as map.png. Received: {path}")
    with write_atomically(path) as temporary:
        picture.save(temporary, format=kinds[path.suffix.lower()])
