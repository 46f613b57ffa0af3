// Does a file compute here what it computed where it was exported? Its reference outputs say so. They are asked twice: a
// GPU may be right the first time alone.

import { sidesOf } from './preprocess.js';
import { countAgreements, matchObjects } from './score.js';
import { scoreThreshold, sigmoid, softmax } from './postprocess.js';

const PASSES = 2;
// How long a check may take, and how far a confidence may be off.
const BUDGET = 1500;
const TOLERANCE = 0.05;
const LEAST_IMAGES = 2;

/** The reference images and the outputs of `about`, a file as run.json describes it; null where there are none.
 * golden: of run.json: {url, count, shape}. */
export async function loadGolden(golden, about) {
  if (!golden || !about.golden) return null;
  const [images, outputs] = await Promise.all([golden.url, about.golden.url].map(async (url) =>
    (await fetch(url)).arrayBuffer()));
  const { count, shape: imageShape } = golden;
  const floats = new Float32Array(outputs);
  const answers = Array.from({ length: count }, () => ({}));
  let at = 0;
  for (const { name, shape } of about.golden.outputs) {
    const size = shape.reduce((a, b) => a * b, 1);
    for (const answer of answers) {
      answer[name] = { shape, data: floats.subarray(at, at + size) };
      at += size;
    }
  }
  const pixels = new Uint8Array(images);
  const area = imageShape.reduce((a, b) => a * b, 1);
  return answers.map((expected, row) => ({ pixels: pixels.subarray(row * area, (row + 1) * area), expected }));
}

/** Runs the reference images: {first, passes, of, images, difference, agrees}. first: milliseconds of the first inference.
 * passes: how many answers of each are as expected, `of` so many. difference: of a confidence, at most. */
export async function checkGolden(network, golden, threshold) {
  const { milliseconds: first } = await network.run(golden[0].pixels);
  const started = performance.now();
  await network.run(golden[0].pixels);
  const affordable = Math.floor(BUDGET / PASSES / Math.max(performance.now() - started, 0.1));
  const asked = golden.slice(0, Math.max(LEAST_IMAGES, affordable));
  const passes = [];
  let of = 0;
  let difference = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    const found = [];
    for (const { pixels, expected } of asked) {
      found.push(compare(network, (await network.run(pixels)).outputs, expected, threshold));
    }
    passes.push(found.reduce((sum, each) => sum + each.same, 0));
    of = Math.max(of, found.reduce((sum, each) => sum + each.of, 0));
    difference = Math.max(difference, ...found.map((each) => each.difference));
  }
  const agrees = difference <= TOLERANCE && passes.every((same) => same === of);
  return { first, passes, of, images: asked.length, difference, agrees };
}

function compare(network, outputs, expected, threshold) {
  const { card } = network.about;
  if (card.postprocessing === 'top_k') {
    const [ours, theirs] = [outputs, expected].map(({ logits }) => softmax(logits.data, card.temperature));
    const same = Number(ours.indexOf(Math.max(...ours)) === theirs.indexOf(Math.max(...theirs)));
    return { same, of: 1, difference: largestDifference(ours, theirs) };
  }
  if (card.postprocessing === 'label_set') {
    const [ours, theirs] = [outputs, expected].map(({ logits }) => logits.data.map(sigmoid));
    // A probability at its threshold may fall on either side.
    const isSame = (_, c) => ours[c] >= card.thresholds[c] === theirs[c] >= card.thresholds[c]
      || Math.abs(theirs[c] - card.thresholds[c]) <= TOLERANCE;
    return { same: Number(card.labels.every(isSame)), of: 1, difference: largestDifference(ours, theirs) };
  }
  return compareObjects(network, outputs, expected, threshold);
}

/** Objects that are about as confident as their threshold count where both have them. Confidences are compared
 * everywhere: a network that finds nothing, here or there, is checked too. */
function compareObjects(network, outputs, expected, threshold) {
  const { card } = network.about;
  const [height, width] = sidesOf(card.image_size);
  const square = { width, height };
  const [ours, theirs] = [outputs, expected].map((each) => network.decode(each, square, threshold, TOLERANCE));
  const difference = largestDifference(...[outputs, expected].map(readConfidences));
  if (card.postprocessing === 'main_object') {
    const [same, of] = countAgreements(ours, theirs, 'main_object');
    return { same, of, difference };
  }
  const { pairs, extra, missed } = matchObjects(ours, theirs);
  const least = (each) => scoreThreshold(card, card.labels.indexOf(each.label), threshold, network.constants);
  const isClear = (each) => !(each.probability < least(each) + TOLERANCE);
  const alike = pairs.filter(([our, their]) => isSameMask(our.mask, their.mask));
  return { same: alike.length, of: pairs.length + [...extra, ...missed].filter(isClear).length, difference };
}

/** Of all locations and classes; of a file with NMS inside those of its objects. */
function readConfidences({ scores, count }) {
  return count ? scores.data.subarray(0, Math.round(count.data[0])) : scores.data.map(sigmoid);
}

function largestDifference(ours, theirs) {
  let most = 0;
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const difference = Math.abs((ours[i] ?? 0) - (theirs[i] ?? 0));
    // Of what is no number, all.
    if (!(difference <= most)) most = Number.isFinite(difference) ? difference : Infinity;
  }
  return most;
}

/** Whether masks, of boxes that are about the same, have an IoU of at least one half. */
function isSameMask(ours, theirs) {
  if (!ours || !theirs) return ours === theirs;
  const [left, top] = [Math.max(ours.left, theirs.left), Math.max(ours.top, theirs.top)];
  const right = Math.min(ours.left + ours.width, theirs.left + theirs.width);
  const bottom = Math.min(ours.top + ours.height, theirs.top + theirs.height);
  const isInside = (mask, x, y) => mask.inside[(y - mask.top) * mask.width + x - mask.left];
  let both = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) both += isInside(ours, x, y) && isInside(theirs, x, y);
  }
  const [mine, other] = [ours, theirs].map(({ inside }) => inside.reduce((sum, there) => sum + there, 0));
  return 2 * both >= mine + other - both;
}
