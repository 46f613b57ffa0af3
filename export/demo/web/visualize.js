// Predictions drawn into a canvas, in the colors of keras_resnet/runtime/visualize.py.

import { placeLabels } from './labels.js';

const MASK_ALPHA = 115;
// An image that is enlarged this much shows its pixels.
const TINY = 4;
// Of a color, above which black letters are easier to read on it than white ones (WCAG 2's relative luminance).
const BRIGHT = 0.179;

/** The same for a label each time. */
export function labelColor(label) {
  let sum = 0;
  let power = 1;
  for (const letter of label) {
    sum = (sum + letter.codePointAt(0) * power) % 97;
    power = (power * 7) % 97;
  }
  return hsv(sum / 97, 0.85, 0.8);
}

function hsv(hue, saturation, value) {
  const channel = (n) => {
    const k = (n + hue * 6) % 6;
    return Math.round(255 * (value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}

/** Black or white: what is easier to read on a color. */
export function letterColor(color) {
  const [red, green, blue] = color.map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > BRIGHT ? 'black' : 'white';
}

function createLayer(width, height, colors) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d').putImageData(new ImageData(colors, width, height), 0, 0);
  return canvas;
}

/** Pixels as a picture that a canvas can draw: of many channels the first three, of one or two the first. */
export function createPicture({ data, width, height, channels }) {
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  for (let from = 0, to = 0; from < data.length; from += channels, to += 4) {
    rgba[to] = data[from];
    rgba[to + 1] = data[from + green];
    rgba[to + 2] = data[from + blue];
  }
  return createLayer(width, height, rgba);
}

/** `picture` on a canvas that becomes `width` pixels wide. Returns pixels of the canvas for one of the picture. */
export function drawPicture(canvas, picture, width) {
  const factor = width / picture.width;
  canvas.width = width;
  canvas.height = Math.max(1, Math.round(picture.height * factor));
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = factor < TINY;
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return factor;
}

/** Masks, boxes and labels of `predictions`, the most confident in front, and dashed the boxes of `truth`, objects as
 * they are labeled. `factor`: pixels of the canvas for one of the image. `letters`: their height in pixels of the canvas. */
export function drawPredictions(canvas, predictions, truth, factor, letters) {
  const context = canvas.getContext('2d');
  const objects = predictions.map((each) => ({ ...each, box: each.box.map((edge) => edge * factor) }));
  for (const { mask, label } of [...objects].reverse()) {
    if (mask?.width) drawMask(context, mask, labelColor(label), factor);
  }
  for (const each of [...objects].reverse()) drawBox(context, each, toCss(labelColor(each.label)), Math.max(1, letters / 7));
  drawTruth(context, truth.map(({ box }) => ({ box: box.map((edge) => edge * factor) })), letters);
  drawLabels(context, canvas, objects, letters);
}

const toCss = (color) => `rgb(${color.join(' ')})`;

function drawTruth(context, objects, letters) {
  for (const [color, offset] of [['black', 0], ['white', letters / 2]]) {
    context.setLineDash([letters / 2, letters / 2]);
    context.lineDashOffset = offset;
    for (const each of objects) drawBox(context, each, color, Math.max(1, letters / 10));
  }
  context.setLineDash([]);
}

function drawMask(context, { left, top, width, height, inside }, [red, green, blue], factor) {
  const rgba = new Uint8ClampedArray(4 * inside.length);
  inside.forEach((there, i) => rgba.set([red, green, blue, there ? MASK_ALPHA : 0], 4 * i));
  const place = [left, top, width, height].map((length) => length * factor);
  context.drawImage(createLayer(width, height, rgba), ...place);
}

function drawBox(context, { box: [left, top, right, bottom] }, color, line) {
  context.strokeStyle = color;
  context.lineWidth = line;
  context.strokeRect(left + line / 2, top + line / 2, right - left - line, bottom - top - line);
}

function drawLabels(context, canvas, objects, letters) {
  context.font = `600 ${letters}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  const labels = objects.map(({ label, probability, box }) => {
    const words = `${label} ${Math.round(100 * probability)}%`;
    return { label, words, box, width: context.measureText(words).width + letters * 0.7, height: letters * 1.4 };
  });
  placeLabels(labels, canvas).forEach((place, i) => {
    if (!place) return;
    const color = labelColor(labels[i].label);
    context.fillStyle = toCss(color);
    context.fillRect(place.x, place.y, place.width, place.height);
    context.fillStyle = letterColor(color);
    context.fillText(labels[i].words, place.x + letters * 0.35, place.y + place.height * 0.53);
  });
}
