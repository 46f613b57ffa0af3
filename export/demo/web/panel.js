// One file, what it is run by, and its predictions.

import { checkGolden, loadGolden } from './selfcheck.js';
import { counted, median, milliseconds, percent } from './format.js';
import { drawPicture, drawPredictions } from './visualize.js';
import { hasTruth, isRight, scoreSample } from './score.js';
import { openNetwork } from './network.js';
import { isRejected, rankLabels } from './postprocess.js';

// The height of letters in images on the screen, in pixels of the page.
const LETTERS = 12.5;
// Of images with objects, at most, in pixels of the page.
const HEIGHT = 480;
const NAMES = { wasm: 'WebAssembly', webgpu: 'WebGPU' };

function createElement(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function describeDifference(difference) {
  if (!Number.isFinite(difference)) return 'some outputs are no numbers';
  return difference < 0.0005 ? 'the same confidence' : `confidence off by up to ${(100 * difference).toFixed(1)} points`;
}

export class Panel {
  /** run: run.json. runtime: of `startRuntime`. changed: called when another file or accelerator is chosen. */
  constructor(root, run, runtime, file, changed) {
    root.append(document.getElementById('panel').content.cloneNode(true));
    this.root = root;
    this.run = run;
    this.find = (name) => root.querySelector(name);
    for (const each of run.files) {
      this.find('.file').add(new Option(each.recommended ? `${each.file} ★` : each.file, each.file));
    }
    this.find('.file').value = file;
    this.rejects = false;
    this.addAccelerators(runtime);
    root.addEventListener('change', changed);
    this.clearScores();
  }

  addAccelerators({ threads, gpu }) {
    const select = this.find('.accelerator');
    select.add(new Option(`WebAssembly, ${counted(threads, 'thread')}`, 'wasm'));
    select.add(new Option(gpu ? `WebGPU, ${gpu}` : 'WebGPU: not in this browser', 'webgpu'));
    select.options[1].disabled = !gpu;
  }

  get file() {
    return this.find('.file').value;
  }

  get accelerator() {
    return this.find('.accelerator').value;
  }

  /** What tells it from the other panel. */
  get name() {
    return this.accelerator === 'wasm' ? this.file : `${this.file} on WebGPU`;
  }

  async open(threshold) {
    this.network?.close();
    this.network = null;
    this.clear();
    this.clearScores();
    for (const name of ['.median', '.first']) this.find(name).textContent = '–';
    this.find('.count').textContent = 'median';
    const about = this.run.files.find((each) => each.file === this.file);
    this.showFacts(about);
    this.showCheck('', 'Self-check: running …');
    try {
      this.network = await openNetwork(about, this.run.constants, this.accelerator);
      await this.check(about, threshold);
    } catch (error) {
      this.network?.close();
      this.network = null;
      const mark = createElement('b', 'bad', `✗ This file does not run in ${NAMES[this.accelerator]} here`);
      this.showCheck('failed', mark, `: ${error.message ?? error}`);
    }
  }

  showFacts({ size, metric, drop, outcome, passed, recommended }) {
    const verdict = createElement('b', passed ? 'good' : 'bad', `${passed ? '✓' : '✗'} ${outcome}`);
    this.find('.facts').replaceChildren(verdict, ` · ${size} · ${metric} · ${drop}${recommended ? ' · ★ recommended' : ''}`);
  }

  showCheck(className, ...parts) {
    this.find('.check').className = `check ${className}`;
    this.find('.check').replaceChildren(...parts);
  }

  async check(about, threshold) {
    const golden = await loadGolden(this.run.golden, about);
    if (!golden) {
      const why = about.passed ? '; kresnet export writes them' : ', as it is not within its budget';
      this.showCheck('', `No self-check: this file has no reference outputs${why}.`);
      return;
    }
    const found = await checkGolden(this.network, golden, threshold);
    this.network.first = found.first;
    this.showCheck(found.agrees ? '' : 'failed', ...this.describeCheck(found));
  }

  describeCheck({ passes: [first, second], of, images, difference, agrees }) {
    const inImages = `in ${counted(images, 'image')}`;
    const unit = this.run.postprocessing === 'objects' ? `objects ${inImages}` : 'images';
    const repeated = first === second ? 'twice' : `then in ${second} of ${of}`;
    const answers = of
      ? `as on the exporting machine in ${first} of ${of} ${unit}, ${repeated}`
      : `nothing is found ${inImages}, as on the exporting machine`;
    const mark = createElement('b', agrees ? 'good' : 'bad', agrees ? '✓ Self-check passed' : '✗ Self-check failed');
    const advice = agrees ? '' : ` Do not trust this file in ${NAMES[this.accelerator]} here.`;
    return [mark, `: ${answers}; ${describeDifference(difference)}.`, this.describePlace(), advice];
  }

  describePlace() {
    if (this.network.isOnCpu) return ' WebGPU cannot run this file: it runs in WebAssembly.';
    return this.network.isPartlyOnCpu ? ' WebGPU runs a part of this file, WebAssembly the rest.' : '';
  }

  async predict(image, threshold) {
    this.result = await this.network.predict(image, threshold);
    return { file: this.network.about.file, ...this.result };
  }

  /** The predictions at another threshold, without another inference. */
  decodeAgain(image, threshold) {
    this.result.predictions = this.network.decode(this.result.outputs, image.pixels, threshold);
    return { file: this.network.about.file, ...this.result };
  }

  show(image) {
    const { predictions } = this.result;
    const shown = this.run.postprocessing === 'main_object' ? predictions.slice(0, 1) : predictions;
    this.score = hasTruth(image.sample, this.run.postprocessing) ? scoreSample(predictions, image.sample, this.run.postprocessing) : null;
    if (!this.isOfWholeImages) this.drawObjects(image, shown);
    this.showOutcome(image.sample);
    this.find('.predictions').replaceChildren(...this.createRejection(), ...this.createRows(predictions, image.sample));
    this.showLatency();
  }

  /** Whether the image that is shown is of none of the classes, by the rule of the file, where that is asked. */
  get isUnknown() {
    const { rejection } = this.network.about.card;
    return Boolean(this.rejects && rejection && isRejected(this.result.outputs.logits.data, rejection));
  }

  /** The answer before the predictions: "unknown", or nothing. */
  createRejection() {
    return this.isUnknown ? [createElement('li', 'unknown', 'unknown: it is of none of the classes, by the rule of this file')] : [];
  }

  /** The list of predictions: of labels with thresholds the highest ones where none is reached. */
  createRows(predictions, sample) {
    if (this.run.postprocessing === 'label_set') return this.createLabelRows(predictions.length, sample);
    if (!predictions.length) return [createElement('li', 'soft', 'Nothing found at this threshold.')];
    return predictions.map((each) => this.createRow(each, sample));
  }

  createLabelRows(predicted, sample) {
    const ranked = rankLabels(this.result.outputs.logits.data, this.network.about.card);
    if (predicted) {
      return ranked.filter(({ probability, threshold }) => probability >= threshold).map((each) => this.createRow(each, sample));
    }
    const highest = ranked.slice(0, this.run.constants.top_k);
    const message = createElement('li', 'soft', 'No label reaches its threshold. The highest are:');
    return [message, ...highest.map((each) => this.createRow(each, sample, 'missed'))];
  }

  /** Whether labels are predicted, and no objects. */
  get isOfWholeImages() {
    return ['top_k', 'label_set'].includes(this.run.postprocessing);
  }

  drawObjects(image, predictions) {
    const canvas = this.find('canvas');
    canvas.hidden = false;
    const { width, height } = image.pixels;
    const shown = Math.max(1, Math.min(canvas.parentElement.clientWidth, (HEIGHT * width) / height));
    drawPicture(canvas, image.picture, Math.round(shown * devicePixelRatio));
    canvas.style.width = `${shown}px`;
    drawPredictions(canvas, predictions, image.sample?.objects ?? [], canvas.width / width, LETTERS * devicePixelRatio);
    canvas.setAttribute('aria-label', `${image.name}: ${counted(predictions.length, 'predicted object')}, listed below`);
  }

  createRow({ label, probability, threshold }, sample, className = '') {
    const item = createElement('li', className);
    const isTrue = this.isOfWholeImages && (sample?.label === label || sample?.labels?.includes(label));
    const name = item.appendChild(createElement('span', 'name', label));
    name.title = label;
    if (isTrue) name.append(createElement('span', 'label', 'label'));
    const share = item.appendChild(createElement('span', 'share', percent(probability)));
    const bar = item.appendChild(createElement('div', 'bar'));
    bar.appendChild(document.createElement('i')).style.width = percent(probability);
    if (threshold !== undefined) {
      share.append(createElement('small', '', ` threshold ${percent(threshold)}`));
      bar.appendChild(document.createElement('b')).style.left = percent(threshold);
    }
    return item;
  }

  showOutcome(sample) {
    const { score } = this;
    const outcome = this.find('.outcome');
    outcome.hidden = !score;
    if (!score) return;
    outcome.className = `outcome ${isRight(score) ? 'good' : 'bad'}`;
    outcome.textContent = `${isRight(score) ? '✓' : '✗'} ${this.describeScore(score, sample)}`;
  }

  describeScore(score, sample) {
    if (this.run.postprocessing === 'top_k') return score.right ? `Correct: ${sample.label}` : `Wrong: labeled ${sample.label}`;
    if (this.run.postprocessing === 'main_object') return score.right ? 'Correct label and box' : `Wrong: labeled ${sample.objects[0].label}`;
    const extra = score.extra ? `, ${score.extra} extra` : '';
    if (this.run.postprocessing === 'label_set') {
      return `${score.right} of ${counted(score.of, 'label')} predicted${extra}: labeled ${sample.labels.join(', ') || 'nothing'}`;
    }
    return `${score.right} of ${counted(score.of, 'labeled object')} found${extra}`;
  }

  showLatency() {
    const { first, latencies } = this.network;
    const [last, middle] = latencies.length ? [latencies.at(-1), median(latencies)] : [null, null];
    this.find('.last').textContent = last === null ? '–' : milliseconds(last);
    this.find('.median').textContent = middle === null ? '–' : milliseconds(middle);
    this.find('.count').textContent = latencies.length ? `median of ${latencies.length}` : 'median';
    this.find('.first').textContent = milliseconds(first);
  }

  /** Counts the score of the sample that is shown, once for each sample. */
  countScore(sample) {
    if (!this.score) return;
    this.scores.set(sample, this.score);
    const all = [...this.scores.values()];
    const sum = (key) => all.reduce((total, score) => total + score[key], 0);
    this.find('.score').hidden = false;
    this.find('.score').replaceChildren(createElement('b', '', `${sum('right')} of ${sum('of')}`), this.describeScores(sum, all.length));
  }

  describeScores(sum, samples) {
    if (this.run.postprocessing === 'objects') {
      return ` labeled objects found in ${counted(samples, 'sample')}, ${counted(sum('extra'), 'extra prediction')}.`;
    }
    if (this.run.postprocessing === 'label_set') {
      return ` labels predicted in ${counted(samples, 'sample')}, ${counted(sum('extra'), 'extra prediction')}.`;
    }
    const share = sum('of') ? percent(sum('right') / sum('of')) : '–';
    const metric = this.run.postprocessing === 'top_k' ? 'top-1 accuracy' : 'right label, and IoU of at least 0.5';
    return ` samples correct (${metric} ${share}).`;
  }

  clearScores() {
    this.scores = new Map();
    this.find('.score').hidden = true;
  }

  /** Nothing is shown: there is no image, or none that could be read. */
  clear() {
    this.result = this.score = null;
    this.find('.outcome').hidden = true;
    this.find('.predictions').replaceChildren();
    this.find('canvas').hidden = true;
    this.find('.last').textContent = '–';
  }
}
