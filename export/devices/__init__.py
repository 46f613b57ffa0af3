"""Devices: where written files are run."""
