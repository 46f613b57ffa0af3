"""Names that people bring from other libraries, in Python and of networks, and what kresnet calls them."""

from __future__ import annotations

from collections.abc import Collection

from keras_resnet.config.foreign_words import COMMANDS

# Names that the library has not, and the function that does it.
FUNCTIONS = {
    **dict.fromkeys(("network", "model", "get_model", "build_model", "list_models", "timm_create"), "create_model"),
    **dict.fromkeys(("load", "load_run", "open"), "open_run"),
    **dict.fromkeys(("tune", "tuner", "sweep", "nas", "automl", "hpo", "optimize"), "search"),
    "fit": "train",
}
# Methods of a run in Python, most of them commands too.
METHODS = ("evaluate", "explain", "export", "predict", "push", "report", "verify", "compress")
# What names of networks begin with that other tools train.
CLASSIFIERS = (
    *("mobilenet", "efficientnet", "mobilevit", "mnasnet", "shufflenet", "squeezenet", "ghostnet", "nasnet", "mcunet"),
    *("densenet", "inception", "xception", "googlenet", "alexnet", "regnet", "convnext", "vit", "deit", "swin", "dino"),
    *("hrnet", "dla", "fastvit", "edgenext", "clip", "lenet"),
)
DETECTORS = (
    *("yolo", "ssd", "fomo", "detr", "rtdetr", "rt-detr", "centernet", "nanodet"),
    *("fasterrcnn", "faster-rcnn", "faster_rcnn", "maskrcnn", "mask-rcnn", "mask_rcnn", "retinanet", "fcos"),
)
# Methods of the models of other libraries → the method of a run.
FOREIGN_METHODS = {
    **dict.fromkeys(("predict_proba", "predict_on_batch", "classify", "detect"), "predict"),
    **dict.fromkeys(("gradcam", "grad_cam", "cam", "saliency", "heatmap", "heat_map"), "explain"),
    **dict.fromkeys(("save", "to_tflite", "to_onnx", "export_tflite"), "export"),
    **dict.fromkeys(("push_to_hub", "save_pretrained", "upload"), "push"),
    **dict.fromkeys(("plot", "show", "confusion_matrix", "classification_report"), "report"),
}
# The same for what is no method of it → what does it.
FOREIGN_ATTRIBUTES = {
    **dict.fromkeys(("fit", "train"), "keras_resnet.train(…), which returns a new run, or run.compress(…)"),
    **dict.fromkeys(("summary", "info", "layers", "count_params", "get_weights"), "run.model, a Keras model"),
    **dict.fromkeys(("names", "labels", "class_names", "features"), "run.classes"),
    **dict.fromkeys(("accuracy", "results", "best_score"), "run.metrics"),
    **dict.fromkeys(("args", "config", "cfg", "overrides", "hparams"), "run.spec"),
    **dict.fromkeys(("path", "save_dir", "dir"), "run.folder"),
    **dict.fromkeys(("demo", "serve"), "kresnet demo, a command"),
}


# Of an exported file, what others call what it has.
FILE_ATTRIBUTES = {
    **dict.fromkeys(("latency", "latency_s", "time", "time_ms", "ms", "speed", "fps"), "file.latency_ms"),
    **dict.fromkeys(("accuracy", "score", "metrics", "results"), "file.verdict.value"),
    **dict.fromkeys(("nbytes", "filesize", "megabytes", "size_mb"), "file.size, in bytes"),
    **dict.fromkeys(("filename", "filepath", "folder", "dir"), "file.path"),
    "explain": "run.explain(…): an exported file has no gradients to make heat maps of",
    "ok": "file.passed",
}


def answer_function(name: str) -> str:
    """Return the function of the library that is meant by `name`; "" where nothing fits."""
    return FUNCTIONS.get(name, "")


def find_method(name: str) -> str:
    """Return the method of a run that is meant by `name`, a command or another tool's word for one; "" where none
    is."""
    command = name if name in METHODS else FOREIGN_METHODS.get(name) or COMMANDS.get(name, name)
    return command if command in METHODS else ""


def answer_attribute(name: str, known: Collection[str], own: str) -> str:
    """Return what to say of an unknown attribute of an object that is called `own` and has `known` ones: "run" or
    "file"; "" where nothing fits."""
    if (method := find_method(name)) in known:
        return f"Use {own}.{method}(…)."
    attributes = FOREIGN_ATTRIBUTES if own == "run" else FILE_ATTRIBUTES
    return f"Use {attributes[name]}." if name in attributes else ""


def answer_network(name: str) -> str:
    """Return what to say of a network `name` of a family that kresnet does not have; "" where that is not known."""
    word = name.lower().partition("/")[2] or name.lower()
    if word.startswith(DETECTORS):
        return "kresnet trains ResNets, also as detectors: try --task detect --model resnet18."
    if word.startswith(CLASSIFIERS):
        return "kresnet trains ResNets: for a small one try --model resnet10 or resnet8, or --width 0.5."
    return ""
