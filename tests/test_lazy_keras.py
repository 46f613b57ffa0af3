"""What Keras imports that few programs use is imported when it is used, and is then what it always was."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

LIBRARIES = ("pandas", "sklearn", "matplotlib.pyplot")
# Prints which of them importing Keras has imported.
AFTER_IMPORT = f"""
import sys
import keras_resnet, keras
print([name for name in {LIBRARIES} if name in sys.modules])
"""
USES = {
    "pandas in fit": """
import pandas
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
table = pandas.DataFrame([[0.0, 1.0], [2.0, 3.0]])
print(len(model.fit(table, pandas.Series([0.0, 1.0]), verbose=0).history["loss"]) == 1)
""",
    "wrappers": """
from keras.wrappers import SKLearnClassifier
import sklearn.base
is_same = keras.wrappers.SKLearnClassifier is SKLearnClassifier
print(is_same and issubclass(SKLearnClassifier, sklearn.base.ClassifierMixin))
""",
    "visualization": """
import matplotlib; matplotlib.use("agg")
import numpy, tempfile
name = tempfile.mkdtemp() + "/gallery.png"
images = numpy.zeros((1, 4, 4, 3), "uint8")
keras.visualization.plot_image_gallery(images, y_true=["a"], label_map={"a": "A"}, path=name)
print(open(name, "rb").read(4) == b"\\x89PNG")
""",
    "plain modules": """
module, spec = keras.wrappers, keras.wrappers.__spec__
names = dir(module)
print("SKLearnRegressor" in names and type(module) is type(sys) and spec.loader is module.__loader__
      and type(spec.loader).__name__ == "SourceFileLoader")
""",
    "no such name": """
try:
    keras.visualization.nothing
except AttributeError as error:
    print("'keras.visualization' has no attribute 'nothing'" in str(error))
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    classes = list(pool.map(lambda _: keras.src.trainers.data_adapters.array_slicing.TensorflowSparseWrapper, range(8)))
print(len(set(classes)) == 1)
""",
}


def _run(code: str) -> list[str]:
    """Return the lines that a Python of its own prints, in which nothing is imported yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "uses",
    [
        # None of a process uses a module of the others.
        ("pandas in fit", "wrappers", "visualization"),
        ("plain modules", "no such name", "threads"),
        *(pytest.param((use,), marks=pytest.mark.slow) for use in USES),
    ],
    ids="+".join,
)
def test_what_is_imported_late_works_as_ever(uses: tuple[str, ...]) -> None:
    if missing := [name for name in LIBRARIES if find_spec(name.partition(".")[0]) is None]:
        pytest.skip(f"needs {missing[0]}")
    lines = _run(AFTER_IMPORT + "".join(USES[use] for use in uses))
    assert lines[-len(uses) - 1 :] == ["[]", *["True"] * len(uses)]


def test_keras_that_is_there_before_kresnet_stays_as_it_is() -> None:
    *_, kinds = _run(
        "import sys, keras; import keras_resnet;"
        " print({type(sys.modules[name]) is type(sys) for name in ('keras.wrappers', 'keras.visualization')})"
    )
    assert kinds == "{True}"
