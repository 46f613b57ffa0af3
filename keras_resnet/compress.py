"""From a finished run to the spec of a smaller or faster one that starts from its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keras_resnet.errors import UsageError
from keras_resnet.run import Run
from keras_resnet.spec import CompressSpec, Spec, StartSpec

# Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", section 4: fine-tuning from a
# trained network at a small part of its rate takes a tenth or so of its training.
RATE_SHARE, EPOCHS_SHARE, FEWEST_EPOCHS = 0.1, 0.2, 3


def adopt_parent(run: Run, qat: str, asked: set[str], say: Callable[[str], None]) -> Spec:
    """The spec of a training that starts from `run` and compresses it; what is chosen is told to `say`, but for the
    options `asked` for, which replace it.

    Raises RunError if `run` has not finished, UsageError if it was trained with 8 bits already.
    """
    run.require_finished()
    theirs = run.spec()
    if theirs.compress.learned:
        raise UsageError(f"run {run.name} was trained with 8 bits already; compress the run that it came from")
    epochs = max(FEWEST_EPOCHS, round(EPOCHS_SHARE * theirs.training.epochs))
    rate = RATE_SHARE * theirs.optimizer.learning_rate
    say(f"data, augmentation and optimizer: as of run {run.name}")
    if not asked & {"epochs", "steps"}:
        say(f"epochs: {epochs} (a fifth of run {run.name}'s {theirs.training.epochs}, at least {FEWEST_EPOCHS})")
    if "learning_rate" not in asked:
        say(f"learning rate: {rate:g} (a tenth of run {run.name}'s)")
    return replace(
        theirs,
        start=StartSpec(weights=str(run.model_file.resolve()), freeze_norms=theirs.start.freeze_norms),
        compress=CompressSpec(parent=str(run.folder.resolve()), qat=qat),
        optimizer=replace(theirs.optimizer, learning_rate=rate, warmup_epochs=None),
        training=replace(theirs.training, epochs=epochs, steps=None, stop_after=None, checkpoint_every=None),
    )
