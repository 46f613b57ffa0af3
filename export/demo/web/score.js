// Predictions beside what is true: labels of samples, and golden answers.

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

/** How many answers for a sample are right: {right, of, extra}. `extra`: predictions that are none of its objects. */
export function scoreSample(predictions, sample, postprocessing) {
  if (postprocessing === 'top_k') return { right: Number(predictions[0].label === sample.label), of: 1, extra: 0 };
  if (postprocessing === 'main_object') {
    return { right: Number(isSameObject(predictions[0], sample.objects[0])), of: 1, extra: 0 };
  }
  const { pairs, extra } = matchObjects(predictions, sample.objects);
  return { right: pairs.length, of: sample.objects.length, extra: extra.length };
}

/** Whether it is known what is right for a sample; of an image of the user's it is not. */
export const hasTruth = (sample, postprocessing) =>
  Boolean(sample && (sample.label || (postprocessing === 'objects' ? sample.objects : sample.objects?.length)));

export const isRight = ({ right, of, extra }) => right === of && extra === 0;

/** Returns [how many predictions of two files agree, of how many]: the top label, or objects that both have. */
export function countAgreements(ours, theirs, postprocessing) {
  if (postprocessing === 'top_k') return [Number(ours[0].label === theirs[0].label), 1];
  if (postprocessing === 'main_object') return [Number(isSameObject(ours[0], theirs[0])), 1];
  const { pairs, extra, missed } = matchObjects(ours, theirs);
  return [pairs.length, pairs.length + extra.length + missed.length];
}
