"""One image through a ResNet-50 of 224 pixels in headless Chromium: our files in LiteRT.js, and beside them the same
network as ONNX in onnxruntime-web, interleaved. Both compute in WebAssembly.

    scripts/web
    python benchmarks/browser.py [--ort FOLDER] [--rounds 3]

FOLDER is where `npm install --prefix FOLDER onnxruntime-web` put its packages; without it there is no peer. Needed are
Chromium and the Python package playwright. Weights are random: time and size do not depend on them. Each measurement
has a page of its own; the median of the best round counts. Files of keras.applications'
network, converted the default way, are left out: their batch is open, which LiteRT.js refuses.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from edge import RUNS, SIDE, WARMUP, write_files

INDEX = b"""<!doctype html><title>benchmark</title><link rel="icon" href="data:,"><script type="importmap">
{"imports": {"@litertjs/core": "./litert/core/dist/index.js",
             "@litertjs/wasm-utils": "./litert/wasm-utils/dist/index.js"}}
</script>"""
# (address of the file, whether to take all threads, side, warm-up, runs) -> {"ms" of each run, "threads"}.
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


def site_of(cases: list[tuple[str, Path, float]], ort: Path | None) -> Any:
    """The files and both runtimes, as a site."""
    from keras_resnet.export.demo.page import litert_js_files, require_litert_js
    from keras_resnet.export.demo.server import Site

    pages: dict[str, bytes | Path] = {"index.html": INDEX, **litert_js_files(require_litert_js())}
    if ort:
        dist = ort / "node_modules" / "onnxruntime-web" / "dist"
        pages["ort/ort.js"] = dist / "ort.wasm.min.mjs"
        pages["ort/wasm.js"] = dist / "ort-wasm-simd-threaded.mjs"
        pages["ort/wasm.wasm"] = dist / "ort-wasm-simd-threaded.wasm"
    # The ending tells a server the type; to a runtime it says nothing.
    return Site(pages | {f"files/{file.name}.tflite": file for _, file, _ in cases})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ort", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    from keras_resnet.cli import console
    from keras_resnet.export.demo.server import create_server

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        kinds = (".tflite", ".onnx") if options.ort else (".tflite",)
        made = [case for case in write_files(Path(folder)) if case[0].startswith("kresnet")]
        cases = [case for case in made if case[1].suffix in kinds]
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        found: dict[tuple[str, bool], tuple[float, int]] = {}
        with create_server(site_of(cases, options.ort), 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/"
            for _ in range(options.rounds):
                for every in (False, True):
                    for case, file, _ in cases:
                        page = browser.new_page()
                        page.goto(address)
                        asked = [f"files/{file.name}.tflite", every, SIDE, WARMUP, RUNS]
                        told = page.evaluate(SCRIPTS[file.suffix], asked)
                        page.close()
                        now = sorted(told["ms"])[RUNS // 2], told["threads"]
                        found[case, every] = min(found.get((case, every), now), now)
            server.shutdown()
        version = browser.version
        browser.close()
    rows = []
    for case, _, _ in cases:
        ratio = found["kresnet int8", True][0] / found[case, True][0]
        rows.append([case, *(f"{found[case, every][0]:.1f} ms" for every in (False, True)), f"{ratio:.2f}"])
    threads = found["kresnet int8", True][1]
    columns = ["case", "1 thread", f"{threads} threads", "int8 ÷ this"]
    console.print_table(f"ResNet-50, {SIDE} pixels, one image, Chromium {version}", columns, rows)


if __name__ == "__main__":
    main()
