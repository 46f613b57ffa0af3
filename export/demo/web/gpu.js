// The runtime of WebGPU, in a frame of its own: LiteRT.js is loaded once for each page, and its build with threads, for
// WebAssembly, cannot wait for a GPU in the middle of a network, which its build with JSPI can.

import { loadLiteRt, supportsFeature } from '@litertjs/core';

import { Network } from './network.js';

async function start() {
  const jspi = await supportsFeature('jspi');
  await loadLiteRt(new URL('litert/core/wasm/', document.baseURI).href, { jspi });
  return Network;
}

window.started = start();
