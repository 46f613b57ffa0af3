"""Look up the numbers of a run's models by name, in what `calibrate` and `robustness` return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keras_resnet.errors import MissingFileError, did_you_mean
from keras_resnet.run import Run as RunFolder
from keras_resnet.run.documents import find_model


class NumbersByModel(Mapping[str, Mapping[str, Any]]):
    """All numbers of a run's models, by name: "Keras model", then the exported files by the names of their files. A
    name of `run.files`, such as "int8", means the same as "int8.tflite".

    document: whose "models" have them. file_names: the file of each name of `run.files`.
    """

    document: Any
    file_names: Mapping[str, str]

    @property
    def models(self) -> list[str]:
        """The names of the models: "Keras model", then those of the files."""
        return [each["name"] for each in self.document["models"]]

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """Return all numbers of a model. Raises MissingFileError, a KeyError, naming those there are."""
        known = self.models
        if (found := name if name in known else self.file_names.get(name)) in known:
            return find_model(self.document["models"], str(found))
        near = did_you_mean(str(name), known)
        raise MissingFileError(
            f"there are no numbers of {name!r}; there are those of {', '.join(known)}{near and '.'}{near}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


def map_file_names(run: RunFolder) -> dict[str, str]:
    """Return the name of each exported file of `run` that has a verdict, by its name in `run.files`."""
    return {row["scheme"]: row["file"].rpartition("/")[2] for row in run.verdicts()}
