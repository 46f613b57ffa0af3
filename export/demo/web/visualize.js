// Predictions drawn into a canvas, in the colors of keras_resnet/runtime/visualize.py.

const MASK_ALPHA = 115;
// An image that is enlarged this much shows its pixels.
const TINY = 4;

/** The same for a label each time, dark enough for white letters. */
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

function createLayer(width, height, colors) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d').putImageData(new ImageData(colors, width, height), 0, 0);
  return canvas;
}

/** `image`, RGB, on a canvas that becomes so many pixels wide. Returns pixels of the canvas for one of the image. */
export function drawImage(canvas, image, width = image.width) {
  const factor = width / image.width;
  canvas.width = width;
  canvas.height = Math.round(image.height * factor);
  const rgba = new Uint8ClampedArray(4 * image.width * image.height).fill(255);
  for (let from = 0, to = 0; from < image.data.length; from += 3, to += 4) {
    rgba.set(image.data.subarray(from, from + 3), to);
  }
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = factor < TINY;
  context.drawImage(createLayer(image.width, image.height, rgba), 0, 0, canvas.width, canvas.height);
  return factor;
}

/** Masks, boxes and labels of `predictions`, the most confident in front. `factor`: as `drawImage` returns it.
 * `letters`: their height in pixels of the canvas. */
export function drawPredictions(canvas, predictions, factor, letters) {
  const context = canvas.getContext('2d');
  const objects = [...predictions].reverse();
  for (const each of objects) {
    if (each.mask?.width) drawMask(context, each.mask, labelColor(each.label), factor);
  }
  for (const each of objects) {
    drawBox(context, canvas, { ...each, box: each.box.map((edge) => edge * factor) }, letters);
  }
}

function drawMask(context, { left, top, width, height, inside }, [red, green, blue], factor) {
  const rgba = new Uint8ClampedArray(4 * inside.length);
  inside.forEach((there, i) => rgba.set([red, green, blue, there ? MASK_ALPHA : 0], 4 * i));
  const place = [left, top, width, height].map((length) => length * factor);
  context.drawImage(createLayer(width, height, rgba), ...place);
}

function drawBox(context, canvas, { label, probability, box }, letters) {
  const [left, top, right, bottom] = box;
  const line = Math.max(1, letters / 8);
  const words = `${label} ${Math.round(100 * probability)}%`;
  context.fillStyle = context.strokeStyle = `rgb(${labelColor(label).join(' ')})`;
  context.lineWidth = line;
  context.strokeRect(left + line / 2, top + line / 2, right - left - line, bottom - top - line);
  context.font = `600 ${letters}px system-ui, sans-serif`;
  context.textBaseline = 'top';
  const width = context.measureText(words).width + letters / 2;
  const height = letters * 1.3;
  const x = Math.max(0, Math.min(left, canvas.width - width));
  const y = top >= height ? top - height : top;
  context.fillRect(x, y, width, height);
  context.fillStyle = 'white';
  context.fillText(words, x + letters / 4, y + letters * 0.15);
}
