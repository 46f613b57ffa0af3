"""Say on top of a report what came out, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keras_resnet.metrics.labels import metric_label, metric_title
from keras_resnet.metrics.outcome import FAILED, PASSED, format_interval, is_gain, list_tested_metrics
from keras_resnet.reporting.recommend import DescribedVerdict, Recommendation
from keras_resnet.runtime.plurals import counted, join_words, verb


@dataclass(frozen=True)
class NextStep:
    """A command and what it is good for."""

    purpose: str
    command: str


@dataclass(frozen=True)
class Doubts:
    """What is known against a model. weaker: which baselines it is not above, a sentence each.
    is_beaten: whether one of these is better beyond chance. chance: a sentence where it is not proven to be better than
    a constant prediction. is_at_chance: whether it is not even measured to be. finds_little: a sentence where it finds
    hardly any object. advice: how to train better, a sentence each. command: the one that trains it again, where there
    is one. advised_command: the same with what the advice changes, where that can be typed."""

    weaker: tuple[str, ...] = ()
    is_beaten: bool = False
    chance: str = ""
    is_at_chance: bool = False
    finds_little: str = ""
    advice: tuple[str, ...] = ()
    command: str | None = None
    advised_command: str | None = None


@dataclass(frozen=True)
class Headline:
    """state: "passed", "unproven", "failed" or "missing", which decides the color. verdict: a word or a few. file: the
    recommended one. cautions: what a good verdict does not say of a weak model. stated: sentences of `Doubts` in it."""

    state: str
    verdict: str
    title: str
    sentences: tuple[str, ...]
    steps: tuple[NextStep, ...]
    file: str | None = None
    cautions: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()


def describe_headline(
    run: str,
    verdicts: list[DescribedVerdict],
    recommended: Recommendation | None,
    doubts: Doubts = Doubts(),
    changed: Sequence[str] = (),
) -> Headline:
    """Return the headline of the run called `run`, whose exported files have these `verdicts`. changed: files that are
    not the verified ones any more."""
    name = shlex.quote(run)
    if doubts.chance:
        return _describe_chance(verdicts, doubts)
    if recommended and doubts.finds_little:
        return _describe_finding_little(recommended, doubts)
    if recommended:
        return _describe_weakness(_describe_recommended(name, recommended), doubts)
    without = _describe_changed(name, changed) if changed else _describe_missing(name)
    headline = _describe_failed(name, verdicts) if verdicts else without
    return replace(headline, cautions=doubts.weaker, stated=doubts.weaker)


def _describe_weakness(headline: Headline, doubts: Doubts) -> Headline:
    """Add to the headline of a recommended file which baselines its model is not above; it is no good news where one of
    these is better beyond chance."""
    cautions = tuple(f"the file predicts what its model predicts, but {each}" for each in doubts.weaker)
    headline = replace(headline, cautions=cautions, stated=doubts.weaker)
    if not doubts.is_beaten:
        return headline
    return replace(headline, state="unproven", verdict=f"{headline.verdict}, weak model")


def _describe_missing(name: str) -> Headline:
    return Headline(
        "missing",
        "NO EXPORTS",
        "This run has no exported files yet",
        ("A verdict tells whether a file for a device still predicts like the model.",),
        (NextStep("Write TFLite files, float32 and int8, each with a verdict", f"kresnet export {name} --tflite"),),
    )


def _describe_changed(name: str, changed: Sequence[str]) -> Headline:
    """Describe a run whose files have no verdict any more."""
    are = f"{join_words([*changed])} {verb(len(changed))}"
    return Headline(
        "missing",
        "NO VERDICT",
        "The exported files have changed since they were verified",
        (f"The verdicts were on other files than {are} now.",),
        (NextStep("Verify the files again", f"kresnet verify {name}"),),
    )


def _describe_chance(verdicts: list[DescribedVerdict], doubts: Doubts) -> Headline:
    """Describe a model that knows nothing, as far as is proven: no file of it is worth having yet."""
    badge, reason = "PERHAPS AT CHANCE", "the model is not proven to be better than chance"
    if doubts.is_at_chance:
        badge, reason = "AT CHANCE", "the model is at chance"
    alike = ("The verdicts below say only that the exported files predict like this model.",) if verdicts else ()
    what = f"{doubts.chance[0].upper()}{doubts.chance[1:]}."
    sentences = (what, *alike, *_describe_advice(doubts))
    state, title = "failed" if doubts.is_at_chance else "unproven", f"No file to recommend yet: {reason}"
    return Headline(state, badge, title, sentences, _training_steps(doubts), stated=(doubts.chance,))


def _describe_finding_little(best: Recommendation, doubts: Doubts) -> Headline:
    """Describe a detector of hardly any use, whose files predict like it."""
    sentences = (
        f"{doubts.finds_little}. Train longer before you use a file.",
        f"{best['file']} is {best['outcome']}: it predicts like this model; {_describe_drop(best)}.",
        *_describe_advice(doubts),
    )
    title = "No file to recommend yet: the model finds hardly any objects"
    return Headline("unproven", "FINDS HARDLY ANYTHING", title, sentences, _training_steps(doubts))


def _describe_advice(doubts: Doubts) -> tuple[str, ...]:
    return tuple(f"What to change: {each}." for each in doubts.advice)


def _training_steps(doubts: Doubts) -> tuple[NextStep, ...]:
    """Return the command that trains better, where there is one."""
    if doubts.advised_command:
        return (NextStep("Try", doubts.advised_command),)
    return (NextStep("Train again after that", doubts.command),) if doubts.command else ()


def _describe_recommended(name: str, best: Recommendation) -> Headline:
    sentences = (
        f"{_describe_values(best)} on {counted(best['samples'], 'validation image', ',')}; {_describe_drop(best)}.",
        f"{best['megabytes']:.2f} MB; {_describe_time(best)}.",
        f"Why this file: {best['why']}.",
    )
    state = "passed" if best["outcome"] == PASSED else "unproven"
    title = f"{best['file']} is the recommended file"
    step = NextStep("Run the files in a browser", f"kresnet demo {name}")
    return Headline(state, best["outcome"], title, sentences, (step,), best["file"])


def _describe_time(row: DescribedVerdict) -> str:
    """Say how long a file takes for an image, and where it ran."""
    if row["latency_ms"] is None or row["threads"] is None:
        return f"run by {row['machine']}"
    return f"{row['latency_ms']:.2f} ms an image, with {counted(row['threads'], 'thread')} on {row['machine']}"


def _describe_values(row: DescribedVerdict) -> str:
    """Return the values of a file's metrics, the one that is shown elsewhere first."""
    others = [
        f"{metric_label(name)} {row['details'][name]:.2%}"
        for name in row.get("drops", {})
        if name != row["metric"] and name in row.get("details", {})
    ]
    return join_words([f"{metric_title(row['metric'])} {row['value']:.2%}", *others])


