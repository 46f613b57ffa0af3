"""What runs on a device: one TFLite file, for the machine at the other end of two pipes.

The modules of this folder are sent to the device as they stand here, so they need nothing else of kresnet: Python 3.9
or newer, NumPy, and ai-edge-litert or tflite-runtime (openvino or tflite-micro beside it for those runtimes). They keep
everything in memory, and leave on disk only what --keep and --install ask for.
"""
