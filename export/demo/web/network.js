// One .tflite file, run by LiteRT.js: in WebAssembly, or on the GPU by WebGPU.

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from '@litertjs/core';

import { decodeObjects, labelSet, topK } from './postprocess.js';

// Latencies of which the median is shown.
const LATENCIES_KEPT = 50;

/** What runs files in WebAssembly, with several threads where the browser gives them: {threads, gpu}. gpu: the name of
 * the one for WebGPU, "" where there is none. */
export async function startRuntime() {
  const threads = self.crossOriginIsolated && (await supportsFeature('threads'));
  const runtime = await loadLiteRt(new URL('litert/core/wasm/', document.baseURI).href, { threads });
  return { threads: threads ? runtime.liteRtWasm.getThreadCount() : 1, gpu: await findGpu() };
}

let gpuNetwork = null;

/** Opens a file, as `Network.open`, in the runtime of its accelerator: that of gpu.js is loaded when it is first asked. */
export async function openNetwork(about, constants, accelerator) {
  if (accelerator === 'wasm') return Network.open(about, constants, accelerator);
  gpuNetwork ??= loadGpuFrame();
  return (await gpuNetwork).open(about, constants, accelerator);
}

async function loadGpuFrame() {
  const frame = document.createElement('iframe');
  Object.assign(frame, { src: 'gpu.html', title: 'WebGPU', hidden: true });
  const loaded = new Promise((done) => {
    frame.addEventListener('load', done, { once: true });
  });
  document.body.append(frame);
  await loaded;
  return frame.contentWindow.started;
}

async function findGpu() {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  return adapter ? nameGpu(adapter) : '';
}

/** What an adapter of WebGPU calls itself. */
export function nameGpu(adapter) {
  const { vendor, architecture, description } = adapter.info ?? {};
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'GPU';
}

export class Network {
  /** about: the file as run.json describes it. constants: of postprocess.js. accelerator: "wasm" or "webgpu". */
  static async open(about, constants, accelerator) {
    const response = await fetch(about.url);
    if (!response.ok) throw new Error(`${about.file} cannot be read: ${response.status} ${response.statusText}`);
    return Network.compile(new Uint8Array(await response.arrayBuffer()), about, constants, { accelerator });
  }

  /** As `open`, of the content of the file. options: of LiteRT.js. */
  static async compile(content, about, constants, options) {
    return new Network(about, constants, options.accelerator, await loadAndCompile(content, options));
  }

  constructor(about, constants, accelerator, model) {
    this.about = about;
    this.constants = constants;
    this.model = model;
    this.input = model.getInputDetails()[0];
    // LiteRT.js runs what WebGPU cannot, a part or all of a file, in WebAssembly.
    this.isOnCpu = accelerator === 'webgpu' && model.options.accelerator === 'wasm';
    this.isPartlyOnCpu = accelerator === 'webgpu' && !this.isOnCpu && !model.isFullyAccelerated;
    this.first = null;
    this.latencies = [];
  }

  /** An image of images.js → {outputs, predictions, milliseconds}: of the file, decoded, and how long it took. */
  async predict(image, threshold) {
    const { outputs, milliseconds } = await this.run(image.input(this.about.card).data);
    if (this.first === null) this.first = milliseconds;
    else this.latencies = [...this.latencies, milliseconds].slice(-LATENCIES_KEPT);
    return { outputs, predictions: this.decode(outputs, image.pixels, threshold), milliseconds };
  }

  /** Labels, or objects of at least `threshold`, in an image of width × height; null: of the thresholds of the file.
   * slack: how much lower they may be. */
  decode(outputs, { width, height }, threshold, slack = 0) {
    const { card } = this.about;
    if (card.postprocessing === 'label_set') return labelSet(outputs.logits.data, card);
    return card.postprocessing === 'top_k'
      ? topK(outputs.logits.data, card, this.constants.top_k)
      : decodeObjects(outputs, card, width, height, this.constants, threshold, slack);
  }

  /** uint8 pixels of the network's size → outputs by name in floats, and the milliseconds until they are here. */
  async run(pixels) {
    const { raw, milliseconds } = await this.compute(pixels);
    return { outputs: this.toFloats(raw), milliseconds };
  }

  /** As `run`, with the outputs as the file has them: {shape, values} by name. */
  async compute(pixels) {
    // Arrays of the frame that this runs in, as LiteRT.js asks for.
    const values = this.input.dtype === 'uint8' ? Uint8Array.from(pixels) : Float32Array.from(pixels);
    const tensor = new Tensor(values, Array.from(this.input.shape));
    try {
      const start = performance.now();
      const results = await this.model.run({ [this.input.name]: tensor });
      // A GPU has not answered before its results are read.
      const raw = await readOutputs(results);
      const milliseconds = performance.now() - start;
      return { raw, milliseconds };
    } finally {
      tensor.delete();
    }
  }

  toFloats(raw) {
    return Object.fromEntries(Object.entries(raw).map(([name, { shape, values }]) => {
      const { scale, zero_point: zeroPoint } = this.about.outputs[name];
      const data = scale ? Float32Array.from(values, (x) => (x - zeroPoint) * scale) : Float32Array.from(values);
      return [name, { shape, data }];
    }));
  }

  close() {
    this.model.delete();
  }
}

async function readOutputs(results) {
  const raw = {};
  for (const [name, tensor] of Object.entries(results)) {
    raw[name] = { shape: Array.from(tensor.type.layout.dimensions).slice(1), values: await tensor.data() };
    tensor.delete();
  }
  return raw;
}
