"""Name metrics as people read them, where that differs from their names in JSON."""

LABELS = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "macro_recall": "macro recall (balanced accuracy)",
}


def metric_label(name: str) -> str:
    """Return a metric's name as people read it."""
    return LABELS.get(name, name)
