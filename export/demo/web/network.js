// One .tflite file, run by LiteRT.js (WebAssembly).

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from '@litertjs/core';

import { likeliest, objectsOf } from './postprocess.js';
import { placed } from './preprocess.js';

/** Loads the runtime, with several threads where the browser gives them. Returns how many. */
export async function startRuntime() {
  const threads = self.crossOriginIsolated && (await supportsFeature('threads'));
  const runtime = await loadLiteRt(new URL('litert/core/wasm/', document.baseURI).href, { threads });
  return threads ? runtime.liteRtWasm.getThreadCount() : 1;
}

export class Network {
  /** about: the file as run.json describes it. rules: the constants of detections. */
  static async open(about, rules) {
    const response = await fetch(about.url);
    if (!response.ok) throw new Error(`${about.file} cannot be read: ${response.status} ${response.statusText}`);
    const content = new Uint8Array(await response.arrayBuffer());
    return new Network(about, rules, await loadAndCompile(content, { accelerator: 'wasm' }));
  }

  constructor(about, rules, model) {
    this.about = about;
    this.rules = rules;
    this.model = model;
    this.input = model.getInputDetails()[0];
  }

  /** An RGB image → {outputs, found, milliseconds}: what the file says, what that means, and how long it took. */
  async answer(image) {
    const { card } = this.about;
    const { outputs, milliseconds } = await this.run(placed(image, card).data);
    const found = card.postprocessing === 'top_k'
      ? likeliest(outputs.logits.data, card.labels, this.rules.named)
      : objectsOf(outputs, card, image.width, image.height, this.rules);
    return { outputs, found, milliseconds };
  }

  /** uint8 pixels of the network's size → outputs by name in floats, and the milliseconds of the inference. */
  async run(pixels) {
    const values = this.input.dtype === 'uint8' ? pixels : Float32Array.from(pixels);
    const tensor = new Tensor(values, Array.from(this.input.shape));
    try {
      const begun = performance.now();
      const answered = await this.model.run({ [this.input.name]: tensor });
      const milliseconds = performance.now() - begun;
      return { outputs: await this.floats(answered), milliseconds };
    } finally {
      tensor.delete();
    }
  }

  async floats(answered) {
    const outputs = {};
    for (const [name, tensor] of Object.entries(answered)) {
      const { scale, zero_point: zero } = this.about.outputs[name];
      const shape = Array.from(tensor.type.layout.dimensions).slice(1);
      const raw = await tensor.data();
      outputs[name] = { shape, data: scale ? Float32Array.from(raw, (x) => (x - zero) * scale) : Float32Array.from(raw) };
      tensor.delete();
    }
    return outputs;
  }

  close() {
    this.model.delete();
  }
}
