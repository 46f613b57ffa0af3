"""Exported files as Python has them: where each is, what it weighs, and the verdict on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from keras_resnet import progress
from keras_resnet.api.predicting import Predicting
from keras_resnet.api.results import Score
from keras_resnet.api.session import from_python
from keras_resnet.config.foreign_words import find_export_name
from keras_resnet.errors import MissingFileError, did_you_mean
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.tflite_options import SCHEME_ALIASES, SCHEMES
from keras_resnet.export.unverified import UnverifiedFile
from keras_resnet.export.verdict import Verdict, format_verdicts, show_verdicts
from keras_resnet.run import Run as RunFolder
from keras_resnet.run.reading import get_adapter
from keras_resnet.runtime.plurals import join_words, verb

if TYPE_CHECKING:
    from keras_resnet.export.predict import Predictor


# Names by which `Run.export` writes a file.
WRITABLE = (*SCHEMES, *SCHEME_ALIASES, *FORMATS)


@dataclass(frozen=True, repr=False)
class ExportedFile(Predicting):
    """A file, or folder, that was exported of a run. path: where it stands. verdict: what is known of it."""

    called = "file"

    path: Path
    verdict: Verdict
    run: RunFolder

    @property
    def name(self) -> str:
        """What it is called among the files of its run: the scheme, or the format: "int8", "onnx", …"""
        return self.verdict.scheme

    @property
    def size(self) -> int:
        """Bytes on the device."""
        return self.verdict.bytes

    @property
    def latency_ms(self) -> float | None:
        """The median time for one image on this machine, in milliseconds; None where time means nothing."""
        return self.verdict.latency_ms

    @property
    def passed(self) -> bool:
        """Whether it is within its budget. One that is not lies in exports/rejected/."""
        return self.verdict.passed

    def __fspath__(self) -> str:
        return str(self.path)

    @from_python
    def evaluate(self, split: str = "validation", *, tta: str = "none") -> Score:
        """Score the file on a split of its run's data: "train", "validation" or "test".

        tta: of classifiers, "auto" or "flip" takes the mean of the logits of each image and its mirror image, auto
        only if the run trained with flips.
        """
        from keras_resnet.export.evaluate import evaluate_on_run
        from keras_resnet.export.load import load_file
        from keras_resnet.export.tta import choose_for_run

        chosen = choose_for_run(tta, self.run, progress.log_once)
        return Score(
            **evaluate_on_run(lambda: load_file(self.path), self.run, split, progress.log_once, str(self.path), chosen)
        )

    @property
    def _trained_by(self) -> RunFolder:
        return self.run

    @cached_property
    def _predictor(self) -> Predictor:
        from keras_resnet.export.predict import file_predictor

        return file_predictor(self.path)

    def __str__(self) -> str:
        return str(self.verdict)

    def __repr__(self) -> str:
        return f"<ExportedFile {self.verdict.summary}>"

    def _repr_html_(self) -> str:
        return show_verdicts([self.verdict])


class ExportedFiles(Mapping[str, ExportedFile]):
    """Exported files by name: "int8", "float32", "onnx", …, or that of the file, "int8.tflite". In a notebook, and
    printed, their verdicts.

    unverified: files that this machine cannot run, which have none.
    """

    def __init__(self, files: Mapping[str, ExportedFile], unverified: Sequence[UnverifiedFile] = ()) -> None:
        self._files = dict(files)
        self._by_file_name = {each.path.name: name for name, each in self._files.items()}
        self.unverified = tuple(unverified)

    @classmethod
    def of(
        cls, run: RunFolder, verdicts: Sequence[Verdict], unverified: Sequence[UnverifiedFile] = ()
    ) -> ExportedFiles:
        """Return the files of `run` that the `verdicts` are on, and those without."""
        return cls({each.scheme: ExportedFile(run.exports / each.file, each, run) for each in verdicts}, unverified)

    @classmethod
    def read(cls, run: RunFolder) -> ExportedFiles:
        """Return all files of `run`. Those whose verdict an earlier version wrote, which measured less, are left out,
        and the log says so."""
        verdicts = [verdict for row in run.verdicts(progress.log) if (verdict := _read_verdict(row))]
        return cls.of(run, verdicts, [UnverifiedFile.from_row(row) for row in run.unverified()])

    def __getitem__(self, name: str) -> ExportedFile:
        found = name if name in self._files else self._by_file_name.get(name)
        if found is None:
            raise MissingFileError(self._describe_missing(name))
        return self._files[found]

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError: a file is an item."""
        sentence = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name.startswith("_"):  # pickle and notebooks ask for such
            raise AttributeError(sentence)
        meant = find_export_name(name) or name.replace("_", "-")
        if meant in (*self._files, *WRITABLE):
            there = f"Use files[{meant!r}]" if meant in self._files else self._describe_missing(meant)
            raise AttributeError(f"{sentence}. {there[0].upper()}{there[1:]}.")
        known = [each for each in dir(type(self)) if not each.startswith("_")]
        raise AttributeError(f"{sentence}.{did_you_mean(name, known)}".rstrip("."))

    def _describe_missing(self, name: str) -> str:
        """Return how the file called `name` is written, or which name is meant, and which files there are."""
        meant = find_export_name(str(name)) or name
        are = verb(len(self))
        there = f"there {are} {join_words([*self._files])}" if self else "nothing has been exported yet"
        if meant in self._files:
            return f"there is no {name!r} file; use files[{meant!r}]"
        if meant in WRITABLE:
            return f"there is no {meant} file ({there}): write it with run.export({meant!r})"
        return f"there is no file called {name!r}; {there}.{did_you_mean(str(name), self._files)}".rstrip(".")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def passed(self) -> bool:
        """Whether all of them are within their budget."""
        return all(each.passed for each in self.values())

    def __str__(self) -> str:
        table = format_verdicts([each.verdict for each in self.values()]) if self else ""
        return "\n".join(filter(None, [table, *map(str, self.unverified)])) or "no files"

    def __repr__(self) -> str:
        return f"<ExportedFiles {', '.join(self) or 'none'}>"

    def _repr_html_(self) -> str:
        return show_verdicts([each.verdict for each in self.values()]) if self else "no files"


def _read_verdict(row: dict[str, Any]) -> Verdict | None:
    try:
        return get_adapter(Verdict).validate_python(row)
    except ValidationError:
        progress.log(f"left out {row['file']}: its verdict is of an earlier version; export it again")
        return None
