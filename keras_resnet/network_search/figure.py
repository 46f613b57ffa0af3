"""The figure of a search: accuracy against latency and size of each file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.network_search.budget import QUANTITIES, Budget
from keras_resnet.network_search.outcome import FINISHED, Outcome, recommend
from keras_resnet.studies.figures import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = ("latency", "size")


def write_figure(outcomes: Sequence[Outcome], budget: Budget, stem: Path) -> Path | None:
    """Write `stem`.png and `stem`.svg, and return the former; None where no candidate has a file."""
    finished = [each for each in outcomes if each.state == FINISHED]
    if not finished:
        return None
    save(plot(finished, budget), stem)
    return stem.with_suffix(".png")


def plot(finished: Sequence[Outcome], budget: Budget) -> Figure:
    """Plot finished candidates, a panel for each of `PANELS`; a dotted line is a limit of the budget."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, name in zip(panels, PANELS, strict=True):
        _plot_panel(axes, name, finished, budget)
    panels[0].set_ylim(top=min(100.5, panels[0].get_ylim()[1]))
    panels[0].set_ylabel("accuracy of the written file (%)")
    for axes in panels:
        if axes.has_data():  # an emulated device has no latency
            axes.legend(fontsize=8, loc="lower right")
    figure.suptitle(f"budget: {budget}", parse_math=False)
    return figure


def _plot_panel(axes: Axes, name: str, finished: Sequence[Outcome], budget: Budget) -> None:
    quantity = QUANTITIES[name]
    unit = quantity.units[quantity.shown_unit]
    known = [each for each in finished if name in each.costs]
    best = recommend(known, budget)
    groups = (
        (
            [each for each in known if each.is_within(budget)],
            {"color": "C0", "marker": "o", "label": "within the budget"},
        ),
        (
            [each for each in known if not each.is_within(budget)],
            {"color": "0.6", "marker": "x", "label": "outside, or verdict failed"},
        ),
        ([best] if best else [], {"color": "C3", "marker": "*", "s": 160, "label": "recommended"}),
    )
    for members, style in groups:
        xs, ys = [each.costs[name] / unit for each in members], [100 * (each.accuracy or 0) for each in members]
        if members:
            axes.scatter(xs, ys, **style)
    if known:
        xs, ys = _find_steps(known, name)
        axes.step([x / unit for x in xs], ys, where="post", color="C0", lw=1, alpha=0.5, label=f"best for its {name}")
    for limit in budget.limits:
        if limit.quantity.name == name:
            axes.axvline(limit.most / unit, color="C3", ls=":", lw=1)
    axes.set(xlabel=f"{name} ({quantity.shown_unit})")
    axes.grid(alpha=0.3)


def _find_steps(known: Sequence[Outcome], name: str) -> tuple[list[float], list[float]]:
    """Return the costs called `name`, rising, at which a candidate is more accurate than all cheaper ones, and its
    accuracy in %."""
    xs: list[float] = []
    ys: list[float] = []
    for each in sorted(known, key=lambda each: (each.costs[name], -(each.accuracy or 0))):
        if not ys or 100 * (each.accuracy or 0) > ys[-1]:
            xs.append(each.costs[name])
            ys.append(100 * (each.accuracy or 0))
    return xs, ys
