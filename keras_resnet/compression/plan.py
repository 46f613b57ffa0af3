"""From a finished run to the spec of a smaller or faster one that starts from its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.config.spec import CompressSpec, Spec, StartSpec
from keras_resnet.errors import RunError, UsageError
from keras_resnet.run import Run

FEWEST_EPOCHS = 3
SHARED_RATE = 0.03


@dataclass(frozen=True)
class Step:
    """One way to compress a network by training on. name: what it adds to a run's name.

    epochs, rate: shares of what the first network was trained with. For 8 bits those of Krishnamoorthi 2018, section 4;
    a network that lost weights has more to recover (Zhu & Gupta 2018, section 4), and one of which kernels share
    weights moves them together.
    kept: share of filters inside units; sparsity, pattern, clusters, qat: see `CompressSpec`.
    """

    name: str
    epochs: float
    rate: float
    kept: float | None = None
    sparsity: float | None = None
    pattern: str = "any"
    clusters: int | None = None
    qat: str | None = None


def steps_of(
    shrink: float | None = None,
    prune: float | None = None,
    pattern: str | None = None,
    cluster: int | None = None,
    qat: str | None = None,
) -> list[Step]:
    """What was asked for, in the order in which each keeps what the others did: filters, zeros, shared weights, 8 bits.

    Raises UsageError if nothing was asked for, or values that cannot be.
    """
    steps = []
    if shrink is not None:
        _require(0 < shrink < 1, "--shrink", shrink, "the share of filters that goes, between 0 and 1")
        steps.append(Step(f"shrunk{100 * shrink:g}", 0.5, 0.3, kept=1 - shrink))
    if pattern == "2:4":
        _require(prune in (None, 0.5), "--prune", prune, "0.5 with --pattern 2:4, which is half zeros")
        steps.append(Step("2to4", 0.5, 0.3, sparsity=0.5, pattern=pattern))
    elif prune is not None:
        _require(0 < prune < 1, "--prune", prune, "the share of weights that become zero, between 0 and 1")
        steps.append(Step(f"pruned{100 * prune:g}", 0.5, 0.3, sparsity=prune))
    if cluster is not None:
        _require(2 <= cluster <= 256, "--cluster", cluster, "how many different weights a kernel has, 2 to 256")
        steps.append(Step(f"clustered{cluster}", 0.2, SHARED_RATE, clusters=cluster))
    if qat is not None:
        steps.append(Step("qat" if qat == "native" else f"qat-{qat}", 0.2, 0.1, qat=qat))
    if not steps:
        raise UsageError("say how to compress: --shrink, --prune, --pattern 2:4, --cluster or --qat")
    return steps


def _require(holds: bool, flag: str, received: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{flag} must be {allowed}. Received: {received}")


QAT = steps_of(qat="native")[0]


def adopt_parent(run: Run, step: Step, asked: set[str], log: Callable[[str], None]) -> Spec:
    """The spec of a training that starts from `run` and compresses it; what is chosen is told to `log`, but for the
    options `asked` for, which replace it.

    Raises RunError if `run` has not finished, UsageError if what it was made cannot be kept by this step.
    """
    run.require_finished()
    theirs = run.spec()
    compress = _compressed(run, theirs.compress, step)
    first = origin_of(run).spec()
    epochs = max(FEWEST_EPOCHS, round(step.epochs * first.training.epochs))
    # The gradients of weights that are shared add up: what suits single ones throws them about.
    share = min(step.rate, SHARED_RATE) if compress.clusters else step.rate
    rate = share * first.optimizer.learning_rate
    log(f"data, augmentation and optimizer: as of run {run.name}")
    if not asked & {"epochs", "steps"}:
        log(f"epochs: {epochs} ({step.epochs:g} of the first {first.training.epochs}, at least {FEWEST_EPOCHS})")
    if "learning_rate" not in asked:
        log(f"learning rate: {rate:g} ({share:g} of the first {first.optimizer.learning_rate:g})")
    training = replace(theirs.training, epochs=epochs, steps=None, stop_after=None, checkpoint_every=None)
    if compress.uses_tfmot:
        for name in ("ema", "patience"):
            if getattr(training, name) is not None:
                log(f"{name}: none (tensorflow-model-optimization's networks have their own state)")
        training = replace(training, precision="auto", ema=None, patience=None)
    origin = str(run.model_file.resolve())
    start = StartSpec(weights=origin) if step.kept is None else StartSpec(narrow=origin)
    kept = theirs.network.keep_ratio * (step.kept or 1)
    return replace(
        theirs,
        network=replace(theirs.network, keep_ratio=kept),
        start=replace(start, freeze_bn=theirs.start.freeze_bn),
        compress=compress,
        optimizer=replace(theirs.optimizer, learning_rate=rate, warmup_epochs=None),
        training=training,
    )


def origin_of(run: Run) -> Run:
    """The run that `run` was compressed from, however often; itself if it was not. Raises RunError if that is gone."""
    parent = run.spec().compress.parent
    if parent is None:
        return run
    if not Run(Path(parent)).is_finished:
        raise RunError(f"run {run.name} was compressed from {parent}, which is gone: there is nothing to judge it by")
    return origin_of(Run(Path(parent)))


def _compressed(run: Run, theirs: CompressSpec, step: Step) -> CompressSpec:
    """What the network is after `step`. Raises UsageError where it would undo what was done before."""
    undoes = ""
    if theirs.is_qat:
        undoes = "was trained with 8 bits"
    elif theirs.clusters and step.qat is None:
        undoes = "has shared weights"
    elif theirs.sparsity and step.clusters is None and step.qat is None:
        undoes = "was pruned"
    if undoes:
        raise UsageError(f"run {run.name} {undoes} already, which this would undo; compress the run that it came from")
    ours = CompressSpec(parent=str(run.folder.resolve()), qat=step.qat or "none")
    if step.sparsity is not None:
        return replace(ours, sparsity=step.sparsity, pattern=step.pattern)
    return replace(ours, sparsity=theirs.sparsity, pattern=theirs.pattern, clusters=step.clusters or theirs.clusters)
