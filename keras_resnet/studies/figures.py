"""Figures of the studies, in the paper's style: training dashed, validation solid and bold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.atomic_write import write_atomically
from keras_resnet.models.backbone import get_family
from keras_resnet.models.names import parse_model_name
from keras_resnet.studies.plan import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_resnet.studies.gradients import GradientProfile

DPI = 150


def plot_errors(trials: Sequence[Trial], networks: Sequence[str]) -> Figure:
    """Plot error over epochs (He et al. 2015, figure 6), a panel for each family; bands: ± one standard deviation."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    families = list(dict.fromkeys(parse_model_name(net).family for net in networks))
    figure = Figure(figsize=(1.5 + 4 * len(families), 4.2), layout="constrained")
    panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
    for axes, family in zip(panels, families, strict=True):
        members = [net for net in networks if parse_model_name(net).family == family]
        for index, net in enumerate(members):
            done = [trial for trial in trials if trial.network == net and trial.run]
            for prefix, style in (("", {"ls": "--", "lw": 1.2}), ("val_", {"ls": "-", "lw": 2.4})):
                _plot_band(axes, [trial.errors(prefix) for trial in done], f"C{index}", style)
        axes.set(title=get_family(family).title, xlabel="epoch", ylim=(0, 100))
        axes.grid(alpha=0.3)
        colors = [Line2D([], [], color=f"C{index}", lw=2.4, label=net) for index, net in enumerate(members)]
        styles = [Line2D([], [], color="0.3", ls="--", lw=1.2, label="training")]
        styles += [Line2D([], [], color="0.3", ls="-", lw=2.4, label="validation")]
        axes.legend(handles=colors + styles, fontsize=9)
    panels[0].set_ylabel("error (%)")
    data = {trial.run.spec().data.source for trial in trials if trial.run}
    seeds = 1 + max(trial.seed for trial in trials)
    repetitions = "one seed" if seeds == 1 else f"mean and deviation of {seeds} seeds"
    figure.suptitle(f"{', '.join(data)}: {repetitions}", parse_math=False)  # "$a_$" is no formula
    return figure


def plot_gradients(profiles: Sequence[GradientProfile]) -> Figure:
    """Plot the gradient norm of each convolution, at initialization and after training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, state, title in zip(panels, ("initial", "trained"), ("at initialization", "after training"), strict=True):
        for index, profile in enumerate(profiles):
            values = getattr(profile, state)
            style = "--" if get_family(parse_model_name(profile.network).family).residual_family else "-"
            axes.semilogy(
                np.arange(1, len(values) + 1), values, style, color=f"C{index}", label=profile.network, lw=1.4
            )
        axes.set(title=title, xlabel="convolution, counted from the image")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("L2 norm of the gradient")
    panels[1].legend(fontsize=9)
    return figure


def plot_identity(curves: dict[str, np.ndarray], level: float) -> Figure:
    """Plot training error over epochs of networks by label, and the `level` (in %) that the shallow one had reached."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    for index, (label, values) in enumerate(curves.items()):
        axes.plot(np.arange(1, len(values) + 1), values, color=f"C{index}", lw=2, marker="o", ms=3, label=label)
    axes.axhline(level, color="0.3", ls=":", label="reached by the shallow network")
    axes.set(xlabel="epochs of further training", ylabel="error on the training images (%)", ylim=(-2, 100))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure


def save(figure: Figure, stem: Path) -> None:
    """Write `stem`.png and `stem`.svg, each whole or not at all."""
    for kind in ("png", "svg"):
        with write_atomically(stem.with_suffix(f".{kind}")) as temporary:
            figure.savefig(temporary, dpi=DPI, format=kind)


def _plot_band(axes: Axes, curves: list[np.ndarray], color: str, style: dict[str, Any]) -> None:
    if not curves:
        return
    values = np.stack(curves)
    epochs, mean = np.arange(1, values.shape[1] + 1), values.mean(axis=0)
    axes.plot(epochs, mean, color=color, **style)
    if len(curves) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.2, lw=0)
