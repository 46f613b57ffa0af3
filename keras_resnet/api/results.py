"""What evaluation and prediction return in Python: readable when printed, and shown as HTML by notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from PIL import Image

from keras_resnet.checking.findings import COLUMNS, CheckReport
from keras_resnet.metrics.labels import list_shown_details, metric_label
from keras_resnet.metrics.outcome import format_value
from keras_resnet.reporting import html_tables
from keras_resnet.runtime.image import read_for_display
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import format_predictions
from keras_resnet.runtime.visualize import draw_predictions

# Images of many that a notebook shows.
SHOWN = 50


@dataclass(frozen=True, repr=False)
class ShownCheckReport(CheckReport):
    """A report of `keras_resnet.check` that notebooks show as a table."""

    def _repr_html_(self) -> str:
        found = html_tables.table(COLUMNS, self.rows) if self.findings else ""
        return f"<p>{html.escape(self.title)}</p>{found}{html_tables.items(self.notes)}"


@dataclass(frozen=True, repr=False)
class Score:
    """A metric of a model on one split. model: the run or file; value: 0–1; samples: how many images; metrics: every
    metric by its name, 0–1; intervals: 95% intervals of some of them; tta: "flip" where mirror images were added."""

    model: str
    run: str
    split: str
    metric: str
    value: float
    samples: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    tta: str = "none"

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        value = format_value(self.value, self.intervals.get(self.metric))
        images = counted(self.samples, f"{self.split} image", ",")
        tta = f", tta: {self.tta}" * (self.tta != "none")
        return f"{metric_label(self.metric)} {value} of {images} ({self.model}{tta})"

    def __repr__(self) -> str:
        return f"<Score {self}>"

    def _repr_html_(self) -> str:
        names = [self.metric, *list_shown_details(self.metrics, self.metric)]
        row = [
            self.model,
            self.split,
            str(self.samples),
            *(format_value(self.metrics[name], self.intervals.get(name)) for name in names),
        ]
        return html_tables.table(["model", "split", "images", *map(metric_label, names)], [row])


@dataclass(frozen=True, repr=False)
class Prediction:
    """What one image shows. image: its path, or its place among arrays. predictions: [{"label", "probability"}, …],
    best first, each with a "box" (left, top, right, bottom, in pixels) where objects are found; of an image that was
    rejected {"label": "unknown", "score", "threshold"} before them. frame, seconds: of a video. picture: the image,
    None of a video's frame or a file that is read when it is drawn. nothing: what is said of no predictions."""

    image: str
    predictions: list[dict[str, Any]]
    frame: int | None = None
    seconds: float | None = None
    picture: Image.Image | None = field(default=None, compare=False)
    nothing: str = field(default="nothing", compare=False)

    @property
    def label(self) -> str | None:
        """The most likely label, or that of the most likely object; None where nothing is found; "unknown" of an image
        that was rejected."""
        return self.predictions[0]["label"] if self.predictions else None

    @property
    def probability(self) -> float | None:
        """The probability of `label`, 0–1; None where there is none, also of "unknown"."""
        return self.predictions[0].get("probability") if self.predictions else None

    def as_dict(self) -> dict[str, Any]:
        """Return what `kresnet predict --json` prints of the image."""
        place = {} if self.frame is None else {"frame": self.frame, "seconds": self.seconds}
        return {"image": self.image, **place, "predictions": self.predictions}

    def read(self) -> Image.Image:
        """Return the image."""
        return self.picture or read_for_display(self.image)

    def draw(self) -> Image.Image:
        """Return a copy of the image with what was found drawn in."""
        return draw_predictions(self.read(), self.predictions)

    def __str__(self) -> str:
        when = f", {self.seconds:.2f} s" if self.seconds is not None else ""
        return f"{self.image}{when}: {format_predictions(self.predictions, self.nothing)}"

    def __repr__(self) -> str:
        return f"<Prediction {self}>"

    def _repr_html_(self) -> str:
        return html_tables.table(["image", "", "predictions"], [self._cells()])

    def _cells(self) -> list[str | html_tables.Markup]:
        has_boxes = any("box" in each for each in self.predictions)
        return [
            str(self).partition(": ")[0],
            "" if self.frame is not None else html_tables.thumbnail(self.draw() if has_boxes else self.read()),
            html_tables.bars([(each["label"], each.get("probability")) for each in self.predictions]),
        ]


@dataclass(frozen=True, repr=False)
class Predictions(Sequence[Prediction]):
    """What several images show, in their order. unreadable: files that were left out, for they are damaged."""

    items: tuple[Prediction, ...]
    unreadable: tuple[str, ...] = ()

    @overload
    def __getitem__(self, place: int) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Prediction, ...]: ...
    def __getitem__(self, place: int | slice) -> Prediction | tuple[Prediction, ...]:
        return self.items[place]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.items)

    def __str__(self) -> str:
        return "\n".join(map(str, self.items))

    def __repr__(self) -> str:
        more = f", … {len(self) - 1} more" if len(self) > 1 else ""
        return f"<Predictions {self.items[0]}{more}>" if self.items else "<Predictions of no images>"

    def _repr_html_(self) -> str:
        shown = html_tables.table(["image", "", "predictions"], [each._cells() for each in self.items[:SHOWN]])
        left = len(self) - SHOWN
        return f"{shown}<p>… and {left} more</p>" if left > 0 else shown
