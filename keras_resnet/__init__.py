"""kresnet: train a ResNet on your images, export it for a phone, a browser or a microcontroller, and know how accurate
the exported file is before you ship it.

Names are imported when first used, so that `import keras_resnet` does not import TensorFlow.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_resnet.machine.lazy_keras import defer_seldom_used
from keras_resnet.machine.onednn import enable_onednn

if TYPE_CHECKING:
    from keras_resnet.api import callbacks as callbacks
    from keras_resnet.api.bundling import bundle as bundle
    from keras_resnet.api.bundling import verify_outputs as verify_outputs
    from keras_resnet.api.checking import check as check
    from keras_resnet.api.comparing import compare as compare
    from keras_resnet.api.explaining import explain as explain
    from keras_resnet.api.functions import compress as compress
    from keras_resnet.api.functions import find_learning_rate as find_learning_rate
    from keras_resnet.api.functions import open_run as open_run
    from keras_resnet.api.functions import train as train
    from keras_resnet.api.run import Run as Run
    from keras_resnet.api.searching import search as search
    from keras_resnet.compression.quantization.quantize import quantize as quantize
    from keras_resnet.config.spec import NetworkSpec as NetworkSpec
    from keras_resnet.config.spec import Normalization as Normalization
    from keras_resnet.config.spec import Spec as Spec
    from keras_resnet.errors import KresnetError as KresnetError
    from keras_resnet.pretrained.load import load_weights as load_weights
    from keras_resnet.pretrained.zoo import VGG11 as VGG11
    from keras_resnet.pretrained.zoo import VGG13 as VGG13
    from keras_resnet.pretrained.zoo import VGG16 as VGG16
    from keras_resnet.pretrained.zoo import VGG19 as VGG19
    from keras_resnet.pretrained.zoo import Plain18 as Plain18
    from keras_resnet.pretrained.zoo import Plain20 as Plain20
    from keras_resnet.pretrained.zoo import Plain34 as Plain34
    from keras_resnet.pretrained.zoo import Plain56 as Plain56
    from keras_resnet.pretrained.zoo import ResNet8 as ResNet8
    from keras_resnet.pretrained.zoo import ResNet10 as ResNet10
    from keras_resnet.pretrained.zoo import ResNet18 as ResNet18
    from keras_resnet.pretrained.zoo import ResNet20 as ResNet20
    from keras_resnet.pretrained.zoo import ResNet32 as ResNet32
    from keras_resnet.pretrained.zoo import ResNet34 as ResNet34
    from keras_resnet.pretrained.zoo import ResNet44 as ResNet44
    from keras_resnet.pretrained.zoo import ResNet50 as ResNet50
    from keras_resnet.pretrained.zoo import ResNet56 as ResNet56
    from keras_resnet.pretrained.zoo import ResNet101 as ResNet101
    from keras_resnet.pretrained.zoo import ResNet110 as ResNet110
    from keras_resnet.pretrained.zoo import ResNet152 as ResNet152
    from keras_resnet.pretrained.zoo import ResNet200 as ResNet200
    from keras_resnet.pretrained.zoo import create_backbone as create_backbone
    from keras_resnet.pretrained.zoo import create_model as create_model
    from keras_resnet.pretrained.zoo import resnet as resnet
    from keras_resnet.training.precision import choose_precision as choose_precision

__version__ = "0.1.0"

enable_onednn()  # before anything imports TensorFlow
defer_seldom_used()  # or Keras

_DEPTHS = (8, 10, 18, 20, 32, 34, 44, 50, 56, 101, 110, 152, 200)
_ZOO = (
    *("create_backbone", "create_model", "resnet"),
    *(f"ResNet{depth}" for depth in _DEPTHS),
    *(f"Plain{depth}" for depth in (18, 20, 34, 56)),
    *(f"VGG{depth}" for depth in (11, 13, 16, 19)),
)
# Where each name is; with a colon, what is itself a module.
_HOME = {
    "KresnetError": "keras_resnet.errors",
    "NetworkSpec": "keras_resnet.config.spec",
    "Normalization": "keras_resnet.config.spec",
    "Run": "keras_resnet.api.run",
    "Spec": "keras_resnet.config.spec",
    "choose_precision": "keras_resnet.training.precision",
    "quantize": "keras_resnet.compression.quantization.quantize",
    "load_weights": "keras_resnet.pretrained.load",
    "bundle": "keras_resnet.api.bundling",
    "callbacks": "keras_resnet.api.callbacks:",
    "check": "keras_resnet.api.checking",
    "compare": "keras_resnet.api.comparing",
    "explain": "keras_resnet.api.explaining",
    "export": "keras_resnet.export:",
    "search": "keras_resnet.api.searching",
    "verify_outputs": "keras_resnet.api.bundling",
    **dict.fromkeys(("compress", "find_learning_rate", "open_run", "train"), "keras_resnet.api.functions"),
    **dict.fromkeys(_ZOO, "keras_resnet.pretrained.zoo"),
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'keras_resnet' has no attribute {name!r}.{_suggest(name)}")
    module, is_module, _ = _HOME[name].partition(":")
    with nullcontext() if module in sys.modules else _quiet():  # many import TensorFlow
        found = import_module(module)
    return found if is_module else getattr(found, name)


def _quiet() -> AbstractContextManager[None]:
    from keras_resnet.native_logs import silence_in_main_thread

    return silence_in_main_thread()


def _suggest(name: str) -> str:
    """Return what to say of a name that is not here: the function or the method that does it, or the nearest name."""
    from keras_resnet.config.foreign_names import answer_function, find_method
    from keras_resnet.errors import did_you_mean

    if method := find_method(name):
        return f" Use run.{method}(…), where run is what keras_resnet.train or keras_resnet.open_run returns."
    by_letters = {each.lower(): each for each in __all__}
    meant = answer_function(name) or by_letters.get(name.lower())
    return f" Did you mean {meant!r}?" if meant else did_you_mean(name, __all__)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
