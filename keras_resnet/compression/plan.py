"""Specs of smaller or faster networks that start from the weights of a finished run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.config.spec import CompressSpec, Spec, StartSpec
from keras_resnet.errors import RunError, UsageError
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.shares import suggest_share

MIN_EPOCHS = 3
CLUSTERED_RATE = 0.03


@dataclass(frozen=True)
class CompressionStep:
    """One way to compress a network by training on. option: how a command asks for it. suffix: what it adds to a run's
    name.

    epochs, learning_rate: factors of what the first network was trained with. For 8 bits they are those of
    Krishnamoorthi 2018, section 4; a network that lost weights has more to recover (Zhu & Gupta 2018, section 4), and
    one of which kernels share weights moves them together.
    kept_filters: share of filters inside units; sparsity, pattern, clusters, qat: see `CompressSpec`.
    """

    option: str
    suffix: str
    epochs: float
    learning_rate: float
    kept_filters: float | None = None
    sparsity: float | None = None
    pattern: str = "any"
    clusters: int | None = None
    qat: str | None = None


def plan_compression(
    shrink: float | None = None,
    prune: float | None = None,
    pattern: str | None = None,
    cluster: int | None = None,
    qat: str | None = None,
) -> list[CompressionStep]:
    """Return the steps that were asked for, in the order in which each keeps what the others did.

    That is: filters, zeros, shared weights, 8 bits.

    Raises UsageError if nothing was asked for, or impossible values.
    """
    steps = []
    if shrink is not None:
        _require_share("--shrink", shrink, "the share of filters to remove")
        steps.append(
            CompressionStep(f"--shrink {shrink:g}", f"shrunk{100 * shrink:g}", 0.5, 0.3, kept_filters=1 - shrink)
        )
    if pattern == "2:4":
        _require(prune in (None, 0.5), "--prune", prune, "0.5 with --pattern 2:4, which is half zeros")
        steps.append(CompressionStep("--pattern 2:4", "2to4", 0.5, 0.3, sparsity=0.5, pattern=pattern))
    elif prune is not None:
        _require_share("--prune", prune, "the share of weights that become zero")
        steps.append(CompressionStep(f"--prune {prune:g}", f"pruned{100 * prune:g}", 0.5, 0.3, sparsity=prune))
    if cluster is not None:
        is_count = isinstance(cluster, int) and 2 <= cluster <= 256
        _require(is_count, "--cluster", cluster, "how many different weights a kernel has, 2 to 256")
        steps.append(
            CompressionStep(f"--cluster {cluster}", f"clustered{cluster}", 0.2, CLUSTERED_RATE, clusters=cluster)
        )
    if qat is not None:
        option, suffix = ("--qat", "qat") if qat == "native" else (f"--qat {qat}", f"qat-{qat}")
        steps.append(CompressionStep(option, suffix, 0.2, 0.1, qat=qat))
    if not steps:
        raise UsageError("choose how to compress: --shrink, --prune, --pattern 2:4, --cluster or --qat")
    return steps


def _require_share(flag: str, value: object, what: str) -> None:
    """Raise UsageError unless a value, which scripts may have given, is a number between 0 and 1."""
    is_share = isinstance(value, (int, float)) and 0 < value < 1
    _require(is_share, flag, value, f"{what}, between 0 and 1", suggest_share(value))


def _require(holds: bool, flag: str, received: object, allowed: str, hint: str = "") -> None:
    if not holds:
        raise UsageError(f"{flag} must be {allowed}. Received: {received!r}{hint}")


QAT = plan_compression(qat="native")[0]


def spec_for_compression(run: Run, step: CompressionStep, requested: set[str], log: Log) -> Spec:
    """Return the spec of a training that starts from `run` and compresses it by `step`.

    Choices are logged, but for the options `requested`, which will replace them. Raises RunError if `run` has not
    finished, UsageError if the step would undo what was done to it before.
    """
    run.require_finished()
    parent = run.spec()
    compress = _add_step(run, parent.compress, step)
    first = find_uncompressed_run(run).spec()
    epochs = max(MIN_EPOCHS, round(step.epochs * first.training.epochs))
    # The gradients of weights that are shared add up: what suits single ones throws them about.
    factor = min(step.learning_rate, CLUSTERED_RATE) if compress.clusters else step.learning_rate
    rate = factor * first.optimizer.learning_rate
    log(f"data, augmentation and optimizer: as of run {run.name}")
    if not requested & {"epochs", "steps"}:
        log(f"epochs: {epochs} ({step.epochs:g} of the first {first.training.epochs}, at least {MIN_EPOCHS})")
    if "learning_rate" not in requested:
        log(f"learning rate: {rate:g} ({factor:g} of the first {first.optimizer.learning_rate:g})")
    training = replace(parent.training, epochs=epochs, steps=None, stop_after=None, checkpoint_every=None)
    if compress.uses_tfmot:
        for name in ("ema", "patience"):
            if getattr(training, name) is not None:
                log(f"{name}: none (tensorflow-model-optimization's networks have their own state)")
        if training.recompute:
            log("recompute: off (tensorflow-model-optimization's networks keep all activations)")
        training = replace(training, precision="auto", ema=None, patience=None, recompute=False)
    origin = str(run.model_file.resolve())
    start = StartSpec(weights=origin) if step.kept_filters is None else StartSpec(narrow=origin)
    keep_ratio = parent.network.keep_ratio * (step.kept_filters or 1)
    return replace(
        parent,
        network=replace(parent.network, keep_ratio=keep_ratio),
        start=replace(start, freeze_bn=parent.start.freeze_bn),
        compress=compress,
        optimizer=replace(parent.optimizer, learning_rate=rate, warmup_epochs=None),
        training=training,
    )


def find_uncompressed_run(run: Run) -> Run:
    """Return the run that `run` was compressed from, in however many steps; itself if it was not.

    Raises RunError if that run is gone, or if it says that it was compressed from this one.
    """
    passed = []
    while (parent := run.spec().compress.parent) is not None:
        passed.append(run.folder.resolve())
        origin = Run(Path(parent))
        if not origin.is_finished:
            raise RunError(
                f"run {run.name} was compressed from {parent}, which is gone: nothing is left to compare it with"
            )
        if origin.folder.resolve() in passed:
            raise RunError(f"run {run.name} is unreadable: {run.spec_file}: it was compressed from itself ({parent})")
        run = origin
    return run


def _add_step(run: Run, before: CompressSpec, step: CompressionStep) -> CompressSpec:
    """Return how the network is compressed after `step`. Raises UsageError if it would undo what was done before."""
    done = ""
    if before.is_qat:
        done = "was trained with 8 bits"
    elif before.clusters and step.qat is None:
        done = "has shared weights"
    elif before.sparsity and step.clusters is None and step.qat is None:
        done = "was pruned"
    if done:
        raise UsageError(f"run {run.name} {done} already, which this would undo; compress the run that it came from")
    after = CompressSpec(parent=str(run.folder.resolve()), qat=step.qat or "none")
    if step.sparsity is not None:
        return replace(after, sparsity=step.sparsity, pattern=step.pattern)
    return replace(after, sparsity=before.sparsity, pattern=before.pattern, clusters=step.clusters or before.clusters)
