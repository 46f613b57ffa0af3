// Postprocessing, from outputs to labels, boxes and masks: keras_resnet/runtime/predictions.py and postprocess.py in
// JavaScript. The page passes their constants on.
//
// outputs: by name {data: Float32Array, shape} of one image, without the batch.

import { BILINEAR, resize } from './preprocess.js';

export const sigmoid = (x) => Math.fround(1 / (1 + Math.exp(-x)));

/** Returns the probabilities of logits, divided by a temperature. */
export function softmax(logits, temperature = 1) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponents = Array.from(logits, (x) => Math.exp((x - largest) / temperature));
  const sum = exponents.reduce((a, b) => a + b, 0);
  return exponents.map((x) => x / sum);
}

/** Returns whether an image is of none of the classes, by the rule of a file: see confidence.py. */
export function isRejected(logits, { score, temperature, threshold }) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  if (score === 'max-logit') return largest < threshold;
  const sum = Array.from(logits, (x) => Math.exp((x - largest) / temperature)).reduce((a, b) => a + b, 0);
  return largest + temperature * Math.log(sum) < threshold;
}

/** Returns the `top` most probable labels of logits: [{label, probability}, …]. */
export function topK(logits, { labels, temperature }, top) {
  const probabilities = softmax(logits, temperature);
  const order = probabilities.map((_, c) => c).sort((a, b) => logits[b] - logits[a]);
  return order.slice(0, top).map((c) => ({ label: labels[c], probability: probabilities[c] }));
}

/** Returns the probability of a logit as `predictions.sigmoid` does, for thresholds, in which every bit may count. */
const exactSigmoid = (x) => 1 / (1 + Math.exp(-Math.min(500, Math.max(-500, x))));

/** Returns all labels with the thresholds from which they are predicted, the most probable first. */
export function rankLabels(logits, { labels, thresholds }) {
  const probabilities = Array.from(logits, exactSigmoid);
  const order = probabilities.map((_, c) => c).sort((a, b) => probabilities[b] - probabilities[a]);
  return order.map((c) => ({ label: labels[c], probability: probabilities[c], threshold: thresholds[c] }));
}

/** Returns the labels whose probability is at least their threshold, the most probable first. */
export function labelSet(logits, card) {
  return rankLabels(logits, card).filter(({ probability, threshold }) => probability >= threshold)
    .map(({ label, probability }) => ({ label, probability }));
}

/** Returns centers (x, y) and widths of all locations, in fractions of the square. */
function anchorPoints(cells) {
  const points = [];
  for (const side of cells) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) points.push({ x: (x + 0.5) / side, y: (y + 0.5) / side, width: 1 / side });
    }
  }
  return points;
}

const clip = (x) => Math.fround(Math.min(1, Math.max(0, x)));

function decodeBox(point, distances, location) {
  const [left, top, right, bottom] = distances.subarray(4 * location, 4 * location + 4);
  const { x, y, width } = point;
  return [x - left * width, y - top * width, x + right * width, y + bottom * width].map(clip);
}

const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);

/** Returns the intersection over union of two boxes, xyxy. */
export function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (area(a) + area(b) - width * height);
}

/** Returns objects after NMS by class, the most confident first: [{box, score, label, location}]. isShown: of a score
 * and a class. */
function decodeDetections({ scores, distances }, cells, isShown, constants) {
  const [locations, classes] = scores.shape;
  const candidates = [];
  for (let i = 0; i < locations * classes; i++) {
    const score = sigmoid(scores.data[i]);
    const label = i % classes;
    if (isShown(score, label)) candidates.push({ score, label, location: Math.floor(i / classes) });
  }
  candidates.sort((a, b) => b.score - a.score);
  const points = anchorPoints(cells);
  const kept = [];
  for (const each of candidates.slice(0, constants.max_candidates)) {
    if (kept.length === constants.max_detections) break;
    each.box = decodeBox(points[each.location], distances.data, each.location);
    if (kept.every((other) => other.label !== each.label || iou(other.box, each.box) <= constants.nms_iou)) kept.push(each);
  }
  return kept;
}

/** Returns the main object of an image: `guesses` classes, each at its most confident location. */
function decodeTopObject({ scores, distances }, cells, guesses) {
  const [locations, classes] = scores.shape;
  const points = anchorPoints(cells);
  const best = Array.from({ length: classes }, (_, label) => {
    let location = 0;
    for (let i = 1; i < locations; i++) {
      if (scores.data[i * classes + label] > scores.data[location * classes + label]) location = i;
    }
    return { label, location, logit: scores.data[location * classes + label] };
  });
  best.sort((a, b) => b.logit - a.logit);
  return best.slice(0, guesses).map(({ label, location, logit }) => ({
    label,
    location,
    score: sigmoid(logit),
    box: decodeBox(points[location], distances.data, location),
  }));
}

