// One file, loaded, and what is computed with it.

import { getWebGpuDevice, loadLiteRt, supportsFeature } from '@litertjs/core';

import { crc32 } from './messages.js';
import { median } from './format.js';
import { Network } from './network.js';

// Milliseconds after which a page lets the browser draw.
const FRAME = 100;

/** Lets the browser draw; timers of pages in the background would be late. */
const nextFrame = () => new Promise((done) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = done;
  port2.postMessage(null);
});

export class Runner {
  /** Loads the file of `job`, as kresnet describes it. complaints: takes what a GPU says. onLost: called with a sentence
   * when the GPU is gone. */
  static async load(content, job, complaints, onLost) {
    if (content.length !== job.bytes || crc32(content) !== job.crc32) {
      throw new Error('the file arrived damaged: its checksum is another one');
    }
    const isGpu = job.accelerator === 'webgpu';
    const start = performance.now();
    const runtime = await loadLiteRt(new URL('litert/core/wasm/', document.baseURI).href, await chooseBuild(job, isGpu));
    if (isGpu) watchGpu(complaints, onLost);
    const available = runtime.liteRtWasm.getThreadCount();
    const threads = Math.max(1, Math.min(job.threads ?? available, available));
    const options = { accelerator: job.accelerator, cpuOptions: { numThreads: threads } };
    const network = await Network.compile(content, job, {}, options);
    return new Runner(runtime, network, { threads, load_ms: performance.now() - start });
  }

  /** about: threads, and the milliseconds that LiteRT.js and the file took to load. */
  constructor(runtime, network, about) {
    this.runtime = runtime;
    this.network = network;
    this.about = about;
    this.first = null;
  }

  /** Which part of the file runs in WebAssembly though WebGPU was asked for. */
  get fallback() {
    if (this.network.isOnCpu) return 'all';
    return this.network.isPartlyOnCpu ? 'some' : 'none';
  }

  /** Bytes of WebAssembly's memory: LiteRT.js and the file; it never shrinks. */
  get memory() {
    return this.runtime.liteRtWasm.HEAPU8.byteLength;
  }

  /** Pixels of all images → {arrays, parts, first_ms}: what the file makes of them, as messages have it.
   * report: called with the number of images that are done, now and then. */
  async run(pixels, shape, report) {
    const batch = this.network.input.shape[0];
    const size = pixels.length / shape[0] * batch;
    const found = [];
    let drawn = performance.now();
    for (let start = 0; start < pixels.length; start += size) {
      const { raw, milliseconds } = await this.network.compute(pixels.subarray(start, start + size));
      this.first ??= milliseconds;
      found.push(raw);
      if (performance.now() - drawn > FRAME) {
        await report(found.length * batch);
        await nextFrame();
        drawn = performance.now();
      }
    }
    const outputs = Object.keys(found[0]).map((name) => join(name, found, shape[0]));
    return {
      arrays: outputs.map(({ name, dtype, shape: each }) => ({ name, dtype, shape: each })),
      parts: outputs.map(({ values }) => values),
      first_ms: this.first,
    };
  }

  /** Times one image after another: {times, elapsed, windows, memory}, in milliseconds and bytes; as `head` says.
   * report: called now and then with the seconds that a long measurement has
   * taken, and is to take. */
  async measure(pixels, head, report) {
    const batch = this.network.input.shape[0];
    const count = head.shape[0];
    const size = pixels.length / count;
    const images = Array.from({ length: count }, (_, row) => repeat(pixels.subarray(row * size, (row + 1) * size), batch));
    const time = async (row) => (await this.network.compute(images[row % count])).milliseconds;
    for (let i = 0; i < head.warmup; i++) await time(0);
    const times = [];
    const start = performance.now();
    const goesOn = () => times.length < head.min_runs
      || (times.length < head.max_runs && performance.now() - start < 1000 * head.max_seconds);
    while (goesOn()) times.push(await time(times.length));
    const elapsed = performance.now() - start;
    const windows = await this.measureWindows(head, () => time(0), report);
    return { times, elapsed, windows, memory: this.memory };
  }

  async measureWindows({ seconds, window }, time, report) {
    const windows = [];
    const start = performance.now();
    while (performance.now() - start < 1000 * seconds) {
      const until = performance.now() + 1000 * window;
      const times = [await time()];
      while (performance.now() < until) times.push(await time());
      windows.push(median(times));
      await report(Math.min((performance.now() - start) / 1000, seconds), seconds);
      await nextFrame();
    }
    return windows;
  }
}

/** Which build of LiteRT.js: with threads, where the page may have them, for WebAssembly; with JSPI for WebGPU. */
async function chooseBuild(job, isGpu) {
  if (isGpu) return { jspi: await supportsFeature('jspi') };
  const isPossible = self.crossOriginIsolated && (await supportsFeature('threads')) && (await supportsFeature('relaxedSimd'));
  return { threads: isPossible && job.threads !== 1 };
}

function watchGpu(complaints, onLost) {
  const device = getWebGpuDevice();
  if (!device) throw new Error('WebGPU does not start in this browser: it gives no device');
  device.addEventListener('uncapturederror', ({ error }) => complaints.add(`WebGPU: ${error.message}`));
  device.lost.then(({ message, reason }) => reason !== 'destroyed' && onLost(`the GPU is gone: ${message || reason}`));
}

/** One output of many calls: {name, dtype, shape, values}. */
function join(name, found, count) {
  const [{ shape, values: first }] = found.map((raw) => raw[name]);
  const values = new first.constructor(found.reduce((sum, raw) => sum + raw[name].values.length, 0));
  let at = 0;
  for (const raw of found) {
    values.set(raw[name].values, at);
    at += raw[name].values.length;
  }
  return { name, dtype: first.constructor.name.replace('Array', '').toLowerCase(), shape: [count, ...shape], values };
}

function repeat(pixels, times) {
  const repeated = new Uint8Array(pixels.length * times);
  for (let i = 0; i < times; i++) repeated.set(pixels, i * pixels.length);
  return repeated;
}
