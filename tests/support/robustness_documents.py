"""robustness.json as `kresnet robustness` writes it, small."""


def robustness_document(corruption, file="float32.tflite"):
    """Of one corruption in two severities, of the Keras model and a file."""
    difference = {"difference": -0.05, "interval": [-0.1, 0.0]}
    return {
        "metric": "top1",
        "samples": 30,
        "seed": 0,
        "severities": [1, 3],
        "constants": "CIFAR-10-C",
        "image_size": [8, 8],
        "left_out": {"frost": "it is made of photographs"},
        "models": [
            {
                "name": "Keras model",
                "clean": 0.9,
                "values": {corruption: [0.8, 0.6]},
                "differences": {},
                "change": None,
            },
            {
                "name": file,
                "clean": 0.9,
                "values": {corruption: [0.8, 0.5]},
                "differences": dict.fromkeys(("clean", corruption, "all"), difference),
                "change": difference,
            },
        ],
    }
