"""Quantization-aware training, native to Keras 3."""
