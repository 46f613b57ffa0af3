"""Grad-CAM and LayerCAM against hand computation: the class activation map, and the formulas by NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.errors import UsageError
from keras_resnet.explanation.feature_maps import find_feature_map, list_stages, read_feature_maps
from keras_resnet.explanation.gradients import build_inner_model, compute_gradients
from keras_resnet.explanation.heat_map import Explainer
from keras_resnet.explanation.methods import METHODS, gradcam, layercam
from keras_resnet.explanation.targets import Question
from keras_resnet.runtime.metadata import ModelMetadata

CLASSES, SIDE = ("cat", "dog", "owl"), 16
CARD = ModelMetadata(CLASSES, SIDE, SIDE, {})


@pytest.fixture(scope="module")
def network():
    """Two convolutions, global average pooling, and a dense layer: what CAM (Zhou et al. 2016) is defined for."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255, name="scale")(pixels)
    x = keras.layers.Conv2D(6, 3, 2, "same", activation="relu", name="first")(x)
    x = keras.layers.Conv2D(8, 3, 1, "same", activation="relu", name="last")(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    return keras.Model(pixels, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(x)))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)


def differentiate(network, layer, images, label):
    """The feature maps of `layer` and the gradients of a logit, by a tape around the layers after it alone."""
    front = keras.Model(network.inputs, network.get_layer(layer).output)
    features = tf.convert_to_tensor(front(tf.constant(images, tf.float32)))
    with tf.GradientTape() as tape:
        tape.watch(features)
        x, layers = features, network.layers
        for each in layers[layers.index(network.get_layer(layer)) + 1 :]:
            x = each(x)
        score = tf.reduce_sum(x[:, label])
    return features.numpy(), tape.gradient(score, features).numpy()


def gradients_of(network, layer, images, label):
    """The same, as a heat map is made of them."""
    inner = build_inner_model(network, [layer])
    found = compute_gradients(inner, [layer], images, lambda rows: [("logits", (label,)) for _ in rows])
    return found.features[layer], found.gradients[layer]


def test_gradcam_of_a_pooled_network_is_its_class_activation_map(network, images):
    kernel = network.get_layer("logits").kernel.numpy()
    for label in range(3):
        for features, gradients in zip(*gradients_of(network, "last", images, label), strict=True):
            cam = np.maximum(features @ kernel[:, label], 0)
            # The gradient of a mean over 64 positions is a 64th of the weight.
            np.testing.assert_allclose(64 * gradcam(features, gradients), cam, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["first", "last"])
def test_layercam_is_its_formula(network, images, layer):
    features, gradients = differentiate(network, layer, images, 1)
    ours = gradients_of(network, layer, images, 1)
    np.testing.assert_allclose(ours[0], features, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours[1], gradients, rtol=1e-4, atol=1e-8)
    for row in range(3):
        expected = np.zeros(features.shape[1:3])
        for channel in range(features.shape[-1]):
            weights = np.where(gradients[row, ..., channel] > 0, gradients[row, ..., channel], 0)
            expected += weights * features[row, ..., channel]
        made = layercam(ours[0][row], ours[1][row])
        np.testing.assert_allclose(made, np.maximum(expected, 0), rtol=1e-4, atol=1e-8)
        assert made.max() > 0


def test_maps_are_zero_to_one_and_of_the_predicted_class(network, images):
    pictures = [Image.fromarray(each) for each in images]
    predicted = network(tf.constant(images, tf.float32)).numpy().argmax(axis=1)
    for method in METHODS:
        found = Explainer(network, CARD, method).explain(pictures, [Question()] * 3)
        assert [each.target.label for each in found] == [CLASSES[each] for each in predicted]
        assert all(each.map.shape == (SIDE, SIDE) and each.map.dtype == np.float32 for each in found)
        assert all(each.map.min() >= 0 and each.map.max() in (0, 1) for each in found)
        assert all(each.layer == "last" and each.target.is_predicted for each in found)


