"""The optimizer of a training, made from its spec: schedule, decay, and rates that differ by layer."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.config.spec import OptimizerSpec, Spec
from keras_resnet.models.parts import BACKBONE, get_group, is_output

# The loss scale of mixed_float16 doubles after so many steps without an overflow (Micikevicius et al. 2018).
GROWTH_STEPS = 2000


def total_steps(spec: Spec, steps_per_epoch: int) -> int:
    """How many steps the whole training was planned for."""
    return spec.training.steps or spec.training.epochs * steps_per_epoch


def schedule_of(spec: Spec, steps_per_epoch: int) -> Any:
    """A linear rise over the warm-up, then the fall that the spec names."""
    chosen = spec.optimizer
    assert chosen.warmup_epochs is not None, "resolve the spec before training"
    warmup = int(chosen.warmup_epochs * steps_per_epoch)
    total = total_steps(spec, steps_per_epoch)
    falling = max(1, total - warmup)
    if chosen.schedule == "step":
        rates = [chosen.learning_rate * 0.1**drop for drop in range(len(chosen.milestones) + 1)]
        boundaries = [round(share * total) - warmup for share in chosen.milestones]
        return Warmup(keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates), warmup)
    if chosen.schedule == "polynomial":
        end = chosen.learning_rate * chosen.final_lr_ratio
        fall = keras.optimizers.schedules.PolynomialDecay(chosen.learning_rate, falling, end, chosen.power)
        return Warmup(fall, warmup)
    return Warmup(
        keras.optimizers.schedules.CosineDecay(chosen.learning_rate, falling, alpha=chosen.final_lr_ratio), warmup
    )


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 over `steps` steps to where `after` begins; Keras has one for its cosine only."""

    def __init__(self, after: Any, steps: int) -> None:
        super().__init__()
        self.after, self.steps = after, steps

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step, "float32")
        rise = keras.ops.minimum(1.0, done / max(1, self.steps)) if self.steps else 1.0
        return rise * self.after(keras.ops.maximum(done - self.steps, 0.0))


def optimizer_of(spec: Spec, steps_per_epoch: int, rate: float | None = None) -> Any:
    """The optimizer that `spec` describes; with `rate` instead of its schedule, one whose rate can be assigned.

    Decay spares norms and biases (He et al. 2019, section 3.1). It takes gradients that are already summed over
    all replicas, so that they can be clipped and judged before they are applied.
    """
    chosen = spec.optimizer
    kind: Any = _KINDS[chosen.name]
    optimizer = kind(
        schedule_of(spec, steps_per_epoch) if rate is None else rate,
        weight_decay=(chosen.weight_decay or None) if chosen.weight_decay_mode == "decoupled" else None,
        l2=chosen.weight_decay if chosen.weight_decay_mode == "l2" else 0.0,
        backbone_lr_scale=spec.start.backbone_lr_scale,
        **_own_options(chosen),
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    if spec.training.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, dynamic_growth_steps=GROWTH_STEPS)
    return optimizer


def _own_options(chosen: OptimizerSpec) -> dict[str, Any]:
    if chosen.name == "sgd":
        return {"momentum": chosen.momentum, "nesterov": chosen.nesterov and chosen.momentum > 0}
    if chosen.name == "muon":
        return {
            "momentum": chosen.momentum,
            "nesterov": chosen.nesterov,
            "adam_beta_1": chosen.beta_1,
            "adam_beta_2": chosen.beta_2,
            "adam_weight_decay": chosen.weight_decay if chosen.weight_decay_mode == "decoupled" else 0.0,
            "epsilon": chosen.epsilon,
        }
    return {"beta_1": chosen.beta_1, "beta_2": chosen.beta_2, "epsilon": chosen.epsilon}


class Layered:
    """What Keras' optimizers lack: decay in the gradient, a rate of its own for the body, summed gradients.

    l2: this times the variable is added to the gradient of what decay does not spare (He et al. 2015).
    backbone_lr_scale: factor of the learning rate for the backbone, not for neck and heads; decoupled decay keeps the
        full rate.
    """

    def __init__(self, *args: Any, l2: float = 0.0, backbone_lr_scale: float = 1.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.l2, self.backbone_lr_scale = l2, backbone_lr_scale

    def build(self, variables: list[Any]) -> None:
        """Make the slots, and note what concerns each variable: later only its TensorFlow half is seen."""
        super().build(variables)  # type: ignore[misc]
        paths = [getattr(variable, "path", variable.name).split(":")[0].split("/") for variable in variables]
        self._is_kernel = [path[-1] == "kernel" for path in paths]
        self._in_body = [any(get_group(layer) == BACKBONE for layer in path[:-1]) for path in paths]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        if self.l2 and self._is_kernel[index]:
            gradient = gradient + self.l2 * variable
        if self.backbone_lr_scale != 1 and self._in_body[index]:
            learning_rate = learning_rate * self.backbone_lr_scale
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        # Keras would sum here, after clipping and after asking one replica whether its gradients are finite.
        return list(grads_and_vars)


class LayeredSGD(Layered, keras.optimizers.SGD):
    """SGD with momentum."""


class LayeredAdamW(Layered, keras.optimizers.AdamW):
    """AdamW."""


class LayeredLamb(Layered, keras.optimizers.Lamb):
    """LAMB. Keras decays apart from the trust ratio, where You et al. 2020 decay within it."""


class LayeredMuon(Layered, keras.optimizers.Muon):
    """Muon, which in Keras is for matrices: a convolution's kernel is taken as one, (height × width × in, out).

    What gives an output is AdamW's, as Jordan et al. advise.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        if any(is_output(layer) for layer in variable.path.split("/")):
            return True
        return len(variable.shape) != 4 and super()._should_use_adamw(variable)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The nearest orthogonal matrix, of a kernel too."""
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """The rate for the shape of the matrix."""
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().lr_adjust(matrix), x.shape)


_KINDS = {"sgd": LayeredSGD, "adamw": LayeredAdamW, "lamb": LayeredLamb, "muon": LayeredMuon}
