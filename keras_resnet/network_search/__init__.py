"""Search for the network that fits a device."""
