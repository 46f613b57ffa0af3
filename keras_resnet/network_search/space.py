"""The space of a search: which networks, inputs and recipes are chosen among, and from where these choices come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from keras_resnet.config.data import FITS
from keras_resnet.config.image_size import ImageSize, parse_image_size
from keras_resnet.config.policies import POLICIES
from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError
from keras_resnet.models import build
from keras_resnet.models.backbone import get_families, has_shortcuts
from keras_resnet.models.flops import Cost
from keras_resnet.models.names import model_name, parse_model_name
from keras_resnet.network_search.candidates import Architecture, Candidate, Recipe
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    import optuna

# Of the default network's multiply-adds, those of networks that nobody named.
LARGEST = 2.0
WIDTHS = (0.25, 0.5, 0.75, 1.0, 1.5)
# Factors of the default's, between which rates and decays are proposed, evenly on a logarithmic scale.
RATES, DECAYS = (0.1, 4.0), (0.2, 5.0)
MIXUPS = (0.0, 0.2)
# Images of fewer pixels a side are enlarged too; others are made smaller.
SMALL, ENLARGED, REDUCED = 32, (1.0, 1.5, 2.0), (0.5, 0.75, 1.0)
MULTIPLE = {True: 4, False: 8}


@dataclass(frozen=True)
class Space:
    """What is chosen among. default: how kresnet trains the data where nothing is chosen; its epochs are those of a
    training that is not ended early, or half of them."""

    models: tuple[str, ...]
    widths: tuple[float, ...]
    image_sizes: tuple[str, ...]
    channels: tuple[int, ...]
    fits: tuple[str, ...]
    epochs: tuple[int, ...]
    default: Candidate

    def architectures(self, classes: int) -> dict[Architecture, Cost]:
        """Return all networks with their inputs that exist, those with the fewest multiply-adds first, and what can be
        counted of each. Raises UsageError where there is none."""
        costs: dict[Architecture, Cost] = {}
        error: UsageError | None = None
        for values in itertools.product(self.models, self.widths, self.image_sizes, self.channels):
            options = dict(zip(("model", "width", "image_size", "channels"), values, strict=True))
            architecture = Architecture.from_options(options)
            try:
                costs[architecture] = architecture.count(classes)
            except UsageError as impossible:
                error = impossible
        if not costs and error:
            raise error
        return dict(sorted(costs.items(), key=lambda each: each[1].multiply_adds))

    def propose(self, trial: optuna.Trial) -> Candidate:
        """Return the candidate that Optuna proposes for `trial`."""
        recipe = self.default.recipe
        choices: dict[str, Sequence[Any]] = {
            "model": self.models,
            "width": self.widths,
            "image_size": self.image_sizes,
            "channels": self.channels,
            "fit": self.fits,
            "auto_augment": ("none", *POLICIES),
            "mixup": MIXUPS,
            "label_smoothing": tuple(sorted({0.0, recipe.label_smoothing})),
            "epochs": self.epochs,
        }
        options: dict[str, Any] = {name: trial.suggest_categorical(name, values) for name, values in choices.items()}
        for name, middle, factors in (
            ("learning_rate", recipe.learning_rate, RATES),
            ("weight_decay", recipe.weight_decay, DECAYS),
        ):
            low, high = (middle * factor for factor in factors)
            options[name] = trial.suggest_float(name, low, high, log=True)
        return Candidate.from_options(options)

    def describe(self) -> list[str]:
        """Return what is chosen among, a line each."""
        recipe = self.default.recipe
        rates, decays = ([f"{value * f:.2g}" for f in factors] for value, factors in self._scales(recipe))
        channels = " or ".join([*map(str, self.channels[:-1]), counted(self.channels[-1], "channel")])
        inputs = f"{', '.join(self.image_sizes)} pixels, {channels}"
        return [
            f"networks: {', '.join(self.models)}; widths {', '.join(f'{each:g}' for each in self.widths)}",
            f"images: {inputs}, fit {' or '.join(self.fits)}",
            f"recipes: {' or '.join(map(str, self.epochs))} epochs, rate {' to '.join(rates)}, decay"
            f" {' to '.join(decays)}, label smoothing, policies of augmentation, MixUp",
        ]

    @staticmethod
    def _scales(recipe: Recipe) -> tuple[tuple[float, tuple[float, float]], tuple[float, tuple[float, float]]]:
        return (recipe.learning_rate, RATES), (recipe.weight_decay, DECAYS)

    def to_dict(self) -> dict[str, Any]:
        """Return the space as a JSON object."""
        return {**asdict(self), "default": self.default.options()}


def create_space(settings: SearchSettings, spec: Spec, classes: int, log: Log) -> Space:
    """Return the space of a search among networks for the data of `spec`, which is resolved as a training of the
    default network is. Raises UsageError for networks and sizes that do not exist."""
    size, channels, fit = spec.data.image_size, spec.data.channels, spec.data.fit
    assert size is not None and channels is not None and fit is not None, "resolve the spec first"
    sizes = parse_sizes(settings.image_size) or _default_sizes(size)
    name = model_name(spec.network)
    every_channels = settings.channels or ((1, 3) if channels == 3 else (channels,))
    # Images that are cropped fill a square nearly; what others lose, or are padded by, may be worth something.
    fits = settings.fit or ((fit,) if fit == "crop" else tuple(FITS))
    models = _choose_models(settings, Architecture(name, 1.0, max(sizes, key=_area), channels), classes, log)
    most = settings.epochs or 2 * spec.training.epochs
    epochs = tuple(sorted({max(1, most // 2), most}))
    largest = Architecture(models[0], 1.0, max(sizes, key=_area), channels)
    widths = _different_widths(_distinct(settings.width) or WIDTHS, models, largest, classes, log)
    default = Candidate(
        Architecture(
            name if name in models else models[0],
            1.0 if 1.0 in widths else widths[-1],
            size if size in sizes else sizes[0],
            channels if channels in every_channels else every_channels[-1],
        ),
        Recipe(
            fit if fit in fits else fits[0],
            spec.optimizer.learning_rate,
            spec.optimizer.weight_decay,
            spec.optimizer.label_smoothing,
            "none",
            0.0,
            max(each for each in epochs if each <= spec.training.epochs or each == epochs[0]),
        ),
    )
    return Space(
        models,
        widths,
        tuple(Architecture(name, 1.0, each, channels).size_text for each in sizes),
        _distinct(every_channels),
        _distinct(fits),
        epochs,
        default,
    )


def _choose_models(settings: SearchSettings, default: Architecture, classes: int, log: Log) -> tuple[str, ...]:
    """Return the names of the networks: as asked, else those of the registry's families with shortcuts that are not
    much larger than the `default`."""
    names = _asked_models(settings)
    for name in names:
        Architecture(name, 1.0, default.image_size, default.channels).count(classes)
    if names:
        return names
    most = LARGEST * default.count(classes).multiply_adds
    listed = [name for family in get_families() for name in (*family.cifar_variants, *family.imagenet_variants)]
    counts: dict[str, int] = {}
    for name in listed:
        if not has_shortcuts(parse_model_name(name)):
            continue
        architecture = Architecture(name, 1.0, default.image_size, default.channels)
        if (multiply_adds := architecture.count(classes).multiply_adds) <= most:
            counts[name] = multiply_adds
    names = tuple(sorted(counts, key=counts.__getitem__))
    log(
        f"networks: {', '.join(names)} (of those that kresnet models lists, the residual ones of at most"
        f" {LARGEST:g} times the multiply-adds of {default.model}; --model and --depth name others)"
    )
    return names


def _different_widths(
    widths: Sequence[float], models: Sequence[str], like: Architecture, classes: int, log: Log
) -> tuple[float, ...]:
    """Return those of `widths` that make different networks: filters are rounded to multiples of 8. Of several that
    make the same, the largest; the others are logged. like: with the inputs for which that is counted."""
    alike: dict[tuple[object, ...], list[float]] = {}
    for width in sorted(widths):
        counts = tuple(_count_size(replace(like, model=name, width=width), classes) for name in models)
        alike.setdefault(counts, []).append(width)
    for *same, kept in alike.values():
        if same:
            others = ", ".join(f"{each:g}" for each in same)
            log(f"width: {kept:g} for {others} too, since filters are multiples of 8 and the networks are the same")
    return tuple(each[-1] for each in alike.values())


def _count_size(architecture: Architecture, classes: int) -> tuple[int, int] | None:
    """Return the multiply-adds and the parameters of a network; None for one that does not exist."""
    try:
        cost = architecture.count(classes)
    except UsageError:
        return None
    return cost.multiply_adds, cost.trainable


def require_known(settings: SearchSettings) -> None:
    """Raise UsageError for networks that do not exist, and sizes that are none: before any data are read."""
    parse_sizes(settings.image_size)
    for name in _asked_models(settings):
        build.require_known(parse_model_name(name))


def _asked_models(settings: SearchSettings) -> tuple[str, ...]:
    return _distinct([f"resnet{depth}" for depth in settings.depth] or settings.model)


def parse_sizes(texts: Sequence[str]) -> list[ImageSize]:
    """Return the sizes of --image-size. Raises UsageError."""
    sizes: list[Any] = []
    for text in texts:
        try:
            sizes.append(parse_image_size(text))
        except ValueError as error:
            raise UsageError(
                f"--image-size must be sizes of {error}, with commas between. Received: {text!r}"
            ) from None
    return list(dict.fromkeys(sizes))


def _default_sizes(size: ImageSize) -> list[ImageSize]:
    """Return sizes around that of the data; of images that are no squares theirs alone."""
    if not isinstance(size, int):
        return [size]
    is_small = size < SMALL
    multiple = MULTIPLE[is_small]
    rounded = {
        max(multiple * 2, multiple * round(size * share / multiple)) for share in (ENLARGED if is_small else REDUCED)
    }
    return sorted(rounded | {size})


def _area(size: ImageSize) -> int:
    return size * size if isinstance(size, int) else size[0] * size[1]


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
