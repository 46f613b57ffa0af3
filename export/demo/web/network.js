// One .tflite file, run by LiteRT.js (WebAssembly).

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from '@litertjs/core';

import { decodeObjects, topK } from './postprocess.js';
import { preprocess } from './preprocess.js';

/** Loads the runtime, with several threads where the browser gives them. Returns how many. */
export async function startRuntime() {
  const threads = self.crossOriginIsolated && (await supportsFeature('threads'));
  const runtime = await loadLiteRt(new URL('litert/core/wasm/', document.baseURI).href, { threads });
  return threads ? runtime.liteRtWasm.getThreadCount() : 1;
}

export class Network {
  /** about: the file as run.json describes it. constants: of postprocess.js. */
  static async open(about, constants) {
    const response = await fetch(about.url);
    if (!response.ok) throw new Error(`${about.file} cannot be read: ${response.status} ${response.statusText}`);
    const content = new Uint8Array(await response.arrayBuffer());
    return new Network(about, constants, await loadAndCompile(content, { accelerator: 'wasm' }));
  }

  constructor(about, constants, model) {
    this.about = about;
    this.constants = constants;
    this.model = model;
    this.input = model.getInputDetails()[0];
  }

  /** An RGB image → {outputs, predictions, milliseconds}: of the file, decoded, and how long the inference took. */
  async predict(image) {
    const { card } = this.about;
    const { outputs, milliseconds } = await this.run(preprocess(image, card).data);
    const predictions = card.postprocessing === 'top_k'
      ? topK(outputs.logits.data, card.labels, this.constants.top_k)
      : decodeObjects(outputs, card, image.width, image.height, this.constants);
    return { outputs, predictions, milliseconds };
  }

  /** uint8 pixels of the network's size → outputs by name in floats, and the milliseconds of the inference. */
  async run(pixels) {
    const values = this.input.dtype === 'uint8' ? pixels : Float32Array.from(pixels);
    const tensor = new Tensor(values, Array.from(this.input.shape));
    try {
      const start = performance.now();
      const results = await this.model.run({ [this.input.name]: tensor });
      const milliseconds = performance.now() - start;
      return { outputs: await this.floats(results), milliseconds };
    } finally {
      tensor.delete();
    }
  }

  async floats(results) {
    const outputs = {};
    for (const [name, tensor] of Object.entries(results)) {
      const { scale, zero_point: zeroPoint } = this.about.outputs[name];
      const shape = Array.from(tensor.type.layout.dimensions).slice(1);
      const raw = await tensor.data();
      const data = scale ? Float32Array.from(raw, (x) => (x - zeroPoint) * scale) : Float32Array.from(raw);
      outputs[name] = { shape, data };
      tensor.delete();
    }
    return outputs;
  }

  close() {
    this.model.delete();
  }
}
