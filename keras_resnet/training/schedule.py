"""How long a training lasts: its steps and epochs, and when the size of its images changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keras_resnet.config.image_size import ImageSize
from keras_resnet.config.spec import Spec
from keras_resnet.training.optimizers import count_total_steps


@dataclass(frozen=True)
class TrainingSchedule:
    """last_step is counted over all epochs. image_sizes: in pixels, each for an equal share of the epochs.
    checkpoint_every: in steps. patience: in epochs."""

    steps_per_epoch: int
    last_step: int
    planned_epochs: int
    image_sizes: tuple[ImageSize, ...]
    checkpoint_every: int
    patience: int | None = None

    @classmethod
    def from_spec(cls, spec: Spec, steps_per_epoch: int) -> TrainingSchedule:
        """Return the schedule of a resolved `spec`."""
        training, size = spec.training, spec.data.image_size
        assert training.checkpoint_every is not None and size is not None, "resolve the spec first"
        return cls(
            steps_per_epoch=steps_per_epoch,
            last_step=min(filter(None, (training.stop_after, count_total_steps(spec, steps_per_epoch)))),
            planned_epochs=training.epochs,
            image_sizes=spec.augment.train_sizes or (size,),
            checkpoint_every=training.checkpoint_every,
            patience=training.patience,
        )

    @property
    def epochs(self) -> int:
        """Epochs until the last step."""
        return -(-self.last_step // self.steps_per_epoch)

    def segments(self, first_step: int) -> Iterator[tuple[int, int, ImageSize]]:
        """Yield (first step, last step, size of images) from `first_step` on, split where the size changes."""
        count = len(self.image_sizes)
        while first_step < self.last_step:
            epoch = first_step // self.steps_per_epoch
            index = min(epoch, self.planned_epochs - 1) * count // self.planned_epochs
            end = -(-(index + 1) * self.planned_epochs // count) * self.steps_per_epoch
            last = self.last_step if index == count - 1 else min(end, self.last_step)
            yield first_step, last, self.image_sizes[index]
            first_step = last

    def split_into_epochs(self, first_step: int, last_step: int) -> Iterator[tuple[int, int]]:
        """Yield (first step, last step) of each epoch, or part of one, among steps `first_step` … `last_step` - 1."""
        while first_step < last_step:
            end = min(last_step, (first_step // self.steps_per_epoch + 1) * self.steps_per_epoch)
            yield first_step, end
            first_step = end
