"""The sections of a command's help, in order; options that most trainings need stand in the first."""

from __future__ import annotations

COMMON, DATA, MODEL, TRAINING, OPTIMIZER = "Common", "Data", "Model", "Training", "Optimizer"
AUGMENTATION, DEVICES, LOGGING, OTHER = "Augmentation", "Precision and devices", "Logging", "Other"
# Of an export.
FILES, QUANTIZATION, VERDICT, DEVICE = "Files", "Quantization", "Verdict", "Other devices"
# Of predictions.
VIDEO, EXPLANATION = "Videos and cameras", "Heat maps"
# A command of many options describes these groups and options at once, and names the others.
DESCRIBED = (COMMON, FILES, QUANTIZATION, VERDICT, OTHER)
DESCRIBED_OPTIONS = ("--on",)
GROUPS = (
    *(
        COMMON,
        EXPLANATION,
        VIDEO,
        FILES,
        QUANTIZATION,
        VERDICT,
        DEVICE,
        DATA,
        MODEL,
        TRAINING,
        OPTIMIZER,
        AUGMENTATION,
        DEVICES,
        LOGGING,
    ),
    OTHER,
)
# The first options of their groups, as often as they are typed; the others follow in the order of their declaration.
FIRST = (
    *("--qat", "--shrink", "--prune", "--pattern", "--cluster", "--data", "--budget"),
    *("--epochs", "--weights", "--depth", "--model", "--image-size", "--task", "--batch-size"),
    *("--learning-rate", "--name", "--resume", "--recipe", "--quick", "--set"),
)
