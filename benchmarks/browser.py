"""One image through a ResNet-50 of 224 pixels in headless Chromium: our files in LiteRT.js, and beside them the same
network as ONNX in onnxruntime-web, interleaved. Both compute in WebAssembly.

    scripts/web
    npm install --prefix FOLDER $(cat benchmarks/browser-peers.txt)
    python benchmarks/browser.py [--ort FOLDER] [--rounds 3]

Without FOLDER there is no peer. Needed are
Chromium and the Python package playwright. Weights are random: time and size do not depend on them. Each measurement
has a page of its own; the median of the best round counts. Files of keras.applications'
network, converted the default way, are left out: their batch is open, which LiteRT.js refuses.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from edge_files import CLASSES, SIDE, Subject, write_file
from result_tables import Column, Table, add_json_option, describe_rounds, publish

WARMUP, RUNS = 3, 20
INDEX = b"""<!doctype html><title>benchmark</title><link rel="icon" href="data:,"><script type="importmap">
{"imports": {"@litertjs/core": "./litert/core/dist/index.js",
             "@litertjs/wasm-utils": "./litert/wasm-utils/dist/index.js"}}
</script>"""
# (address of the file, whether to take all threads, side, warm-up, runs) → {"ms" of each run, "threads"}.
LITERT = """async ([url, every, side, warmup, runs]) => {
  const { loadAndCompile, loadLiteRt, Tensor } = await import('@litertjs/core');
  const runtime = await loadLiteRt(new URL('litert/core/wasm/', document.baseURI).href, { threads: every });
  const content = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const model = await loadAndCompile(content, { accelerator: 'wasm' });
  const [{ name, dtype }] = model.getInputDetails();
  const Kind = { uint8: Uint8Array, float32: Float32Array }[dtype];
  const pixels = Kind.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 256);
  const ms = [];
  for (let n = 0; n < warmup + runs; n++) {
    const start = performance.now();
    const tensor = new Tensor(pixels, [1, side, side, 3]);
    const outputs = await model.run({ [name]: tensor });
    for (const output of Object.values(outputs)) { output.toTypedArray(); output.delete(); }
    tensor.delete();
    if (n >= warmup) ms.push(performance.now() - start);
  }
  return { ms, threads: every ? runtime.liteRtWasm.getThreadCount() : 1 };
}"""
ORT = """async ([url, every, side, warmup, runs]) => {
  const ort = await import(new URL('ort/ort.js', document.baseURI).href);
  const at = (file) => new URL(`ort/${file}`, document.baseURI).href;
  ort.env.wasm.wasmPaths = { mjs: at('wasm.js'), wasm: at('wasm.wasm') };
  ort.env.wasm.numThreads = every ? navigator.hardwareConcurrency : 1;
  const content = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const session = await ort.InferenceSession.create(content, { executionProviders: ['wasm'] });
  const pixels = Float32Array.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 256);
  const ms = [];
  for (let n = 0; n < warmup + runs; n++) {
    const start = performance.now();
    const outputs = await session.run({ pixels: new ort.Tensor('float32', pixels, [1, side, side, 3]) });
    for (const output of Object.values(outputs)) await output.getData();
    if (n >= warmup) ms.push(performance.now() - start);
  }
  return { ms, threads: ort.env.wasm.numThreads };
}"""
SCRIPTS = {".tflite": LITERT, ".onnx": ORT}


def write_cases(folder: Path, has_peer: bool) -> dict[str, Path]:
    """Write the files to `folder`; return them by case."""
    subject = Subject.random()
    cases = {f"kresnet {scheme}": ("tflite", scheme) for scheme in ("int8", "float32")}
    if has_peer:
        cases |= {"kresnet ONNX float32 in onnxruntime-web": ("onnx", "float32")}
        cases |= {"kresnet ONNX int8 in onnxruntime-web": ("onnx", "int8")}
    return {case: write_file(subject, *what, folder).files[0] for case, what in cases.items()}


def create_site(cases: dict[str, Path], ort: Path | None) -> Any:
    """Return the files and both runtimes, as a site."""
    from keras_resnet.export.demo.page import litert_js_files, require_litert_js
    from keras_resnet.export.demo.server import Site

    pages: dict[str, bytes | Path] = {"index.html": INDEX, **litert_js_files(require_litert_js())}
    if ort:
        dist = ort / "node_modules" / "onnxruntime-web" / "dist"
        pages["ort/ort.js"] = dist / "ort.wasm.min.mjs"
        pages["ort/wasm.js"] = dist / "ort-wasm-simd-threaded.mjs"
        pages["ort/wasm.wasm"] = dist / "ort-wasm-simd-threaded.wasm"
    # The ending tells a server the type; to a runtime it says nothing.
    return Site(pages | {f"files/{file.name}.tflite": file for file in cases.values()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ort", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    from keras_resnet.export.demo.page import LITERT_JS_VERSION
    from keras_resnet.export.demo.server import create_server

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        cases = write_cases(Path(folder), options.ort is not None)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        found: dict[tuple[str, bool], tuple[float, int]] = {}
        with create_server(create_site(cases, options.ort), 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/"
            for _ in range(options.rounds):
                for every in (False, True):
                    for case, file in cases.items():
                        page = browser.new_page()
                        page.goto(address)
                        arguments = [f"files/{file.name}.tflite", every, SIDE, WARMUP, RUNS]
                        measured = page.evaluate(SCRIPTS[file.suffix], arguments)
                        page.close()
                        now = sorted(measured["ms"])[RUNS // 2], measured["threads"]
                        found[case, every] = min(found.get((case, every), now), now)
            server.shutdown()
        version = browser.version
        browser.close()
    rows = []
    for case in cases:
        one, every = (found[case, uses_all][0] for uses_all in (False, True))
        rows.append([case, one, every, every / found["kresnet int8", True][0]])
    columns = [
        Column("one image at a time"),
        Column("1 thread, ms", ".1f"),
        Column(f"{found['kresnet int8', True][1]} threads, ms", ".1f"),
        Column("× time of kresnet int8", ".1f"),
    ]
    runtimes = f"headless Chromium {version}, LiteRT.js {LITERT_JS_VERSION}"
    if options.ort:
        runtimes += f", {read_peer_version(options.ort)}"
    note = f"{describe_rounds(options.rounds)} WebAssembly in {runtimes}."
    title = f"ResNet-50, {SIDE} × {SIDE} pixels, {CLASSES} classes, in a browser"
    publish([Table("browser", title, columns, rows, ("tensorflow", "keras"), note, options.rounds)], options.json)


def read_peer_version(ort: Path) -> str:
    """Return the name and version of onnxruntime-web in a folder of npm packages."""
    package = json.loads((ort / "node_modules" / "onnxruntime-web" / "package.json").read_text(encoding="utf-8"))
    return f"{package['name']} {package['version']}"


if __name__ == "__main__":
    main()
