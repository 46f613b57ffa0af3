"""What other programs read in verdicts.json."""

import json

# At the top level of each row, with its type in JSON.
CONTRACT = {
    "file": str,
    "scheme": str,
    "bytes": int,
    "metric": str,
    "value": float,
    "drop": float,
    "drop_interval": list,
    "agreement": float,
    "latency_ms": float,
    "verdict": str,
}


def test_what_programs_rely_on_stands_at_the_top_level(exported):
    run, verdicts = exported
    rows = json.loads((run.exports / "verdicts.json").read_text(encoding="utf-8"))
    # Other tests add files to the same run.
    rows = [row for row in rows if row["file"] in verdicts]
    assert {row["file"] for row in rows} == set(verdicts)
    for row in rows:
        assert {key: type(row.get(key)) for key in CONTRACT} == CONTRACT
        assert [type(end) for end in row["drop_interval"]] == [float, float]
        assert row["latency_ms"] == row["cost"]["latencies"][-1]["p50"] > 0
    assert {row["file"]: row["scheme"] for row in rows} == {
        "float32.tflite": "float32",
        "int8.tflite": "int8",
        "int8-mixed.tflite": "int8-mixed",
        "int8-litert.tflite": "int8-litert",
        "dynamic-float-io-batches.tflite": "dynamic-float-io-batches",
        "saved_model": "savedmodel",
        "model.onnx": "onnx",
        "c_array": "c-array",
    }
