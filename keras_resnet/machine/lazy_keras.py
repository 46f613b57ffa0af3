"""Import parts of Keras that few programs use when they are used.

`import keras` imports pandas, scikit-learn with SciPy, and matplotlib.pyplot, where they are installed, for a few of
its functions: that takes half as long as TensorFlow's own import.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

# Modules that Keras imports without asking them for anything at once.
SELDOM_USED = frozenset(
    {
        "keras.wrappers",  # scikit-learn
        "keras._tf_keras.keras.wrappers",
        "keras.visualization",  # matplotlib.pyplot
        "keras._tf_keras.keras.visualization",
        "keras.src.visualization",
        "keras.src.trainers.data_adapters.array_slicing",  # pandas
    }
)


def defer_seldom_used() -> None:
    """Have `import keras` import these modules at their first use. Where Keras is imported already, so are they."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module that is seldom used, with a loader that waits for its first use."""
        spec = PathFinder.find_spec(name, path) if name in SELDOM_USED else None
        if spec is not None and spec.loader is not None:
            spec.loader = _DeferringLoader(spec.loader)
        return spec


class _DeferringLoader(Loader):
    """Leaves a module to load itself, by its own `loader`, when it is asked for what is not there yet.

    importlib.util.LazyLoader does the same, but until Python 3.11.9 and 3.12.3 not for several threads.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, empty."""
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Remember how to load the module."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        vars(module)["_kresnet_deferral"] = _Deferral(self._loader)


class _Deferral:
    """The load of a module that is still to come."""

    def __init__(self, loader: Loader) -> None:
        self._loader, self._lock, self._is_loading = loader, RLock(), False

    def load(self, module: ModuleType) -> None:
        """Load the module, unless another thread has meanwhile, or this one is about to."""
        with self._lock:
            if self._is_loading or not isinstance(module, _DeferredModule):
                return
            self._is_loading = True
            try:
                self._loader.exec_module(module)
                module.__class__ = ModuleType  # type: ignore[assignment]
                del vars(module)["_kresnet_deferral"]
            finally:
                self._is_loading = False


class _DeferredModule(ModuleType):
    """A module that loads itself."""

    def __getattr__(self, name: str) -> Any:
        deferral = vars(self).get("_kresnet_deferral")
        if deferral is not None and name != "__path__":  # which imports ask for, of modules that have none
            deferral.load(self)
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        if deferral := vars(self).get("_kresnet_deferral"):
            deferral.load(self)
        return [*ModuleType.__dir__(self)]
