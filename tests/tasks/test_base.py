"""The registry of tasks: every task declares what training, export and devices ask of it."""

from dataclasses import asdict

import pytest

from keras_resnet.config.spec import HeadSpec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.errors import UsageError
from keras_resnet.runtime.predictions import POSTPROCESSORS
from keras_resnet.tasks import TASKS, default_config, get_task


def test_each_task_has_rules_for_its_settings():
    assert list(TASKS) == list(TASK_RULES)
    for name, task in TASKS.items():
        assert task.finds_objects() == TASK_RULES[name].has_boxes, name


@pytest.mark.parametrize("name", TASKS)
def test_devices_know_what_a_task_asks_of_them(name):
    task = TASKS[name]
    assert task.postprocessing in POSTPROCESSORS
    spec = default_config(name).override("data.image_size", 64)
    metadata = get_task(spec, ("a", "b")).output_metadata()
    assert (metadata["task"], bool(metadata["cells"])) == (name, task.finds_objects())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_trains_by_a_spec_of_its_own(name):
    spec = default_config(name)
    assert spec.task == name and spec.data.annotations == TASK_RULES[name].annotations
    assert set(TASKS[name].head_settings) <= set(asdict(HeadSpec()))


def test_a_task_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match="task must be one of classify, multilabel, localize, detect, segment"):
        default_config("poses")