/** Applies CondInst's three convolutions of one object at one point; `input`: two coordinates, then the prototypes. */
function applyDynamicHead(input, weights, layers) {
  let start = 0;
  for (const [inputs, outputs] of layers) {
    const biases = start + inputs * outputs;
    const next = new Float64Array(outputs);
    for (let o = 0; o < outputs; o++) {
      let sum = weights[biases + o];
      for (let i = 0; i < inputs; i++) sum += input[i] * weights[start + i * outputs + o];
      next[o] = outputs > 1 ? Math.max(0, sum) : sum;
    }
    start = biases + outputs;
    input = next;
  }
  return input[0];
}

/** Returns the logits of one object's mask in and around its box, and `background` elsewhere: one channel. */
function computeMaskLogits(object, { coefficients, prototypes }, point, constants) {
  const [height, width, kinds] = prototypes.shape;
  const count = coefficients.shape[1];
  const weights = coefficients.data.subarray(object.location * count, (object.location + 1) * count);
  const data = new Float32Array(height * width).fill(constants.background);
  const [left, top] = [object.box[0] * width, object.box[1] * height].map((edge) =>
    Math.max(0, Math.floor(edge) - constants.mask_margin));
  const right = Math.min(width, Math.ceil(object.box[2] * width) + constants.mask_margin);
  const bottom = Math.min(height, Math.ceil(object.box[3] * height) + constants.mask_margin);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const values = prototypes.data.subarray((y * width + x) * kinds, (y * width + x + 1) * kinds);
      if (count === kinds) {
        data[y * width + x] = values.reduce((sum, value, kind) => sum + value * weights[kind], 0);
        continue;
      }
      const offsets = [(x + 0.5) / width - point.x, (y + 0.5) / height - point.y];
      const coordinates = offsets.map((offset) => offset / constants.coordinate_scale);
      data[y * width + x] = applyDynamicHead([...coordinates, ...values], weights, constants.dynamic_layers);
    }
  }
  return { data, width, height, channels: 1 };
}

/** Returns a mask in the image, within its box: {left, top, width, height, inside: Uint8Array}. */
function pasteMask(logits, box, width, height) {
  const [left, top] = [Math.floor(box[0]), Math.floor(box[1])];
  const [right, bottom] = [Math.min(Math.ceil(box[2]), width), Math.min(Math.ceil(box[3]), height)];
  if (right <= left || bottom <= top) return { left, top, width: 0, height: 0, inside: new Uint8Array(0) };
  const [scaleX, scaleY] = [logits.width, logits.height].map((length) => length / Math.max(width, height));
  const part = [left * scaleX, top * scaleY, right * scaleX, bottom * scaleY];
  const pasted = resize(logits, right - left, bottom - top, BILINEAR, part);
  return { left, top, width: pasted.width, height: pasted.height, inside: Uint8Array.from(pasted.data, (x) => x > 0) };
}

/** Returns the objects of a file with NMS inside. */
function readDetections({ boxes, classes, scores, count }, isShown, limit) {
  const total = Math.round(count.data[0]);
  const detections = [];
  for (let i = 0; i < total && detections.length < limit; i++) {
    if (!isShown(scores.data[i], classes.data[i])) continue;
    const [top, left, bottom, right] = boxes.data.subarray(4 * i, 4 * i + 4);
    detections.push({ box: [left, top, right, bottom], score: scores.data[i], label: classes.data[i], location: i });
  }
  return detections;
}

function readMaskLogits({ masks }, { location }) {
  const [, height, width] = masks.shape;
  const data = masks.data.subarray(location * height * width, (location + 1) * height * width);
  return { data, width, height, channels: 1 };
}

/** Returns the score from which objects of the class `label` are shown: `threshold`; or where that is null the one that
 * was fitted to the class, or before that the same for all. */
export const scoreThreshold = (card, label, threshold, constants) =>
  threshold ?? card.score_thresholds[label] ?? constants.display_threshold;

/** Returns the objects in an image of width × height: [{label, probability, box, mask}, …], boxes in its pixels. They
 * have the score of `scoreThreshold`, or one that is up to `slack` lower. */
export function decodeObjects(outputs, card, width, height, constants, threshold = null, slack = 0) {
  const isLocalizer = card.postprocessing === 'main_object';
  let detections;
  const isShown = (score, label) =>
    isLocalizer || score >= scoreThreshold(card, label, threshold, constants) - slack;
  if (outputs.count) detections = readDetections(outputs, isShown, isLocalizer ? constants.max_guesses : Infinity);
  else if (isLocalizer) detections = decodeTopObject(outputs, card.cells, constants.max_guesses);
  else detections = decodeDetections(outputs, card.cells, isShown, constants);
  const longer = Math.max(width, height);
  const points = outputs.prototypes ? anchorPoints(card.cells) : [];
  return detections.map((each) => {
    const box = each.box.map((edge, i) => Math.min(i % 2 ? height : width, Math.max(0, edge * longer)));
    const object = { label: card.labels[each.label], probability: each.score, box };
    let logits = null;
    if (outputs.masks) logits = readMaskLogits(outputs, each);
    else if (outputs.prototypes) logits = computeMaskLogits(each, outputs, points[each.location], constants);
    return logits ? { ...object, mask: pasteMask(logits, box, width, height) } : object;
  });
}
