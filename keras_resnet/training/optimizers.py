"""Optimizers made from a spec: learning-rate schedule, weight decay, and learning rates that differ by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.config.spec import OptimizerSpec, Spec
from keras_resnet.models.parts import BACKBONE, get_group, is_output
from keras_resnet.training.fused_optimizers import FusedAdam, FusedSGD

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.training.train_state import Variable

# The loss scale of mixed_float16 doubles after so many steps without an overflow (Micikevicius et al. 2018).
LOSS_SCALE_GROWTH_STEPS = 2000


def count_total_steps(spec: Spec, steps_per_epoch: int) -> int:
    """Return how many steps the whole training is planned for."""
    return spec.training.steps or spec.training.epochs * steps_per_epoch


def create_learning_rate_schedule(spec: Spec, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a linear rise over the warm-up, then the decay that the spec names."""
    options = spec.optimizer
    assert options.warmup_epochs is not None, "resolve the spec before training"
    warmup = int(options.warmup_epochs * steps_per_epoch)
    total = count_total_steps(spec, steps_per_epoch)
    decay_steps = max(1, total - warmup)
    if options.schedule == "step":
        rates = [options.learning_rate * 0.1**drop for drop in range(len(options.milestones) + 1)]
        boundaries = [round(share * total) - warmup for share in options.milestones]
        return Warmup(keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates), warmup)
    if options.schedule == "polynomial":
        end = options.learning_rate * options.final_lr_ratio
        decay = keras.optimizers.schedules.PolynomialDecay(options.learning_rate, decay_steps, end, options.power)
        return Warmup(decay, warmup)
    return Warmup(
        keras.optimizers.schedules.CosineDecay(options.learning_rate, decay_steps, alpha=options.final_lr_ratio), warmup
    )


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 over `steps` steps to where `after` begins; Keras has one for its cosine only."""

    def __init__(self, after: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> None:
        super().__init__()
        self.after, self.steps = after, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate of `step`."""
        done = keras.ops.cast(step, "float32")
        rise = keras.ops.minimum(1.0, done / max(1, self.steps)) if self.steps else 1.0
        return rise * self.after(keras.ops.maximum(done - self.steps, 0.0))


def create_optimizer(
    spec: Spec, steps_per_epoch: int, constant_learning_rate: float | None = None
) -> keras.optimizers.Optimizer:
    """Return the optimizer that `spec` describes; with `constant_learning_rate` instead of its schedule, one whose rate
    can be assigned.

    Decay spares norms and biases (He et al. 2019, section 3.1). It takes gradients that are already summed over
    all replicas, so that they can be clipped and checked before they are applied.
    """
    options = spec.optimizer
    optimizer = OPTIMIZERS[options.name](
        create_learning_rate_schedule(spec, steps_per_epoch)
        if constant_learning_rate is None
        else constant_learning_rate,
        weight_decay=(options.weight_decay or None) if options.weight_decay_mode == "decoupled" else None,
        l2=options.weight_decay if options.weight_decay_mode == "l2" else 0.0,
        backbone_lr_scale=spec.start.backbone_lr_scale,
        **_own_options(options),
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    if spec.training.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, dynamic_growth_steps=LOSS_SCALE_GROWTH_STEPS)
    return optimizer


def _own_options(options: OptimizerSpec) -> dict[str, float | bool]:
    """Return the arguments that only this optimizer takes."""
    if options.name == "sgd":
        return {"momentum": options.momentum, "nesterov": options.nesterov and options.momentum > 0}
    if options.name == "muon":
        return {
            "momentum": options.momentum,
            "nesterov": options.nesterov,
            "adam_beta_1": options.beta_1,
            "adam_beta_2": options.beta_2,
            "adam_weight_decay": options.weight_decay if options.weight_decay_mode == "decoupled" else 0.0,
            "epsilon": options.epsilon,
        }
    return {"beta_1": options.beta_1, "beta_2": options.beta_2, "epsilon": options.epsilon}


class LayerwiseOptimizer:
    """What Keras' optimizers lack: decay in the gradient, a learning rate for the backbone, summed gradients.

    l2: this times the variable is added to the gradient of what decay does not spare (He et al. 2015).
    backbone_lr_scale: factor of the learning rate for the backbone, not for neck and heads; decoupled decay keeps the
        full rate.
    """

    def __init__(self, *args: Any, l2: float = 0.0, backbone_lr_scale: float = 1.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.l2, self.backbone_lr_scale = l2, backbone_lr_scale

    def build(self, variables: list[Variable]) -> None:
        """Create the slots, and note what concerns each variable: later only its TensorFlow half is seen."""
        super().build(variables)  # type: ignore[misc]
        paths = [getattr(variable, "path", variable.name).split(":")[0].split("/") for variable in variables]
        self._is_kernel = [path[-1] == "kernel" for path in paths]
        self._in_backbone = [any(get_group(layer) == BACKBONE for layer in path[:-1]) for path in paths]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable, and let it decay."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        if self.weight_decay is not None and self._use_weight_decay(variable):  # type: ignore[attr-defined]
            variable.assign_sub(variable * self.weight_decay * learning_rate)  # type: ignore[attr-defined]
        if self.l2 and self._is_kernel[index]:
            gradient = gradient + self.l2 * variable
        if self.backbone_lr_scale != 1 and self._in_backbone[index]:
            learning_rate = learning_rate * self.backbone_lr_scale
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: list[Variable]) -> None:
        # Keras would compute the learning rate anew for each variable: `update_step` has it.
        pass

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        # Keras would sum here, after clipping and after asking one replica whether its gradients are finite.
        return list(grads_and_vars)


class LayerwiseSGD(LayerwiseOptimizer, FusedSGD):
    """SGD with momentum."""


class LayerwiseAdamW(LayerwiseOptimizer, FusedAdam):
    """AdamW, also without weight decay, which Keras' class of that name refuses."""


class LayerwiseLamb(LayerwiseOptimizer, keras.optimizers.Lamb):
    """LAMB. Keras decays apart from the trust ratio, where You et al. 2020 decay within it."""


class LayerwiseMuon(LayerwiseOptimizer, keras.optimizers.Muon):
    """Muon, which in Keras is for matrices: a convolution's kernel is taken as one, (height × width × in, out).

    What gives an output is AdamW's, as Jordan et al. advise.
    """

    def _should_use_adamw(self, variable: Variable) -> bool:
        if any(is_output(layer) for layer in variable.path.split("/")):
            return True
        return len(variable.shape) != 4 and super()._should_use_adamw(variable)

    def zeropower_via_newtonschulz5(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        """Return the nearest orthogonal matrix, of a kernel too."""
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: tf.Tensor) -> tf.Tensor:
        """Return the learning rate for the shape of the matrix."""
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().lr_adjust(matrix), x.shape)


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "sgd": LayerwiseSGD,
    "adamw": LayerwiseAdamW,
    "lamb": LayerwiseLamb,
    "muon": LayerwiseMuon,
}
