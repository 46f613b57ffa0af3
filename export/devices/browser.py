"""Browsers as devices: a page runs the file by LiteRT.js, in WebAssembly or on WebGPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.devices.base import CPU, GPU, INTERPRETER, Device, RunSettings, UnusableDeviceError
from keras_resnet.progress import Log
from keras_resnet.runtime.tflite_model import TFLiteModel

if TYPE_CHECKING:
    from keras_resnet.export.devices.page_server import PageServer
    from keras_resnet.export.devices.page_session import PageSession

LOCAL_HOST = "127.0.0.1"


class BrowserDevice(Device):
    """Any browser in which somebody opens the page, here or elsewhere, a phone's too."""

    name = "browser"
    help = "browser (a page for any browser, a phone's too)"
    accelerators = (CPU, GPU)
    runtimes = (INTERPRETER,)
    own_settings = ("host", "port")

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self._server: PageServer | None = None

    def require_usable(self, settings: RunSettings, log: Log) -> None:
        """Raise UnusableDeviceError where LiteRT.js is missing here, or the page cannot be served."""
        from keras_resnet.export.devices.page_server import start_server

        _require_litert_js()
        try:
            start_server(settings.host, settings.port).close(farewell=0.0)
        except UsageError as error:
            raise UnusableDeviceError(str(error)) from error

    @contextmanager
    def open(self, model: TFLiteModel, settings: RunSettings, log: Log) -> Iterator[PageSession]:
        """Wait until a page has loaded the file of `model`; all files of a command come to the same page."""
        from keras_resnet.export.devices.page_server import start_server
        from keras_resnet.export.devices.page_session import PageSession, Patience

        self.require_possible(settings)
        if self._server is None:
            self._server = start_server(settings.host, settings.port)
            for line in _describe_address(self._server, settings):
                log(line)
        self._server.model = model.content
        session = PageSession(self.where, self._server.exchange, model, settings, Patience(settings.timeout))
        try:
            session.connect(log)
            yield session
        finally:
            session.close()

    def close(self) -> None:
        """Tell the page that all is done, and end its server."""
        if self._server is not None:
            from keras_resnet.export.devices.page_server import FAREWELL

            self._server.close(FAREWELL)
            self._server = None


class ChromiumDevice(Device):
    """A headless Chromium on this machine, a new one for each file."""

    name = "chromium"
    help = "chromium (a headless one on this machine)"
    accelerators = (CPU, GPU)
    runtimes = (INTERPRETER,)

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self._logged: set[str] = set()

    def require_usable(self, settings: RunSettings, log: Log) -> None:
        """Raise UnusableDeviceError where Chromium or LiteRT.js is missing here."""
        from keras_resnet.export.devices.chromium import find_chromium

        _require_litert_js()
        try:
            find_chromium()
        except ExportError as error:
            raise UnusableDeviceError(str(error)) from error

    @contextmanager
    def open(self, model: TFLiteModel, settings: RunSettings, log: Log) -> Iterator[PageSession]:
        """Start Chromium, and let it load the file of `model`."""
        from keras_resnet.export.devices.chromium import needs_no_sandbox, open_chromium
        from keras_resnet.export.devices.page_server import start_server
        from keras_resnet.export.devices.page_session import PageSession, Patience

        self.require_possible(settings)
        server = start_server(LOCAL_HOST, None)
        try:
            server.model = model.content
            flags, choices = _choose_flags(settings)
            if needs_no_sandbox():
                choices.append("Chromium runs without its sandbox: it starts in no other way for the root user")
            for choice in choices:
                self._log_once(choice, log)
            with open_chromium(server.address, flags) as chromium:
                patience = Patience(settings.timeout, returns=False, check=chromium.require_running)
                session = PageSession(self.where, server.exchange, model, settings, patience)
                session.connect(lambda message: None)
                yield session
        finally:
            server.close(farewell=0.0)

    def _log_once(self, message: str, log: Log) -> None:
        """Log what is the same for all files of a command."""
        if message not in self._logged:
            log(message)
        self._logged.add(message)


def _require_litert_js() -> None:
    from keras_resnet.export.demo.page import require_litert_js

    try:
        require_litert_js()
    except ExportError as error:
        raise UnusableDeviceError(str(error)) from error


def _choose_flags(settings: RunSettings) -> tuple[tuple[str, ...], list[str]]:
    """Return the flags by which Chromium has the accelerator, and what is to be said of the choice."""
    from keras_resnet.export.devices.chromium import NO_GPU, REAL_GPU, SOFTWARE_GPU, has_gpu

    if settings.accelerator == CPU:
        return NO_GPU, []
    if has_gpu():
        return REAL_GPU, []
    return SOFTWARE_GPU, ["WebGPU is computed by SwiftShader, on the CPU, because this machine has no GPU"]


def _describe_address(server: PageServer, settings: RunSettings) -> Iterator[str]:
    """Yield lines that say how to open the page."""
    from keras_resnet.export.devices.qr_code import draw_qr_code

    yield f"open this page in the browser that is to run the files: {server.address}"
    if server.is_public:
        yield from draw_qr_code(server.address)
        yield "anyone who has the address can read the files and the validation images; the connection is not encrypted"
        port = server.server_port
        limit = "WebAssembly has one thread" if settings.accelerator == CPU else "WebGPU does not start"
        yield (
            f"{limit} at this address: browsers give more to https and localhost alone; a phone on a USB cable has the"
            f" page at http://localhost:{port}/{server.token}/ after: adb reverse tcp:{port} tcp:{port}"
        )
