"""What is chosen on GPUs, of which there are none here: TensorFlow's answers are stood in for."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from keras_resnet.config.spec import CompressSpec, Spec, TrainingSpec
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.gpu_memory import share_gpu_memory
from keras_resnet.training import all_reduce, distribute, finder, gpus, prepare, train, xla
from keras_resnet.training.distribute import Devices

GPUS = [SimpleNamespace(name=f"/physical_device:GPU:{number}", device_type="GPU") for number in range(2)]


@pytest.fixture
def two_gpus(monkeypatch):
    """TensorFlow lists two GPUs; returns those whose memory grows."""
    growing = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: GPUS)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: GPUS)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: GPUS)
    monkeypatch.setattr(tf.config, "get_logical_device_configuration", lambda gpu: None)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: growing.append((gpu, on)))
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    return growing


def test_memory_of_all_gpus_grows(two_gpus):
    assert "as much as is needed" in share_gpu_memory()
    assert two_gpus == [(gpu, True) for gpu in GPUS]


def test_without_gpus_nothing_is_set(monkeypatch, two_gpus):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    assert share_gpu_memory() == "" and two_gpus == []


@pytest.mark.parametrize("value", ["false", "true"])
def test_what_the_environment_says_of_memory_is_left(monkeypatch, two_gpus, value):
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", value)
    assert f"TF_FORCE_GPU_ALLOW_GROWTH={value}" in share_gpu_memory() and two_gpus == []


def test_logical_devices_of_the_program_are_left(monkeypatch, two_gpus):
    monkeypatch.setattr(tf.config, "get_logical_device_configuration", lambda gpu: ["1 GiB"])
    assert "logical devices" in share_gpu_memory() and two_gpus == []


def test_a_tensorflow_that_has_begun_is_left(monkeypatch, two_gpus):
    def refuse(gpu, on):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    assert share_gpu_memory().startswith("all of it, because")


def test_several_gpus_sum_by_nccl(two_gpus):
    ops, words = all_reduce.choose_cross_device_ops("GPU")
    assert isinstance(ops, tf.distribute.NcclAllReduce) and "NCCL" in words


def test_logical_gpus_and_cpus_do_not(monkeypatch, two_gpus):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: GPUS[:1])
    for kind in ("GPU", "CPU"):
        ops, words = all_reduce.choose_cross_device_ops(kind)
        assert isinstance(ops, tf.distribute.ReductionToOneDevice) and words == ""


def test_mirrored_gpus_are_named_with_their_memory(monkeypatch, two_gpus):
    made = {}

    def strategy(names, cross_device_ops):
        made.update(names=names, ops=cross_device_ops)
        return SimpleNamespace(num_replicas_in_sync=len(names))

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", strategy)
    devices = distribute.setup("auto")
    assert made["names"] == [gpu.name for gpu in GPUS] and isinstance(made["ops"], tf.distribute.NcclAllReduce)
    assert devices.reason == "mirrored over 2 GPUs (all there are), gradients summed by NCCL"
    assert devices.kind == "GPU" and "as much as is needed" in devices.memory


@pytest.mark.parametrize(("there", "means"), [(GPUS, "NCCL"), ([], "AUTO")])
def test_workers_sum_by_nccl_where_they_have_gpus(monkeypatch, two_gpus, there, means):
    asked = []

    def strategy(cluster_resolver, communication_options):
        asked.append(communication_options.implementation.name)
        return SimpleNamespace(num_replicas_in_sync=2)

    cluster = '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", strategy)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: there)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: there)
    devices = distribute.setup("auto")
    assert asked == [means] and devices.rank == 1
    assert ("NCCL" in devices.reason) == bool(there) == (devices.kind == "GPU") == bool(devices.memory)


def test_other_gpus_than_those_of_a_first_training_are_refused(monkeypatch, two_gpus):
    def refuse(devices, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    with pytest.raises(UsageError, match="gpu:1 must be asked for before TensorFlow has computed anything"):
        distribute.setup("gpu:1")


@pytest.mark.parametrize(
    ("visible", "workers", "words"),
    [
        ("0,1,2,3", 2, "2 GPUs for each worker (of 4)"),
        ("0,1,2", 2, "1 GPU for each worker (of 3, 1 unused)"),
        ("", 2, ""),
    ],
)
def test_how_gpus_are_dealt_out_is_said(monkeypatch, visible, workers, words):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.describe_shares(workers) == words


def test_workers_that_would_share_a_gpu_are_refused(monkeypatch):
    from keras_resnet.training.launch import RestartPolicy, launch

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UsageError, match=r"each worker needs a GPU of its own.* --workers 2, and 1 GPU"):
        launch(2, ["train"], RestartPolicy(), print)


def test_tfmot_is_refused_where_it_cannot_be_deterministic(monkeypatch):
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    spec = Spec(compress=CompressSpec(qat="tfmot"), training=TrainingSpec(deterministic=True))
    prepare._enable_determinism(spec, Devices(None, ""))
    with pytest.raises(UsageError, match="--qat native has others"):
        prepare._enable_determinism(spec, Devices(None, "", kind="GPU"))


@pytest.mark.parametrize("was_enabled", [False, True])
def test_what_follows_a_deterministic_training_is_as_deterministic_as_before(monkeypatch, tmp_path, was_enabled):
    def load_data(*arguments):
        assert config.is_op_determinism_enabled()
        raise DataError("the data are gone")

    spec = Spec(training=TrainingSpec(deterministic=True))
    if was_enabled:
        config.enable_op_determinism()
    try:
        for module, start in (
            (train, lambda: train.train(spec, tmp_path)),
            (finder, lambda: finder.find_learning_rate(spec, tmp_path / "rates.png", print)),
        ):
            monkeypatch.setattr(module, "load_data_chief_first", load_data)
            with pytest.raises(DataError, match="the data are gone"):
                start()
            assert config.is_op_determinism_enabled() == was_enabled
    finally:
        config.disable_op_determinism()


def decide(requested="auto", kind="GPU", replicas=1, obstacle=None, **spec):
    """Whether XLA compiles, and what is said of it."""
    said = []
    training = TrainingSpec(jit_compile=requested, deterministic=spec.pop("deterministic", False))
    devices = Devices(SimpleNamespace(num_replicas_in_sync=replicas), "", kind=kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xla, "find_obstacle", lambda: obstacle)
        compiles = xla.decide_jit_compile(Spec(training=training, **spec), devices, said.append)
    return compiles, " ".join(said)


@pytest.mark.parametrize(
    ("case", "compiles", "words"),
    [
        ({}, True, "XLA: on (as Keras does on one GPU; --jit-compile off trains without it)"),
        ({"requested": "on"}, True, "XLA: on (--jit-compile on)"),
        ({"requested": "off"}, False, "XLA: off (--jit-compile off)"),
        ({"replicas": 2}, False, "XLA: off (it compiles for one GPU only)"),
        ({"deterministic": True}, False, "XLA: off (it is not deterministic)"),
        (
            {"compress": CompressSpec(qat="tfmot")},
            False,
            "XLA: off (tensorflow-model-optimization was not tried with it)",
        ),
        ({"obstacle": "libdevice not found"}, False, "XLA: off (it cannot compile here: libdevice not found)"),
        ({"kind": "CPU"}, False, ""),
        ({"kind": "CPU", "requested": "off"}, False, ""),
    ],
)
def test_xla_is_decided_as_by_keras(case, compiles, words):
    assert decide(**case) == (compiles, words)


def test_xla_on_a_cpu_comes_with_a_warning():
    compiles, said = decide("on", kind="CPU")
    assert compiles and said.startswith("warning: XLA: on") and "0.3 to 0.65 times the speed" in said


@pytest.mark.parametrize("case", [{"kind": "CPU", "replicas": 2}, {"replicas": 2}, {"obstacle": "no libdevice"}])
def test_xla_that_is_impossible_is_refused(case):
    with pytest.raises(UsageError, match="--jit-compile on"):
        decide("on", **case)


def test_xla_and_determinism_exclude_each_other_before_anything_is_read():
    spec = Spec(training=TrainingSpec(jit_compile="on", deterministic=True))
    with pytest.raises(UsageError, match="--jit-compile on does not go with --deterministic"):
        prepare.require_possible(spec)
    prepare.require_possible(replace(spec, training=TrainingSpec(deterministic=True)))


def test_slurm_says_which_gpus_there_are_before_tensorflow_is_asked(monkeypatch, two_gpus):
    """TensorFlow finds GPUs once: a list that was made before SLURM's resolver would be all of the machine."""
    order = []
    resolver = SimpleNamespace(
        cluster_spec=lambda: SimpleNamespace(as_dict=lambda: {"worker": ["a:1", "b:1"]}), task_type="worker", task_id=0
    )
    monkeypatch.setattr(distribute, "_create_slurm_resolver", lambda: order.append("resolver") or resolver)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: order.append("list") or GPUS)
    strategy = SimpleNamespace(num_replicas_in_sync=4)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda **options: strategy)
    for name, value in (("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "2")):
        monkeypatch.setenv(name, value)
    assert distribute.setup("auto").kind == "GPU" and order[0] == "resolver"
