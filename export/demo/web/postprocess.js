// From outputs to labels, boxes and masks: keras_resnet/runtime/predictions.py and keras_resnet/runtime/postprocess.py in JavaScript. The
// constants are given by the page, which has them from there.
//
// outputs: by name {data: Float32Array, shape} of one image, without the batch.

import { BILINEAR, resized } from './preprocess.js';

const sigmoid = (x) => Math.fround(1 / (1 + Math.exp(-x)));

/** Of logits, the `top` likeliest labels: [{label, probability}, …]. */
export function likeliest(logits, labels, top) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponents = Array.from(logits, (x) => Math.exp(x - largest));
  const sum = exponents.reduce((a, b) => a + b, 0);
  const order = exponents.map((_, c) => c).sort((a, b) => logits[b] - logits[a]);
  return order.slice(0, top).map((c) => ({ label: labels[c], probability: exponents[c] / sum }));
}

/** Middles (x, y) and widths of all locations, in shares of the square. */
function grid(cells) {
  const places = [];
  for (const side of cells) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) places.push({ x: (x + 0.5) / side, y: (y + 0.5) / side, width: 1 / side });
    }
  }
  return places;
}

const clipped = (x) => Math.fround(Math.min(1, Math.max(0, x)));

function boxAt(place, distances, location) {
  const [left, top, right, bottom] = distances.subarray(4 * location, 4 * location + 4);
  const { x, y, width } = place;
  return [x - left * width, y - top * width, x + right * width, y + bottom * width].map(clipped);
}

const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);

/** The share of two boxes' union that is common to them. */
export function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (area(a) + area(b) - width * height);
}

/** Objects, the surest first, without those that overlap a surer one of their class: [{box, score, label, location}]. */
function foundIn({ scores, distances }, cells, least, rules) {
  const [locations, classes] = scores.shape;
  const candidates = [];
  for (let i = 0; i < locations * classes; i++) {
    const score = sigmoid(scores.data[i]);
    if (score >= least) candidates.push({ score, label: i % classes, location: Math.floor(i / classes) });
  }
  candidates.sort((a, b) => b.score - a.score);
  const places = grid(cells);
  const kept = [];
  for (const each of candidates.slice(0, rules.candidates)) {
    if (kept.length === rules.most) break;
    each.box = boxAt(places[each.location], distances.data, each.location);
    if (kept.every((sure) => sure.label !== each.label || overlap(sure.box, each.box) <= rules.overlap)) kept.push(each);
  }
  return kept;
}

/** The one object that an image is about: `guesses` classes, each where it is surest. */
function mainObject({ scores, distances }, cells, guesses) {
  const [locations, classes] = scores.shape;
  const places = grid(cells);
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
    box: boxAt(places[location], distances.data, location),
  }));
}

/** CondInst's three convolutions of one object at one place; `input`: two coordinates, then the prototypes. */
function dynamic(input, weights, layers) {
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

/** The logits of one object's mask in and around its box, and `ground` elsewhere: an image of one channel. */
function maskOf(found, { coefficients, prototypes }, place, rules) {
  const [height, width, kinds] = prototypes.shape;
  const count = coefficients.shape[1];
  const weights = coefficients.data.subarray(found.location * count, (found.location + 1) * count);
  const data = new Float32Array(height * width).fill(rules.ground);
  const [left, top] = [found.box[0] * width, found.box[1] * height].map((edge) =>
    Math.max(0, Math.floor(edge) - rules.around));
  const right = Math.min(width, Math.ceil(found.box[2] * width) + rules.around);
  const bottom = Math.min(height, Math.ceil(found.box[3] * height) + rules.around);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const seen = prototypes.data.subarray((y * width + x) * kinds, (y * width + x + 1) * kinds);
      if (count === kinds) {
        data[y * width + x] = seen.reduce((sum, value, kind) => sum + value * weights[kind], 0);
        continue;
      }
      const from = [(x + 0.5) / width - place.x, (y + 0.5) / height - place.y].map((away) => away / rules.reach);
      data[y * width + x] = dynamic([...from, ...seen], weights, rules.layers);
    }
  }
  return { data, width, height, channels: 1 };
}

/** A mask in the image, within its box: {left, top, width, height, inside: Uint8Array}. */
function seenMask(logits, box, width, height) {
  const [left, top] = [Math.floor(box[0]), Math.floor(box[1])];
  const [right, bottom] = [Math.min(Math.ceil(box[2]), width), Math.min(Math.ceil(box[3]), height)];
  if (right <= left || bottom <= top) return { left, top, width: 0, height: 0, inside: new Uint8Array(0) };
  const [perX, perY] = [logits.width, logits.height].map((length) => length / Math.max(width, height));
  const part = [left * perX, top * perY, right * perX, bottom * perY];
  const seen = resized(logits, right - left, bottom - top, BILINEAR, part);
  return { left, top, width: seen.width, height: seen.height, inside: Uint8Array.from(seen.data, (x) => x > 0) };
}

/** Objects of a file that makes them itself. */
function given({ boxes, classes, scores, count }, least, most) {
  const known = Math.round(count.data[0]);
  const found = [];
  for (let i = 0; i < known && found.length < most; i++) {
    if (scores.data[i] < least) continue;
    const [top, left, bottom, right] = boxes.data.subarray(4 * i, 4 * i + 4);
    found.push({ box: [left, top, right, bottom], score: scores.data[i], label: classes.data[i], location: i });
  }
  return found;
}

function givenMask({ masks }, { location }) {
  const [, height, width] = masks.shape;
  const data = masks.data.subarray(location * height * width, (location + 1) * height * width);
  return { data, width, height, channels: 1 };
}

/** What an image of width × height shows: [{label, probability, box, mask}, …], boxes in its pixels. */
export function objectsOf(outputs, card, width, height, rules) {
  const main = card.postprocessing === 'main_object';
  let found;
  if (outputs.count) found = given(outputs, main ? 0 : rules.shown, main ? rules.guesses : Infinity);
  else if (main) found = mainObject(outputs, card.cells, rules.guesses);
  else found = foundIn(outputs, card.cells, rules.shown, rules);
  const longer = Math.max(width, height);
  const places = outputs.prototypes ? grid(card.cells) : [];
  return found.map((each) => {
    const box = each.box.map((edge, i) => Math.min(i % 2 ? height : width, Math.max(0, edge * longer)));
    const object = { label: card.labels[each.label], probability: each.score, box };
    let logits = null;
    if (outputs.masks) logits = givenMask(outputs, each);
    else if (outputs.prototypes) logits = maskOf(each, outputs, places[each.location], rules);
    return logits ? { ...object, mask: seenMask(logits, box, width, height) } : object;
  });
}

/** [how many answers are the same, of how many]: the likeliest label, or objects that both find. */
export function agreed(ours, theirs, postprocessing) {
  if (postprocessing === 'top_k') return [Number(ours[0].label === theirs[0].label), 1];
  const same = (a, b) => a.label === b.label && overlap(a.box, b.box) >= 0.5;
  if (postprocessing === 'main_object') return [Number(same(ours[0], theirs[0])), 1];
  const left = [...theirs];
  let both = 0;
  for (const each of ours) {
    const place = left.findIndex((other) => same(each, other));
    if (place < 0) continue;
    left.splice(place, 1);
    both += 1;
  }
  return [both, ours.length + theirs.length - both];
}
