"""Stems and residual units of He et al. 2015 and 2016, and what others made of them."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.models.layers import Layers, Tensor

# The squeeze divides the channels by this (Hu et al. 2018, section 6).
SQUEEZE_RATIO = 16


@dataclass(frozen=True)
class ResNetConfig:
    """One architecture. `NetworkSpec` explains the fields that it shares with this.

    units: residual units per stage. stem_width: filters of the stem. width: filters of the first stage,
    doubled at each further one. bottleneck: 1×1, 3×3, 1×1 convolutions with four times the filters in the
    last (He et al. 2015, section 4.1), `inner` times the filters (per group) in the first two. kept: share of the
    filters of all convolutions of a unit but the last.
    stem: "imagenet", "deep" or "cifar". shortcut: "A", "B", "C", "D", or "none" in a plain network.
    """

    units: tuple[int, ...]
    stem_width: int
    width: int
    bottleneck: bool
    stem: str
    shortcut: str
    strides: str = "3x3"
    preactivation: bool = False
    groups: int = 1
    inner: float = 1.0
    kept: float = 1.0
    squeeze_excitation: bool = False
    drop_path: float = 0.0
    zero_gamma: bool = True


@dataclass(frozen=True)
class Unit:
    """One residual unit. drop: chance of leaving it out. activated: its input went through norm and ReLU."""

    name: str
    filters: int
    stride: int
    drop: float
    activated: bool


@dataclass(frozen=True)
class ResidualBuilder:
    """Builds the stem, the units and the last norm of the network `config` out of `layers`."""

    layers: Layers
    config: ResNetConfig

    def stem(self, x: Tensor) -> Tensor:
        """Build the stem: (B, H, W, C) → (B, H, W, stem_width), or a quarter of the height and width."""
        layers, config, width = self.layers, self.config, self.config.stem_width
        if config.stem == "cifar":
            x = layers.conv(x, width, 3, name="stem_conv")
            # A pre-activation unit begins with the norm.
            return x if config.preactivation else self._norm_relu(x, "stem_norm", "stem_relu")
        if config.stem == "deep":
            for number, (filters, stride) in enumerate(((width // 2, 2), (width // 2, 1)), 1):
                x = layers.conv(x, filters, 3, stride=stride, name=f"stem_conv{number}")
                x = self._norm_relu(x, f"stem_norm{number}", f"stem_relu{number}")
            x = layers.conv(x, width, 3, name="stem_conv")
        else:
            x = layers.conv(x, width, 7, stride=2, name="stem_conv")
        x = self._norm_relu(x, "stem_norm", "stem_relu")
        return layers.max_pool(x, 3, stride=2, name="stem_pool")

    def stage(self, x: Tensor, stage: int) -> Tensor:
        """Build the units of the stage with that index, one after another."""
        build = self._preactivation_unit if self.config.preactivation else self._unit
        for unit in self._units(stage):
            x = build(x, unit)
        return x

    def final(self, x: Tensor) -> Tensor:
        """Build the norm and ReLU that end a pre-activation network (He et al. 2016, appendix)."""
        return self._norm_relu(x, "final_norm", "final_relu")

    def _units(self, stage: int) -> list[Unit]:
        config = self.config
        before, total = sum(config.units[:stage]), sum(config.units)
        return [
            Unit(
                name=f"stage{stage + 1}_unit{index + 1}",
                filters=config.width * 2**stage,
                stride=2 if stage > 0 and index == 0 else 1,
                # Huang et al. 2016, equation 4.
                drop=config.drop_path * (before + index + 1) / total,
                activated=before + index == 0 and config.stem != "cifar",
            )
            for index in range(config.units[stage])
        ]

    def _unit(self, x: Tensor, unit: Unit) -> Tensor:
        """Build y = relu(F(x) + shortcut(x)), equation 2 of He et al. 2015; a plain network has no sum."""
        layers, convolutions = self.layers, self._convolutions(unit)
        has_sum = self.config.shortcut != "none"
        y = x
        for number, (filters, kernel, stride, groups) in enumerate(convolutions, 1):
            is_last = number == len(convolutions)
            y = layers.conv(y, filters, kernel, stride=stride, groups=groups, name=f"{unit.name}_conv{number}")
            zero_init = self.config.zero_gamma and has_sum and is_last
            y = layers.norm(y, zero_init=zero_init, name=f"{unit.name}_norm{number}")
            y = y if is_last else layers.relu(y, name=f"{unit.name}_relu{number}")
        y = self._finish_residual(y, unit)
        if has_sum:
            y = layers.add(y, self._shortcut(x, x, int(y.shape[-1]), unit), name=f"{unit.name}_add")
        return layers.relu(y, name=f"{unit.name}_out")

    def _preactivation_unit(self, x: Tensor, unit: Unit) -> Tensor:
        """Build y = F(relu(norm(x))) + shortcut, He et al. 2016, figure 1b. A projection sees the activated input."""
        layers, name = self.layers, unit.name
        y = activated = x if unit.activated else self._norm_relu(x, f"{name}_norm1", f"{name}_relu1")
        for number, (filters, kernel, stride, groups) in enumerate(self._convolutions(unit), 1):
            if number > 1:
                y = self._norm_relu(y, f"{name}_norm{number}", f"{name}_relu{number}")
            y = layers.conv(y, filters, kernel, stride=stride, groups=groups, name=f"{name}_conv{number}")
        y = self._finish_residual(y, unit)
        return layers.add(y, self._shortcut(x, activated, int(y.shape[-1]), unit), name=f"{name}_add")

    def _norm_relu(self, x: Tensor, norm: str, relu: str) -> Tensor:
        return self.layers.relu(self.layers.norm(x, name=norm), name=relu)

    def _convolutions(self, unit: Unit) -> list[tuple[int, int, int, int]]:
        """Return (filters, kernel, stride, groups) of each convolution of a unit."""
        config = self.config
        if not config.bottleneck:
            return [(self._prune(unit.filters), 3, unit.stride, 1), (unit.filters, 3, 1, 1)]
        first, second = (unit.stride, 1) if config.strides == "1x1" else (1, unit.stride)
        inner = self._prune(int(unit.filters * config.inner) * config.groups)
        return [(inner, 1, first, 1), (inner, 3, second, config.groups), (4 * unit.filters, 1, 1, 1)]

    def _prune(self, filters: int) -> int:
        kept = self.config.kept
        return filters if kept == 1 else max(8, round(filters * kept / 8) * 8)

    def _finish_residual(self, y: Tensor, unit: Unit) -> Tensor:
        if self.config.squeeze_excitation:
            y = self._squeeze_excitation(y, unit.name)
        return self.layers.drop_path(y, unit.drop, name=f"{unit.name}_drop") if unit.drop else y

    def _squeeze_excitation(self, x: Tensor, name: str) -> Tensor:
        """Multiply each channel by a weight in 0–1 that the channels' means decide (Hu et al. 2018, section 3)."""
        layers, channels = self.layers, int(x.shape[-1])
        s = layers.mean_pool(x, keepdims=True, name=f"{name}_squeeze")
        s = layers.conv(s, max(1, channels // SQUEEZE_RATIO), 1, bias=True, name=f"{name}_se1")
        s = layers.conv(layers.relu(s, name=f"{name}_se_relu"), channels, 1, bias=True, name=f"{name}_se2")
        return layers.multiply(x, layers.sigmoid(s, name=f"{name}_se_sigmoid"), name=f"{name}_scale")

    def _shortcut(self, x: Tensor, activated: Tensor, channels: int, unit: Unit) -> Tensor:
        """Return x where it has the shape of the sum (unless option C), else x brought to that shape."""
        layers, config, name, stride = self.layers, self.config, unit.name, unit.stride
        if int(x.shape[-1]) == channels and stride == 1 and config.shortcut != "C":
            return x
        if config.shortcut == "A":
            if stride > 1:
                activated = layers.max_pool(activated, 1, stride=stride, name=f"{name}_subsample")
            is_widened = int(x.shape[-1]) < channels
            return layers.pad_channels(activated, channels, name=f"{name}_widen") if is_widened else activated
        if config.shortcut == "D" and stride > 1:
            activated, stride = layers.halve(activated, name=f"{name}_mean"), 1
        y = layers.conv(activated, channels, 1, stride=stride, name=f"{name}_proj")
        return y if config.preactivation else layers.norm(y, name=f"{name}_proj_norm")
