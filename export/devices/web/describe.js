// What a page knows of its browser and of the machine.

import { nameGpu } from './network.js';

const MAX_WARNINGS = 20;
const MAX_LETTERS = 300;
// What LiteRT says of its own accord, and of GPUs that nobody asked for.
const NOTES = /^(INFO|VERBOSE):|^I\d{4} |npu_registry|Failed to create default WebGPU device/;
// Time, thread and place in LiteRT's source.
const ORIGIN = /^[WEF]\d{4} [\d:.]+ +\d+ \S+\] /;

/** {agent, model, cores, memory, isolated}: memory in GiB, as far as browsers tell. */
export async function describeBrowser() {
  const hints = await navigator.userAgentData?.getHighEntropyValues?.(['model', 'platformVersion']).catch(() => null);
  return {
    agent: navigator.userAgent,
    model: hints?.model ?? '',
    cores: navigator.hardwareConcurrency ?? 0,
    memory: navigator.deviceMemory ?? 0,
    isolated: self.crossOriginIsolated === true,
  };
}

/** {gpu, software}: of WebGPU, and whether the CPU computes it. Throws an Error where there is none. */
export async function describeGpu() {
  if (!self.isSecureContext) {
    throw new Error('this page has no WebGPU, because browsers give it to https and localhost alone; see adb reverse');
  }
  if (!navigator.gpu) throw new Error('this browser has no WebGPU');
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) throw new Error('WebGPU does not start in this browser: it finds no GPU that it may use');
  return { gpu: nameGpu(adapter), software: Boolean(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter) };
}

/** Keeps what LiteRT and the browser complain of. */
export class Complaints {
  constructor() {
    this.warnings = [];
    for (const level of ['error', 'warn']) {
      const former = console[level].bind(console);
      console[level] = (...words) => {
        this.add(words.map((each) => each?.message ?? String(each)).join(' '));
        former(...words);
      };
    }
  }

  add(words) {
    const line = words.replace(/%c/g, '').replace(/\s+/g, ' ').trim().replace(ORIGIN, '').slice(0, MAX_LETTERS);
    if (line && !NOTES.test(line) && !this.warnings.includes(line) && this.warnings.length < MAX_WARNINGS) {
      this.warnings.push(line);
    }
  }
}
