// Predictions beside what is true: labels of samples, and reference outputs.

import { iou } from './postprocess.js';

const SAME_BOX = 0.5;

const isSameObject = (a, b) => a.label === b.label && iou(a.box, b.box) >= SAME_BOX;

/** Pairs of predictions and objects of the same label, the most confident prediction first; and what is left of both. */
export function matchObjects(predictions, objects) {
  const missed = [...objects];
  const pairs = [];
  const extra = [];
  for (const each of predictions) {
    const at = missed.findIndex((other) => isSameObject(each, other));
    if (at < 0) extra.push(each);
    else pairs.push([each, ...missed.splice(at, 1)]);
  }
  return { pairs, extra, missed };
}

/** How many labels two lists share, how many are in the first alone, and in the second alone. */
function compareLabels(ours, theirs) {
  const shared = ours.filter((each) => theirs.includes(each)).length;
  return { shared, extra: ours.length - shared, missed: theirs.length - shared };
}

/** How many answers for a sample are right: {right, of, extra}. `extra`: predictions that are none of its
 * objects or labels. */
export function scoreSample(predictions, sample, postprocessing) {
  if (postprocessing === 'top_k') return { right: Number(predictions[0].label === sample.label), of: 1, extra: 0 };
  if (postprocessing === 'label_set') {
    const { shared, extra } = compareLabels(predictions.map((each) => each.label), sample.labels);
    return { right: shared, of: sample.labels.length, extra };
  }
  if (postprocessing === 'main_object') {
    return { right: Number(isSameObject(predictions[0], sample.objects[0])), of: 1, extra: 0 };
  }
  const { pairs, extra } = matchObjects(predictions, sample.objects);
  return { right: pairs.length, of: sample.objects.length, extra: extra.length };
}

/** Whether it is known what is right for a sample; of an image of the user's it is not. */
export const hasTruth = (sample, postprocessing) =>
  Boolean(sample && (sample.label || (postprocessing === 'label_set' && sample.labels) || (postprocessing === 'objects' ? sample.objects : sample.objects?.length)));

export const isRight = ({ right, of, extra }) => right === of && extra === 0;

/** Returns [how many predictions of two files agree, of how many]: the top label, all labels together, or objects that
 * both have. */
export function countAgreements(ours, theirs, postprocessing) {
  if (postprocessing === 'top_k') return [Number(ours[0].label === theirs[0].label), 1];
  if (postprocessing === 'label_set') {
    const { extra, missed } = compareLabels(...[ours, theirs].map((found) => found.map((each) => each.label)));
    return [Number(extra + missed === 0), 1];
  }
  if (postprocessing === 'main_object') return [Number(isSameObject(ours[0], theirs[0])), 1];
  const { pairs, extra, missed } = matchObjects(ours, theirs);
  return [pairs.length, pairs.length + extra.length + missed.length];
}
