"""Verdicts as a device or a weak model would have given them, written into runs."""

DEVICE = {
    "where": "env PATH=/home/pi/kresnet/bin:/usr/bin /home/pi/kresnet/.venv/bin/python",
    "accelerator": "gpu",
    "unit": "Mali-G57",
    "machine": "SM-A155F",
    "system": "Android 15",
    "runtime": "litert 2.1.0",
    "emulated": False,
    "accelerated": 1.0,
    "partitions": 12,
    "load_ms": 570.9,
    "windows": [],
    "arena_bytes": None,
    "warnings": [],
    "fully_accelerated": True,
    "repeat_difference": 0.0,
    "largest_output": 4.4,
}
COST = {
    "latencies": [{"threads": 2, "p50": 1047.83, "p90": 1240.18, "p99": 1241.78, "runs": 10}],
    "first_ms": 1625.5,
    "peak_mib": 1170.3,
}


def put_at_chance(run, standing):
    """Write that the model of `run` is "unclear" or "not above" a constant prediction, and that its first file predicts
    like it, which is not proven; the run's only verdict then."""
    analysis, row = run.analysis(), run.verdicts()[0]
    constant = {**analysis["baselines"][0], "value": 0.36, "model_value": 0.35, "standing": standing}
    analysis["baselines"] = [constant, *analysis["baselines"][1:]]
    run.write_json(run.analysis_file, analysis)
    unproven = {"verdict": "NOT PROVEN", "drop": 0.0, "drop_interval": [-0.03, 0.03], "images_to_settle": 194}
    run.write_json(run.verdicts_file, [{**row, **unproven, "baselines": [constant]}])


def put_on_device(run):
    """Add the same verdict as that on the first file of `run`, on a phone."""
    rows = run.verdicts()
    as_the_cpu = {"cpu_agreement": 1.0, "cpu_difference": 0.0}
    on_device = {"device": DEVICE, "cost": COST, "problems": [], **as_the_cpu, "micro": None}
    run.write_json(run.verdicts_file, [*rows, {**rows[0], **on_device, "further_drops": {}}])
