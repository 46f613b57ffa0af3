"""The networks, written once against `Layers`."""
