"""The networks, written once against `Bricks`."""