def _describe_drop(row: DescribedVerdict) -> str:
    """Say how much the metric that decides on a file dropped or gained, and how much it may drop."""
    metric, (low, high) = metric_label(row["drop_metric"]), row["drop_interval"]
    gains, points = is_gain(row), counted(abs(100 * row["drop"]), "point", ".2f")
    decides = len(list_tested_metrics(row)) > 1
    budget = counted(100 * row["max_drop"], "point", "g")
    what = f"the {'gain' if gains else 'drop'} that decides is that" if decides else "gain" if gains else "drop"
    if gains:
        interval = format_interval((-high, -low))
        return (
            f"{what} of {metric}: {points} over the Keras model (95% confidence interval {interval}); a drop of"
            f" {budget} is allowed"
        )
    interval = format_interval((low, high))
    return f"{what} of {metric}: {points} from the Keras model (95% confidence interval {interval}); {budget} allowed"


def _describe_failed(name: str, verdicts: list[DescribedVerdict]) -> Headline:
    nearest = min(verdicts, key=lambda row: row["drop"])
    steps = (
        NextStep("Try remedies, the cheapest first", f"kresnet export {name} --tflite --quantize int8 --auto"),
        NextStep("Find the layers that lose most in 8 bits", f"kresnet diagnose {name}"),
    )
    sentences = (f"The nearest is {nearest['file']}: {_describe_drop(nearest)}.",)
    return Headline("failed", FAILED, "No exported file is within its budget", sentences, steps)
