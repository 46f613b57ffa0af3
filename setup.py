"""Packaging: `export/` is installed as keras_resnet.export, so that no generic name is taken."""

from setuptools import find_packages, setup

inside = find_packages(include=["keras_resnet", "keras_resnet.*"], exclude=["keras_resnet.export*"])
beside = [f"keras_resnet.{package}" for package in find_packages(include=["export", "export.*"])]

CHECK = ["imagehash>=4.3.1", "cleanlab>=2.7"]
DOCS = ["sphinx>=8.1", "myst-parser>=4", "furo>=2024.8.6", "sphinx-copybutton>=0.5.2"]
LITERT = ["litert-quantizer>=0.11"]
# Its releases are dates; there are wheels for Linux on x86-64 alone.
MICRO = ["tflite-micro>=0.dev20250101; sys_platform == 'linux' and platform_machine == 'x86_64'"]
VIDEO = ["opencv-python-headless>=4.8"]
TIFF = ["tifffile>=2024.1"]
COREML = ["coremltools>=9"]
OPENVINO = ["openvino>=2026.4", "nncf>=3.4"]
SEARCH = ["optuna>=5"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.16.1"]

setup(
    name="kresnet",
    version="0.1.0",
    description="Train a ResNet on your images, export it for a phone, a browser or a microcontroller, and know how"
    " accurate the exported file is before you ship it",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=inside + beside,
    package_dir={"keras_resnet.export": "export"},
    package_data={
        "keras_resnet": ["py.typed"],
        "keras_resnet.reporting": ["*.html", "*.css", "*.js", "vendor/*"],
        "keras_resnet.export.bundle_examples": ["*.txt"],
        "keras_resnet.export.demo": ["web/*"],
        "keras_resnet.export.devices": ["web/*"],
    },
    install_requires=[
        "tensorflow>=2.20,<2.22",
        "keras>=3.15.1,<3.16",
        "tf_keras>=2.20,<2.22",
        "tensorflow-datasets>=4.9.10,<5",
        "importlib_resources>=6",
        "tensorflow-model-optimization>=0.8,<0.9",
        "ai-edge-litert>=2.1,<3",
        "tensorboard>=2.20",
        "click>=8.1",
        "rich>=13",
        "segno>=1.6",
        "numpy>=1.26",
        "requests>=2.31",
        "scikit-learn>=1.5",
        "faster-coco-eval>=1.6",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "pillow>=13",
        "h5py>=3.11",
        "safetensors>=0.4.3",
        "pydantic>=2.7",
        "huggingface_hub>=0.34",
        "PyYAML>=6",
        "pyarrow>=17",
        "grpcio>=1.66",
    ],
    extras_require={
        "check": CHECK,
        "coreml": COREML,
        "docs": DOCS,
        "ethos": ["ethos-u-vela>=4"],
        "litert": LITERT,
        "micro": MICRO,
        "onnx": ONNX,
        "openvino": OPENVINO,
        "search": SEARCH,
        "tiff": TIFF,
        "video": VIDEO,
        "gpu": ["tensorflow[and-cuda]>=2.20,<2.22"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "psutil>=5.9",
            "pycocotools>=2.0.8",
            "playwright>=1.49",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "ipykernel>=6.29",
            "ruff>=0.9",
            "mypy>=1.14",
            "setuptools>=65",
            "wheel>=0.42",
            *CHECK,
            *COREML,
            *DOCS,
            *ONNX,
            *OPENVINO,
            *LITERT,
            *MICRO,
            *SEARCH,
            *TIFF,
            *VIDEO,
        ],
    },
    entry_points={"console_scripts": ["kresnet = keras_resnet.cli.main:main"]},
)
