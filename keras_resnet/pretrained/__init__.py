"""Weights from elsewhere: files and named sources, translated to our names."""
