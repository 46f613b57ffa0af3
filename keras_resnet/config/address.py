"""Addresses of services on the network."""

from __future__ import annotations


def split_address(address: str) -> tuple[str, int]:
    """Return the host and the port of "HOST:PORT" or "grpc://HOST:PORT". Raises ValueError for anything else."""
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or not 0 < int(port) < 2**16:
        raise ValueError(f"not an address: {address!r}")
    return host, int(port)


def require_address(address: str | None) -> str | None:
    """Return `address` as it is. Raises ValueError unless it is one, or None."""
    if address is not None:
        split_address(address)
    return address