def test_another_label_can_be_asked_for(network, images):
    pictures = [Image.fromarray(images[0])]
    logits = network(tf.constant(images[:1], tf.float32)).numpy()[0]
    least = CLASSES[int(logits.argmin())]
    (heat_map,) = Explainer(network, CARD).explain(pictures, [Question(least)])
    assert heat_map.target.label == least and not heat_map.target.is_predicted
    assert heat_map.target.probability == pytest.approx(tf.nn.softmax(logits).numpy().min(), rel=1e-5)


def test_many_images_are_explained_as_one_by_one(network, monkeypatch):
    monkeypatch.setattr("keras_resnet.explanation.heat_map.BATCH_PIXELS", 4 * SIDE * SIDE)
    images = np.random.default_rng(1).integers(0, 256, (11, SIDE, SIDE, 3)).astype(np.uint8)
    pictures = [Image.fromarray(each) for each in images]
    together = Explainer(network, CARD).explain(pictures, [Question("dog")] * 11)
    for one, picture in zip(together, pictures, strict=True):
        (alone,) = Explainer(network, CARD).explain([picture], [Question("dog")])
        np.testing.assert_allclose(one.map, alone.map, atol=1e-5)


def test_feature_maps_are_found_in_the_graph(network):
    assert list(read_feature_maps(network)) == ["scale", "first", "last"]
    assert list_stages(network) == ["scale", "last"]
    assert find_feature_map(network) == "last"


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_nested_backbone_is_one_layer(network, images, kind):
    """As networks of keras.applications are used: the map is that of the network without nesting."""
    front = keras.Model(network.inputs, network.get_layer("last").output, name="body")
    body = front if kind == "functional" else keras.Sequential([front], name="body")
    pixels = keras.Input((SIDE, SIDE, 3))
    x = body(pixels)
    for layer in ("pool", "flatten", "logits"):
        x = next(each for each in network.layers if each.name.startswith(layer))(x)
    pictures, asked = [Image.fromarray(images[0])], [Question("dog")]
    (nested,) = Explainer(keras.Model(pixels, x), CARD).explain(pictures, asked)
    (flat,) = Explainer(network, CARD).explain(pictures, asked)
    assert nested.layer == "body" and nested.map.max() == 1
    np.testing.assert_allclose(nested.map, flat.map, atol=1e-5)


def test_a_sequential_model_is_read_too(images):
    layers = [keras.layers.Conv2D(4, 3, 4, name="only"), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers])
    (heat_map,) = Explainer(model, CARD).explain([Image.fromarray(images[0])], [Question()])
    assert heat_map.layer == "only"


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("lasst", r"--layer lasst is no layer of this network; .* scale, last\. Did you mean 'last'\?"),
        ("logits", r"--layer logits has no map \(B, H, W, C\) of its own; .* scale, last\."),
    ],
)
def test_a_layer_that_cannot_be_looked_at_is_refused(network, layer, words):
    with pytest.raises(UsageError, match=words):
        Explainer(network, CARD, layer=layer)


def test_models_without_maps_or_graph_are_refused():
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="flat")
    with pytest.raises(UsageError, match=r"heat maps need a layer with a map \(B, H, W, C\), and flat has none"):
        find_feature_map(dense)

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UsageError, match=r"heat maps need a functional or Sequential model .* Received: Own"):
        find_feature_map(Own())


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question("dgo"), "--label must be one of cat, dog, owl. Received: 'dgo'. Did you mean 'dog'?"),
        (Question(number=2), "--object is for networks that find several objects; the task of this one is classify"),
        (Question("dog", 1), "--label and --object both say what is explained: give one of them"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(network, images, question, words):
    with pytest.raises(UsageError) as error:
        Explainer(network, CARD).explain([Image.fromarray(images[0])], [question])
    assert str(error.value) == words
    with pytest.raises(UsageError, match=r"--method must be one of gradcam, layercam\. Received: 'cam'"):
        Explainer(network, CARD, "cam")
