// What the page says to kresnet, by the address that it was opened at.

import { pack, unpack } from './messages.js';

const RETRY_SECONDS = 2;

/** kresnet gives the work to another page, or has taken it back: the page has to ask again for a place. */
export class LostPlaceError extends Error {}

/** kresnet refuses what this page sent. */
export class RejectedError extends Error {}

const pause = (seconds) => new Promise((done) => {
  setTimeout(done, 1000 * seconds);
});

export class Connection {
  /** onLost, onFound: called when kresnet cannot be reached, and can again. */
  constructor(onLost, onFound) {
    this.id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, '0')).join('');
    this.job = 0;
    this.onLost = onLost;
    this.onFound = onFound;
    addEventListener('pagehide', () => navigator.sendBeacon(this.url('leave')));
    // What a browser kept in memory has lost its place, and its worker.
    addEventListener('pageshow', (event) => (event.persisted ? location.reload() : null));
    this.worker = new Worker('alive.js');
    this.worker.postMessage(new URL(this.url('alive'), location.href).href);
  }

  url(action) {
    return `${action}?page=${this.id}&job=${this.job}`;
  }

  /** Asks for work, until there is some: what kresnet says of it. onWait: called with a sentence meanwhile. */
  async greet(agent, onWait) {
    for (;;) {
      try {
        const response = await this.request('hello', JSON.stringify({ agent }));
        const work = await response.json();
        if (work.state !== 'waiting') {
          this.job = work.job ?? 0;
          return work;
        }
        onWait('Waiting for kresnet …');
      } catch (error) {
        if (!(error instanceof LostPlaceError)) throw error;
        onWait(error.message);
      }
      await pause(RETRY_SECONDS);
    }
  }

  /** What is to be done next: {head, payload}. */
  async next() {
    for (;;) {
      const response = await this.request('next');
      if (response.status !== 204) return unpack(await response.arrayBuffer());
    }
  }

  /** Sends a message. parts: typed arrays. */
  async answer(head, parts = []) {
    await this.request('answer', pack(head, parts));
  }

  /** The file that is to be run. */
  async fetchModel() {
    return new Uint8Array(await (await this.request('model.tflite')).arrayBuffer());
  }

  /** One request, again and again where kresnet cannot be reached. */
  async request(action, body = null) {
    for (;;) {
      const response = await fetch(this.url(action), body === null ? {} : { method: 'POST', body }).catch(() => null);
      if (response) this.onFound();
      else this.onLost();
      if (response?.status === 409) throw new LostPlaceError(await response.text());
      if (response?.ok) return response;
      if (response) throw new RejectedError((await response.text()).trim());
      await pause(RETRY_SECONDS);
    }
  }
}
