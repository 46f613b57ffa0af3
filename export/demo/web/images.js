// Images, from wherever they come: files, samples, the camera.

import { decodeArray, isArray } from './arrays.js';
import { decodeImage, has16Bits, preprocess, readPixels, takesChannels } from './preprocess.js';
import { createPicture } from './visualize.js';

// The longer side of the picture that is shown, in pixels.
const SHOWN_SIDE = 2048;

/** An image that is shown and predicted. pixels: as `preprocess` takes them. sample: of run.json, or null. */
export class ShownImage {
  constructor(pixels, name, { note = '', sample = null } = {}) {
    this.pixels = pixels;
    this.name = name;
    this.note = note;
    this.sample = sample;
    this.inputs = new Map();
  }

  /** What can be drawn of it; made when it is first asked for. */
  get picture() {
    this.drawn ??= shrink(createPicture(this.pixels), SHOWN_SIDE);
    return this.drawn;
  }

  /** The pixels that a file with `card` gets; all files of a run get the same. */
  input(card) {
    const key = [card.preprocessing, card.resize, card.image_size, card.channels].join();
    if (!this.inputs.has(key)) this.inputs.set(key, preprocess(this.pixels, card));
    return this.inputs.get(key);
  }
}

function shrink(picture, side) {
  const scale = side / Math.max(picture.width, picture.height);
  if (scale >= 1) return picture;
  const [width, height] = [picture.width, picture.height].map((length) => Math.max(1, Math.round(length * scale)));
  const smaller = new OffscreenCanvas(width, height);
  const context = smaller.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, width, height);
  return smaller;
}

/** Reads an image file. run: run.json. Throws an Error that says what is wrong with it. */
export async function openImage(blob, name, run, sample = null) {
  const isNumbers = await isArray(blob);
  const shown = isNumbers ? await openArray(blob, name, run) : await openPicture(blob, name, run, sample);
  const { channels } = shown.pixels;
  if (!takesChannels(channels, run.channels)) {
    const hint = isNumbers ? '' : ' Give it .npy files.';
    throw new Error(`${name} has ${channels} channels, and the network takes ${run.channels}.${hint}`);
  }
  return shown;
}

async function openArray(blob, name, run) {
  const pixels = await decodeArray(blob, run.levels).catch((error) => {
    throw new Error(`${name} ${error instanceof RangeError ? 'is truncated.' : error.message}`);
  });
  const { width, height } = pixels;
  if (width * height > run.max_megapixels * 1e6) {
    throw new Error(`${name} has ${width} × ${height} pixels, more than the ${run.max_megapixels} megapixels that this page`
      + ' takes.');
  }
  return new ShownImage(pixels, name);
}

async function openPicture(blob, name, run, sample) {
  const [black, white] = run.levels;
  if (run.levels.length && (black !== 0 || white !== 65535) && (await has16Bits(blob))) {
    throw new Error(`${name} has 16 bits per channel, of which a browser keeps the upper 8; this network takes ${black} as`
      + ` black and ${white} as white. Use kresnet predict.`);
  }
  const pixels = await decodeImage(blob, run.max_megapixels * 1e6).catch((error) => {
    if (error instanceof RangeError) throw new Error(`${name} ${error.message}`);
    throw new Error(`${name} is not an image that this browser can read.`);
  });
  return new ShownImage(pixels, name, { note: await describeAnimation(blob), sample });
}

/** Of an animated image, which frame is seen; where the browser can tell. */
async function describeAnimation(blob) {
  if (!self.ImageDecoder || !(await ImageDecoder.isTypeSupported(blob.type))) return '';
  const decoder = new ImageDecoder({ data: await blob.arrayBuffer(), type: blob.type });
  try {
    await decoder.tracks.ready;
    await decoder.completed;
    const frames = decoder.tracks.selectedTrack?.frameCount ?? 1;
    return frames > 1 ? `the first of ${frames} frames` : '';
  } catch {
    return '';
  } finally {
    decoder.close();
  }
}

/** A camera, and whether it films. */
export class Camera {
  constructor(video) {
    this.video = video;
  }

  get isFilming() {
    return Boolean(this.video.srcObject);
  }

  async start() {
    if (!navigator.mediaDevices) {
      throw new Error('A browser gives its camera to pages at https:// or localhost alone.');
    }
    try {
      this.video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    } catch (error) {
      throw new Error(`There is no camera that this page may use (${error.name}).`);
    }
    await this.video.play();
  }

  frame() {
    const { video } = this;
    return new ShownImage(readPixels(video, video.videoWidth, video.videoHeight), 'camera');
  }

  stop() {
    for (const track of this.video.srcObject?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
  }
}
