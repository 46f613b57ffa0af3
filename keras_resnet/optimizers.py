"""The optimizer of a training, made from its spec: schedule, decay, and rates that differ by layer."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.spec import Spec

CLASSIFIER = "logits"


def total_steps(spec: Spec, steps_per_epoch: int) -> int:
    """How many steps the whole training was planned for."""
    return spec.training.steps or spec.training.epochs * steps_per_epoch


def schedule_of(spec: Spec, steps_per_epoch: int) -> Any:
    """A linear rise from 0 over the warm-up, then the fall that the spec names."""
    chosen = spec.optimizer
    assert chosen.warmup_epochs is not None, "resolve the spec before training"
    warmup = int(chosen.warmup_epochs * steps_per_epoch)
    total = total_steps(spec, steps_per_epoch)
    if chosen.schedule == "step":
        rates = [chosen.learning_rate * 0.1**drop for drop in range(len(chosen.drops) + 1)]
        return StepDecay([round(share * total) for share in chosen.drops], rates, warmup)
    return keras.optimizers.schedules.CosineDecay(
        chosen.learning_rate if warmup == 0 else 0.0,
        decay_steps=max(1, total - warmup),
        warmup_target=chosen.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


@keras.saving.register_keras_serializable("kresnet")
class StepDecay(keras.optimizers.schedules.PiecewiseConstantDecay):
    """Keras' piecewise constant rate after a linear warm-up, which Keras offers with its cosine only."""

    def __init__(self, boundaries: list[int], values: list[float], warmup_steps: int = 0, **options: Any) -> None:
        super().__init__(boundaries, values, **options)
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        share = (keras.ops.cast(step, "float32") + 1) / max(1, self.warmup_steps + 1)
        return super().__call__(step) * keras.ops.minimum(1.0, share)

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        return {**super().get_config(), "warmup_steps": self.warmup_steps}


def optimizer_of(spec: Spec, steps_per_epoch: int) -> Any:
    """SGD as `OptimizerSpec` describes it. Decay spares norms and biases (He et al. 2019, section 3.1)."""
    chosen = spec.optimizer
    optimizer = LayeredSGD(
        schedule_of(spec, steps_per_epoch),
        momentum=chosen.momentum,
        nesterov=chosen.nesterov and chosen.momentum > 0,
        weight_decay=(chosen.weight_decay or None) if chosen.decay == "decoupled" else None,
        l2=chosen.weight_decay if chosen.decay == "l2" else 0.0,
        body_rate=spec.start.body_rate,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    if spec.training.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@keras.saving.register_keras_serializable("kresnet")
class LayeredSGD(keras.optimizers.SGD):
    """Keras' SGD with two things it lacks.

    l2: this times the variable is added to the gradient of what decay does not spare (He et al. 2015).
    body_rate: factor of the learning rate for all but the classifier; decoupled decay keeps the full rate.
    """

    def __init__(self, *args: Any, l2: float = 0.0, body_rate: float = 1.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.l2, self.body_rate = l2, body_rate

    def build(self, variables: list[Any]) -> None:
        """Make the slots, and note what concerns each variable: later only its TensorFlow half is seen."""
        super().build(variables)
        self._is_kernel = [variable.name == "kernel" for variable in variables]
        self._in_body = [CLASSIFIER not in variable.path.split("/") for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        index = self._get_variable_index(variable)
        if self.l2 and self._is_kernel[index]:
            gradient = gradient + self.l2 * variable
        if self.body_rate != 1 and self._in_body[index]:
            learning_rate = learning_rate * self.body_rate
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        return {**super().get_config(), "l2": self.l2, "body_rate": self.body_rate}
