"""What is said and done where classes have very unequal numbers of images."""

from dataclasses import replace

import numpy as np
import pytest

from keras_resnet.config.spec import Spec, TrainingSpec
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.errors import SettingError
from keras_resnet.tasks import get_task
from keras_resnet.training.class_balance import resolve_class_balance

CLASSES = ("cat", "dog", "emu")


def resolved(sizes, **settings):
    lines = []
    labels = np.repeat(np.arange(len(sizes)), sizes)
    split = Split("train", labels, pixels=np.zeros((len(labels), 8, 8, 3), np.uint8), resize=8)
    data = DatasetSplits("x", CLASSES, {"train": split}, None, 8, 8)
    spec = replace(Spec(), training=TrainingSpec(**settings))
    return resolve_class_balance(spec, data, lines.append).training, lines


def test_a_class_of_less_than_a_tenth_is_warned_of():
    _, lines = resolved([5, 40, 100])
    assert lines == [
        "warning: the classes are unequal: 'cat' has 5 training images, 'emu' 100, 20 times as many: rare classes may"
        " never be found; let them count as much as the others by --class-weights balanced, or show them more often by"
        " --sampling sqrt (macro recall usually rises; top-1 accuracy may fall)"
    ]
    assert resolved([10, 40, 100])[1] == []


def test_what_is_done_is_told_and_kept():
    training, lines = resolved([5, 40, 100], class_weights="balanced")
    assert lines == ["class weights: balanced (an image of 'emu' counts 0.483, one of 'cat' 9.67)"]
    assert training.weights_by_class == pytest.approx((145 / 15, 145 / 120, 145 / 300), rel=1e-5)
    _, lines = resolved([4, 40, 100], sampling="balanced")
    assert lines == [
        "sampling: balanced (an epoch shows 48 times one of 4 images of 'cat', and 48 times one of 100 of 'emu')"
    ]


def test_equal_classes_need_no_sampling():
    assert resolved([40, 40], sampling="sqrt")[1] == [
        "sampling: sqrt (which shows each image once: the classes are equal)"
    ]


def test_weights_may_be_given_one_for_each_class():
    training, lines = resolved([5, 40, 100], weights_by_class=(3.0, 1.0, 1.0))
    assert (training.weights_by_class, lines) == ((3.0, 1.0, 1.0), [])
    with pytest.raises(
        SettingError, match=r"weights_by_class must be one for each of 3 classes\. Received: '2 weights'"
    ):
        resolved([5, 40, 100], weights_by_class=(3.0, 1.0))


@pytest.mark.parametrize("task", ["detect", "multilabel"])
@pytest.mark.parametrize(
    ("setting", "value"), [("class_weights", "balanced"), ("sampling", "sqrt"), ("weights_by_class", (1.0, 2.0))]
)
def test_what_needs_one_label_an_image(task, setting, value):
    from keras_resnet.tasks import default_config

    with pytest.raises(SettingError, match=f"training.{setting} is for --task classify, .*; leave it out with --task"):
        default_config(task).override(f"training.{setting}", value)


@pytest.mark.parametrize(("task", "losses"), [("detect", "cross_entropy"), ("multilabel", "bce or asymmetric")])
def test_the_focal_loss_is_for_one_label_an_image(task, losses):
    from keras_resnet.tasks import default_config

    with pytest.raises(SettingError, match=f"training.loss must be {losses} for {task}. Received: 'focal'"):
        default_config(task).override("training.loss", "focal")


def test_unequal_labels_of_several_an_image_are_told():
    from keras_resnet.tasks import default_config

    sets = np.array([[1, 1, 0]] * 40 + [[0, 1, 1]] * 2 + [[0, 0, 0]], np.uint8)
    split = Split.with_label_sets("train", sets, pixels=np.zeros((len(sets), 8, 8, 3), np.uint8))
    lines, spec = [], default_config("multilabel")
    data = DatasetSplits("d", CLASSES, {"train": split}, None, 8, 8)
    assert resolve_class_balance(spec, data, lines.append) == spec
    assert len(lines) == 1 and lines[0].endswith("21 times as many: rare labels may never be found; add images of them")
    assert split.count_labels(3).tolist() == [40, 42, 2]


def losses(targets, logits, **settings):
    import tensorflow as tf

    spec = Spec(training=TrainingSpec(**settings)).override("optimizer.label_smoothing", 0.0)
    task = get_task(spec, CLASSES)
    return task.loss(spec)(tf.constant(targets, tf.float32), tf.constant(logits, tf.float32)).numpy()


def test_losses_follow_their_papers():
    targets, logits = np.eye(3)[[0, 2]], np.array([[2.0, 0, -1], [0.5, 1, 0]])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    of_label = p[[0, 1], [0, 2]]
    np.testing.assert_allclose(losses(targets, logits), -np.log(of_label), rtol=1e-5)
    focal = -((1 - of_label) ** 2) * np.log(of_label)
    np.testing.assert_allclose(losses(targets, logits, loss="focal"), focal, rtol=1e-5)
    np.testing.assert_allclose(losses(targets, logits, loss="focal", focal_gamma=0.0), -np.log(of_label), rtol=1e-5)
    weighted = losses(targets, logits, weights_by_class=(2.0, 1.0, 0.5))
    np.testing.assert_allclose(weighted, -np.log(of_label) * [2, 0.5], rtol=1e-5)
    mixed = losses(targets[:1] * 0.5 + targets[1:] * 0.5, logits[:1], weights_by_class=(2.0, 1.0, 0.5))
    np.testing.assert_allclose(mixed, -0.5 * np.log(p[0, [0, 2]]).sum() * 1.25, rtol=1e-5)


def test_macro_recall_counts_each_class_the_same():
    task = get_task(Spec(), CLASSES)
    labels = np.array([0] * 8 + [1, 1])
    metrics = task.compute_metrics([np.array([1.0, 0, 0])] * 9 + [np.array([0, 1.0, 0])], labels)
    assert metrics.values["top1"] == pytest.approx(0.9)
    assert metrics.details["macro_recall"] == pytest.approx(0.75)
    (low, high), (lowest, highest) = metrics.intervals["top1"], metrics.intervals["macro_recall"]
    assert low < 0.9 <= high and lowest < 0.75 < highest and highest - lowest > high - low
