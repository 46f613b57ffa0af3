// From an image to the pixels that a network sees, as keras_resnet/runtime/preprocess.py and Pillow make them: the same
// filter, fixed-point weights and rounding, so that a file predicts here what it does in Python.
//
// An image is {data, width, height, channels}: data, row by row, is a Uint8Array or a Float32Array.

const WEIGHT_BITS = 22;

const BICUBIC = {
  reach: 2,
  weight(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  },
};
export const BILINEAR = { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

/** Python's round(): halves go to the even neighbour. */
function roundHalfEven(x) {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

/** Of each of `count` results along one side of `length`, seen from `start` to `end`: {first, weights}. */
function computeWeights(length, start, end, count, filter) {
  const scale = Math.fround(end - start) / count;
  const stretch = Math.max(scale, 1);
  const reach = filter.reach * stretch;
  return Array.from({ length: count }, (_, place) => {
    const center = start + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const last = Math.min(length, Math.trunc(center + reach + 0.5));
    const weights = new Float64Array(last - first);
    for (let i = 0; i < weights.length; i++) weights[i] = filter.weight((i + first - center + 0.5) / stretch);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: sum ? weights.map((weight) => weight / sum) : weights };
  });
}

/** Returns weights in fixed point, as whole numbers. */
function toFixedPoint({ first, weights }) {
  return { first, weights: weights.map((w) => Math.trunc(w * 2 ** WEIGHT_BITS + (w < 0 ? -0.5 : 0.5))) };
}

/** One pass of a separable filter: `parts` of lines that start at `starts` and go on in steps of `stride`. */
function pass(source, target, parts, lines, stride) {
  const whole = source instanceof Uint8Array;
  const columns = whole ? parts.map(toFixedPoint) : parts;
  for (const { from, to, step } of lines) {
    columns.forEach(({ first, weights }, place) => {
      let sum = whole ? 2 ** (WEIGHT_BITS - 1) : 0;
      let at = from + first * stride;
      for (let i = 0; i < weights.length; i++, at += stride) sum += source[at] * weights[i];
      target[to + place * step] = whole ? Math.max(0, Math.min(255, sum >> WEIGHT_BITS)) : sum;
    });
  }
}

/** The columns `left` to `right` of an image, brought to `width`. */
function resizeColumns(image, left, right, width, filter) {
  if (width === image.width && left === 0 && right === image.width) return image;
  const { channels, height } = image;
  const data = new image.data.constructor(width * height * channels);
  const lines = [];
  for (let y = 0; y < height; y++) {
    for (let c = 0; c < channels; c++) {
      lines.push({ from: y * image.width * channels + c, to: y * width * channels + c, step: channels });
    }
  }
  pass(image.data, data, computeWeights(image.width, left, right, width, filter), lines, channels);
  return { data, width, height, channels };
}

/** The rows `top` to `bottom` of an image, brought to `height`. */
function resizeRows(image, top, bottom, height, filter) {
  if (height === image.height && top === 0 && bottom === image.height) return image;
  const { channels, width } = image;
  const stride = width * channels;
  const data = new image.data.constructor(stride * height);
  const lines = Array.from({ length: stride }, (_, x) => ({ from: x, to: x, step: stride }));
  pass(image.data, data, computeWeights(image.height, top, bottom, height, filter), lines, stride);
  return { data, width, height, channels };
}

/** Whether Pillow, from version 13 on, brings an image to its height before its width: the height shrinks by more than
 * twice as many pixels. Each order rounds otherwise. */
function heightFirst(image, width, height) {
  const lost = image.height - height;
  return lost > 0 && lost > 2 * (image.width - width);
}

/** The part `box` ([left, top, right, bottom], in pixels) of an image, brought to width × height: the width first, but
 * if `newer` in the order of Pillow 13. */
export function resize(image, width, height, filter = BICUBIC, box = fullBox(image), newer = true) {
  const [left, top, right, bottom] = box.map(Math.fround);
  const narrow = (each) => resizeColumns(each, left, right, width, filter);
  const low = (each) => resizeRows(each, top, bottom, height, filter);
  return newer && heightFirst(image, width, height) ? narrow(low(image)) : low(narrow(image));
}

function fullBox({ width, height }) {
  return [0, 0, width, height];
}

/** Copies `part` to (left, top) of a canvas, which may cut it: both of as many channels. */
function paste(canvas, part, left, top) {
  const { channels } = canvas;
  for (let y = 0; y < part.height; y++) {
    const row = y + top;
    if (row < 0 || row >= canvas.height) continue;
    for (let x = 0; x < part.width; x++) {
      const column = x + left;
      if (column < 0 || column >= canvas.width) continue;
      for (let c = 0; c < channels; c++) {
        canvas.data[(row * canvas.width + column) * channels + c] = part.data[(y * part.width + x) * channels + c];
      }
    }
  }
  return canvas;
}

function createBlack(width, height, channels) {
  return { data: new Uint8Array(width * height * channels), width, height, channels };
}

/** Whether an image of `found` channels serves a network that takes `wanted`: gray and colors become each other. */
export function takesChannels(found, wanted) {
  return found === wanted || [found, wanted].every((each) => each === 1 || each === 3);
}

/** An image of as many channels as a network takes: of colors their luma (ITU-R 601-2), as Pillow rounds it, or of gray
 * three times the same. */
function toChannels(image, channels) {
  if (image.channels === channels) return image;
  const { width, height } = image;
  const data = new Uint8Array(width * height * channels);
  for (let at = 0, from = 0; from < image.data.length; at++, from += image.channels) {
    const [red, green, blue] = image.data.subarray(from, from + 3);
    if (channels === 1) data[at] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    else data.fill(red, at * channels, (at + 1) * channels);
  }
  return { data, width, height, channels };
}

/** [height, width] of a size as a file has it: of a square its side alone. */
export const sidesOf = (size) => (Array.isArray(size) ? size : [size, size]);

/** The part of an image of width × height that has the proportions of `target`, [height, width]: [left, top, right,
 * bottom], as Pillow's ImageOps.fit takes it. */
export function middleOf(width, height, [targetHeight, targetWidth]) {
  const [ratio, wanted] = [width / height, targetWidth / targetHeight];
  let [w, h] = [width, height];
  if (ratio > wanted) w = wanted * height;
  else if (ratio < wanted) h = width / wanted;
  const [left, top] = [(width - w) * 0.5, (height - h) * 0.5];
  return [left, top, left + w, top + h];
}

/** [height, width] of a whole image that just fits into `target`. */
export function fitInto(width, height, [targetHeight, targetWidth]) {
  const scale = Math.min(targetWidth / width, targetHeight / height);
  return [height, width].map((length) => Math.max(1, roundHalfEven(length * scale)));
}

/** The evaluation transform: an RGB image → what the network takes. card: {preprocessing, resize, image_size, channels} of
 * the file, and whether it is to be as `pillow_13` makes it. */
export function preprocess(source, card) {
  const image = toChannels(source, card.channels ?? 3);
  const { width, height, channels } = image;
  const cut = sidesOf(card.image_size);
  const to = ([h, w], box = fullBox(image)) => resize(image, w, h, BICUBIC, box, card.pillow_13);
  const black = createBlack(cut[1], cut[0], channels);
  if (card.preprocessing === 'letterbox') return paste(black, to(fitInto(width, height, cut)), 0, 0);
  if (card.preprocessing === 'stretch') return to(cut);
  const whole = sidesOf(card.resize);
  const [top, left] = [0, 1].map((side) => -Math.floor((whole[side] - cut[side]) / 2));
  return paste(black, to(whole, middleOf(width, height, whole)), left, top);
}

/** What stands on a canvas, ImageBitmap or video, over white: RGB. */
export function readPixels(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    data[to] = rgba[from];
    data[to + 1] = rgba[from + 1];
    data[to + 2] = rgba[from + 2];
  }
  return { data, width, height, channels: 3 };
}

