"""`kresnet data-service`: read training images for trainings elsewhere."""

from __future__ import annotations

import socket
from threading import Event

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples

POLL_SECONDS = 1.0


@click.command(
    "data-service",
    cls=Command,
    epilog=format_examples(
        "kresnet data-service --port 5050",
        "kresnet data-service --dispatcher 10.0.0.1:5050",
    ),
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5050, show_default=True, help="Port at which trainings connect."
)
@click.option("--dispatcher", metavar="HOST:PORT", help="Join the data service that was started at this address.")
@click.option(
    "--host",
    metavar="ADDRESS",
    default=socket.gethostname,
    help="Address at which other machines reach this one [default: the name of this machine].",
)
def data_service(port: int, dispatcher: str | None, host: str) -> None:
    """Read training images for trainings on other machines.

    Runs until you stop it. The folder of images must have the same path on all machines. Anyone who can reach the ports
    can make this machine read its files, so use it only in networks that you trust.
    """
    from keras_resnet.data.service import DataServer

    server = DataServer.start(port, dispatcher, host)
    console.log(
        f"data service: ready for kresnet train --data-service {server.address}"
        + (
            " (one more worker)"
            if dispatcher
            else f"; more workers: kresnet data-service --dispatcher {server.address}"
        )
    )
    while not Event().wait(POLL_SECONDS):  # a wait without an end may sleep through a signal that came just before it
        pass
