"""Weights from elsewhere: files and hubs, mapped to our names."""