/** An image file, upright and over white, without a change of its colors: RGB. Throws a RangeError for one of more than
 * `most` pixels. */
export async function decodeImage(blob, most = Infinity) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const webp = readText(bytes, 0, 4) === 'RIFF' && readText(bytes, 8, 4) === 'WEBP';
  const bitmap = await createImageBitmap(blob, {
    // Chromium turns files of other formats, and leaves WebP as it lies.
    imageOrientation: webp ? 'none' : 'from-image',
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });
  const { width, height } = bitmap;
  if (width * height > most) {
    bitmap.close();
    throw new RangeError(`has ${width} × ${height} pixels, more than the ${most / 1e6} megapixels that this page takes.`);
  }
  const image = readPixels(bitmap, width, height);
  bitmap.close();
  return webp ? applyOrientation(image, readOrientation(findExif(bytes))) : image;
}

/** Whether a file is PNG of 16 bits a channel, of which a canvas keeps the upper 8. */
export async function has16Bits(blob) {
  const bytes = new Uint8Array(await blob.slice(0, 25).arrayBuffer());
  return readText(bytes, 1, 3) === 'PNG' && readText(bytes, 12, 4) === 'IHDR' && bytes[24] === 16;
}

function readText(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** The EXIF block of a WebP file; empty where there is none. */
function findExif(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    if (readText(bytes, at, 4) === 'EXIF') return bytes.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  return bytes.subarray(0, 0);
}

/** What an EXIF block says of how an image lies: 1 to 8, and 1 where it says nothing. */
function readOrientation(block) {
  const start = readText(block, 0, 4) === 'Exif' ? 6 : 0;
  const view = new DataView(block.buffer, block.byteOffset + start, Math.max(0, block.length - start));
  const little = readText(block, start, 2) === 'II';
  try {
    const directory = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(directory, little); entry++) {
      const at = directory + 2 + 12 * entry;
      const isOrientation = view.getUint16(at, little) === 0x0112 && view.getUint16(at + 2, little) === 3;
      const value = isOrientation ? view.getUint16(at + 8, little) : 0;
      if (value >= 1 && value <= 8) return value;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the block ends before it has said so
  }
  return 1;
}

/** An RGB image brought upright, by EXIF's number of how it lies. */
function applyOrientation(image, orientation) {
  const { width: w, height: h, channels } = image;
  const end = w * h - 1;
  // Where the first pixel comes from, and how far from it the next to the right and the next below are.
  const [first, right, below] = {
    1: [0, 1, w],
    2: [w - 1, -1, w],
    3: [end, -1, -w],
    4: [end - w + 1, 1, -w],
    5: [0, w, 1],
    6: [end - w + 1, -w, 1],
    7: [end, -w, -1],
    8: [w - 1, w, -1],
  }[orientation];
  const [width, height] = orientation > 4 ? [h, w] : [w, h];
  const data = new Uint8Array(image.data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (first + x * right + y * below) * channels;
      for (let c = 0; c < channels; c++) data[to++] = image.data[from + c];
    }
  }
  return { data, width, height, channels };
}
