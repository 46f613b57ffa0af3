"""The sections of `kresnet train --help`, in order; options that most trainings need stand in the first."""

from __future__ import annotations

COMMON, DATA, MODEL, TRAINING, OPTIMIZER = "Common", "Data", "Model", "Training", "Optimizer"
AUGMENTATION, DEVICES, LOGGING, OTHER = "Augmentation", "Precision and devices", "Logging", "Other"
GROUPS = (COMMON, DATA, MODEL, TRAINING, OPTIMIZER, AUGMENTATION, DEVICES, LOGGING, OTHER)
