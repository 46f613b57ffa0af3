"""How a training runs: devices, steps, checkpoints, logs, workers."""
