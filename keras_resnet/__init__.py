"""kresnet: train residual networks with Keras 3 and ship them with proof that they still work.

Names are imported when first used, so that `import keras_resnet` does not import TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_resnet.errors import KresnetError as KresnetError
    from keras_resnet.networks.zoo import ResNet18 as ResNet18
    from keras_resnet.networks.zoo import ResNet20 as ResNet20
    from keras_resnet.networks.zoo import ResNet32 as ResNet32
    from keras_resnet.networks.zoo import ResNet34 as ResNet34
    from keras_resnet.networks.zoo import ResNet44 as ResNet44
    from keras_resnet.networks.zoo import ResNet50 as ResNet50
    from keras_resnet.networks.zoo import ResNet56 as ResNet56
    from keras_resnet.networks.zoo import ResNet101 as ResNet101
    from keras_resnet.networks.zoo import ResNet110 as ResNet110
    from keras_resnet.networks.zoo import ResNet152 as ResNet152
    from keras_resnet.networks.zoo import resnet as resnet
    from keras_resnet.run import Run as Run
    from keras_resnet.spec import Spec as Spec

__version__ = "0.1.0"

_ZOO = "keras_resnet.networks.zoo"
_HOME = {
    "KresnetError": "keras_resnet.errors",
    **{f"ResNet{depth}": _ZOO for depth in (18, 20, 32, 34, 44, 50, 56, 101, 110, 152)},
    "Run": "keras_resnet.run",
    "Spec": "keras_resnet.spec",
    "resnet": _ZOO,
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'keras_resnet' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
