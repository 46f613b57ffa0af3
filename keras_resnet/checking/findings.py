"""What a check of a dataset finds, as people and programs read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keras_resnet.data.class_sampling import CLASS_WEIGHTS_TRADE
from keras_resnet.runtime.plurals import counted


@dataclass(frozen=True)
class Kind:
    """A kind of finding. title: of its section. why: what is wrong with it, and what to do, a sentence or two."""

    title: str
    why: str


# By the names in JSON, the most harmful first. A new kind is a line here and a function that finds it.
KINDS = {
    "unreadable": Kind("Unreadable files", "Training skips them. Replace or remove them."),
    "exact_duplicate_across_splits": Kind(
        "Exact duplicates across splits",
        "The network is tested on images it was trained on, so results look better than they are. Keep one of each.",
    ),
    "near_duplicate_across_splits": Kind(
        "Near duplicates across splits",
        "These look like one picture that was resized, compressed, brightened or slightly cropped, or like neighboring"
        " frames of a video. If they are, results look better than they are: keep one of them, or all of them in one"
        " split.",
    ),
    "conflicting_labels": Kind(
        "Exact duplicates with different labels",
        "At least one of the labels is wrong. Decide which one is right.",
    ),
    "exact_duplicate": Kind(
        "Exact duplicates", "An image that occurs twice counts twice and teaches nothing new. Keep one of each."
    ),
    "near_duplicate": Kind(
        "Near duplicates",
        "These look like one picture, or like neighboring frames of a video. The network learns little more from all of"
        " them than from one. Check whether you want to keep them all.",
    ),
    "warning": Kind(
        "Warnings about labels and files",
        "The data can be read, but may be read in another way than is meant. Correct the names or files, unless all is"
        " as it should be.",
    ),
    "blank": Kind("Blank images", "They show one color, so nothing can be learned from them. Remove them."),
    "dark": Kind(
        "Dark images", "Even their brightest parts are nearly black. Look at them, and brighten or remove them."
    ),
    "blurred": Kind(
        "Blurred images", "They have no sharp edges, unlike most images. Remove those that nobody could label."
    ),
    "unequal_classes": Kind(
        "Class imbalance",
        "The network may never predict rare classes. Add images of them; where each image has one label,"
        f" --class-weights balanced or --sampling sqrt help too ({CLASS_WEIGHTS_TRADE}).",
    ),
    "label_error": Kind(
        "Suspected label errors",
        "Another class looks much more likely; the most doubtful labels come first. Look at each image, and correct its"
        " label if it is wrong.",
    ),
    "outlier": Kind(
        "Outliers",
        "To the network, they look like no other image. Check whether they belong in this dataset.",
    ),
}


# What stands in a row of a report's table.
COLUMNS = ("found", "number", "for example")
# Kinds that are worth a look, and nothing more.
HINTS = ("outlier",)
# Kinds of images that are alike, which proves nothing; others are equal pixel for pixel.
LIKENESSES, LOOKS_LIKE = ("near_duplicate_across_splits", "near_duplicate"), " looks like "


@dataclass(frozen=True)
class CheckedImage:
    """An image of a split, at `row` of it. file: its path, "" where the dataset is not made of files. title: what
    people call it, see `Split.name_image`."""

    split: str
    row: int
    label: str
    file: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """What it is called where nobody knows the folder of the dataset."""
        return self.file or f"{self.split} image {self.row + 1}"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: of one image, or of a group of those that belong together. note: what is to be said of
    it, such as the label that an image should have."""

    kind: str
    images: tuple[CheckedImage, ...] = ()
    note: str = ""

    @property
    def example(self) -> str:
        """It in a few words: the names of two of its images, of different splits where it is in several, and what is to
        be said of them."""
        by_split = {each.split: each for each in reversed(self.images)}
        two = list(reversed(by_split.values())) if len(by_split) > 1 else self.images
        names = (LOOKS_LIKE if self.kind in LIKENESSES else " = ").join(each.title or each.name for each in two[:2])
        return ": ".join(filter(None, (names, self.note)))

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        images = [{"split": each.split, "label": each.label, "image": each.name} for each in self.images]
        return {"kind": self.kind, "images": images, "note": self.note}


@dataclass(frozen=True, repr=False)
class CheckReport:
    """What a check of `data` found. counts: images that can be read, by split and class. properties: how many images
    have which "size", "shape" and "channels", the most frequent first. notes: what was not looked for, and why.
    commands: what is typed to check the labels, where they were not checked; a note ends with it.
    has_own_splits: whether the data are split into training and validation; if not, kresnet holds some images out.
    error: why the data cannot be opened, "" where they can; with it, only the notes and unreadable files are there."""

    data: str
    counts: dict[str, dict[str, int]]
    properties: dict[str, dict[str, int]]
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)
    has_own_splits: bool = True
    commands: tuple[str, ...] = ()
    error: str = ""

    @property
    def images(self) -> int:
        """How many images were looked at."""
        return sum(self.properties["size"].values())

    @property
    def images_in_words(self) -> str:
        """How many images were looked at, and how many files could not be."""
        unreadable = sum(each.kind == "unreadable" for each in self.findings)
        more = f" checked, and {counted(unreadable, 'more file', ',')} that cannot be read" if unreadable else ""
        return f"{counted(self.images, 'image', ',')}{more}"

    @property
    def by_kind(self) -> dict[str, list[Finding]]:
        """The findings by kind, in the order of `KINDS`; of kinds that were found."""
        groups = {kind: [each for each in self.findings if each.kind == kind] for kind in KINDS}
        return {kind: found for kind, found in groups.items() if found}

    @property
    def faults(self) -> list[str]:
        """The kinds of what is wrong for certain: an image that is like no other may well belong there."""
        return [kind for kind in self.by_kind if kind not in HINTS]

    @property
    def title(self) -> str:
        """The name of the data, and how many images were looked at."""
        if self.error:
            return self.data
        nothing = "" if self.findings else "no problems found in "
        return f"{self.data}: {nothing}{self.images_in_words}"

    @property
    def rows(self) -> list[list[str]]:
        """What was found, how many of it, and the first as an example, by kind."""
        return [[KINDS[kind].title, str(len(found)), found[0].example] for kind, found in self.by_kind.items()]

    def __repr__(self) -> str:
        rows = [COLUMNS, *self.rows] if self.findings else []
        width = max((len(title) for title, _, _ in rows), default=0)
        lines = [f"  {title:<{width}}  {count:>6}  {example}" for title, count, example in rows]
        return "\n".join([self.title, *lines, *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "data": self.data,
            "images": self.images,
            "counts": self.counts,
            "properties": self.properties,
            "found": {kind: len(found) for kind, found in self.by_kind.items()},
            "findings": [each.as_dict() for found in self.by_kind.values() for each in found],
            "notes": self.notes,
            "error": self.error,
        }


def name_commands(commands: tuple[str, ...]) -> str:
    """Return what a note ends with that names `commands` to type one after another; "" of none."""
    return f": {', then '.join(commands)}" if commands else ""
