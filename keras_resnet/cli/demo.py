"""`kresnet demo`."""

from __future__ import annotations

from pathlib import Path

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import optional_run_argument, runs_option
from keras_resnet.cli.outputs import prepare_save
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.errors import UsageError


@click.command(cls=Command, epilog=format_examples("kresnet demo RUN --open", "kresnet demo RUN --save page"))
@optional_run_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the page; 0 takes a free one [default: 8765, or a free one if that is taken].",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the page into a new folder for a web server of your own, instead of serving it.",
)
@runs_option
def demo(run: str | None, port: int | None, opens: bool, save: Path | None, runs: str | None) -> None:
    """Try RUN's exported files in a browser.

    Serves a page for the newest run by default. Only this machine can open the page, and it loads nothing from the
    internet. The exported files themselves run in it, with LiteRT.js: scripts/web installs that once, with npm.
    """
    from keras_resnet.export.demo.heat_maps import HeatMapMaker
    from keras_resnet.export.demo.page import build_site
    from keras_resnet.export.demo.server import USUAL_PORT, create_server, require_new_folder

    if save and (port is not None or opens):
        raise UsageError(f"--save writes the page and serves none; it takes no {'--open' if opens else '--port'}")
    found = find_run(runs, run)
    found.require_finished()
    if save:
        require_new_folder(save)
        prepare_save(save, is_folder=True)
    log_newest(found.name, run)
    site = build_site(found, console.log, explains=not save)
    if save:
        site.write(save)
        console.emit(str(save / "index.html"))
        return
    with create_server(site, port, HeatMapMaker(found).explain) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        if port is None and server.server_port != USUAL_PORT:
            console.log(f"port: {server.server_port}, because {USUAL_PORT} is taken")
        console.log(f"demo of {found.name}: {address} (Ctrl-C ends it)")
        if opens:
            click.launch(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.log("ended")
