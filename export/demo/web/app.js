// The page: images in, predictions of two files side by side out.

import { countAgreements } from './postprocess.js';
import { drawImage, drawPredictions } from './visualize.js';
import { Network, startRuntime } from './network.js';
import { decodeImage, has16Bits, readPixels } from './preprocess.js';

const $ = (id) => document.getElementById(id);
// Images smaller than this are shown with visible pixels; letters drawn into others are this high on the screen.
const TINY = 64;
const LETTERS = 13;
// Latencies of which the median is shown.
const LATENCIES_KEPT = 50;

let run;
let panels = [];
let tally = { same: 0, of: 0, images: 0 };
let filming = false;
// Images are processed one after another.
let queue = Promise.resolve();

const percent = (fraction) => `${(100 * fraction).toFixed(1)}%`;
const showStatus = (text, bad = false) => {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
};

/** One file and its predictions. */
class Panel {
  constructor(root, file) {
    root.append($('panel').content.cloneNode(true));
    this.root = root;
    this.select = root.querySelector('select');
    this.canvas = root.querySelector('canvas');
    for (const each of run.files) this.select.add(new Option(each.file, each.file));
    this.select.value = file;
    this.select.addEventListener('change', () => this.changed());
  }

  async open() {
    this.network?.close();
    this.network = null;
    this.latencies = [];
    const about = run.files.find((each) => each.file === this.select.value);
    this.network = await Network.open(about, run.constants);
    this.root.querySelector('.facts').textContent = about.facts;
    this.root.querySelector('.predictions').replaceChildren();
    this.root.querySelector('.latency b').textContent = '–';
  }

  changed() {
    tally = { same: 0, of: 0, images: 0 };
    return enqueue(async () => {
      await this.open();
      if (current) await predictImage(current);
    });
  }

  async predict(image) {
    const result = await this.network.predict(image);
    this.latencies = [...this.latencies, result.milliseconds].slice(-LATENCIES_KEPT);
    return { file: this.network.about.file, ...result };
  }

  show(image, { predictions, milliseconds }) {
    const ordered = [...this.latencies].sort((a, b) => a - b);
    this.root.querySelector('.latency b').textContent = `${milliseconds.toFixed(1)} ms`;
    this.root.querySelector('.latency span').textContent =
      `this inference · median ${ordered[ordered.length >> 1].toFixed(1)} ms of ${ordered.length}`;
    if (run.postprocessing !== 'top_k') {
      this.canvas.hidden = false;
      const factor = drawImage(this.canvas, image, Math.round(this.canvas.clientWidth * devicePixelRatio));
      drawPredictions(this.canvas, run.postprocessing === 'main_object' ? predictions.slice(0, 1) : predictions, factor, LETTERS * devicePixelRatio);
    }
    this.root.querySelector('.predictions').replaceChildren(...(predictions.length ? predictions.map(createRow) : [createEmptyRow()]));
  }
}

function createRow({ label, probability }) {
  const item = document.createElement('li');
  const [name, share, bar] = ['span', 'span', 'div'].map((tag) => item.appendChild(document.createElement(tag)));
  name.className = 'name';
  name.textContent = name.title = label;
  share.className = 'share';
  share.textContent = percent(probability);
  bar.className = 'bar';
  bar.appendChild(document.createElement('i')).style.width = percent(probability);
  return item;
}

function createEmptyRow() {
  const item = document.createElement('li');
  item.className = 'soft';
  item.textContent = 'nothing found';
  return item;
}

let current = null;

/** Does `work` when all before it is done; shows the message of what it throws. */
function enqueue(work) {
  queue = queue.then(work).catch((error) => showStatus(error.message, true));
  return queue;
}

/** Shows the predictions of the files for an image: {pixels, name}. */
async function predictImage(shown) {
  current = shown;
  const results = [];
  for (const panel of panels) results.push(await panel.predict(shown.pixels));
  panels.forEach((panel, i) => panel.show(shown.pixels, results[i]));
  if (run.postprocessing === 'top_k' && !filming) {
    $('preview').hidden = false;
    $('preview').classList.toggle('tiny', shown.pixels.width < TINY);
    drawImage($('preview'), shown.pixels);
  }
  showStatus(shown.name);
  if (results.length === 2) countAgreement(results);
  window.dispatchEvent(new CustomEvent('predicted', { detail: { name: shown.name, results } }));
}

function countAgreement([ours, theirs]) {
  const [same, of] = countAgreements(ours.predictions, theirs.predictions, run.postprocessing);
  tally = { same: tally.same + same, of: tally.of + of, images: tally.images + 1 };
  const unit = ['top_k', 'main_object'].includes(run.postprocessing) ? 'images' : 'objects';
  const over = unit === 'images' ? '' : ` in ${tally.images} ${tally.images === 1 ? 'image' : 'images'}`;
  $('tally').hidden = false;
  $('tally').textContent = ours.file === theirs.file
    ? 'Choose two different files to compare them.'
    : `${ours.file} and ${theirs.file} agree on ${tally.same} of ${tally.of} ${unit}${over}.`;
}

/** An image file, as it is dropped, pasted, chosen or sampled. */
async function openImage(blob, name) {
  const [black, white] = run.levels;
  if (run.levels.length && (black !== 0 || white !== 65535) && (await has16Bits(blob))) {
    throw new Error(`${name} has 16 bits, of which a browser keeps the upper 8; this network takes ${black} as black and`
      + ` ${white} as white. Use kresnet predict.`);
  }
  const pixels = await decodeImage(blob).catch(() => {
    throw new Error(`${name} is not an image that this browser can read.`);
  });
  await predictImage({ pixels, name });
}

function openFiles(files) {
  stopFilming();
  markSample(null);
  for (const file of files) enqueue(() => openImage(file, file.name || 'the pasted image'));
}

function markSample(button) {
  for (const each of $('samples').children) each.setAttribute('aria-current', String(each === button));
}

async function trySample(sample, button) {
  markSample(button);
  const blob = await (await fetch(sample.url)).blob();
  await openImage(blob, sample.label ? `validation image, ${sample.label}` : 'validation image');
}

function addSamples() {
  for (const sample of run.samples) {
    const button = document.createElement('button');
    const image = button.appendChild(document.createElement('img'));
    image.src = sample.url;
    image.alt = button.title = sample.label || 'validation image';
    image.addEventListener('load', () => image.classList.toggle('tiny', image.naturalWidth < TINY));
    button.addEventListener('click', () => {
      stopFilming();
      enqueue(() => trySample(sample, button));
    });
    $('samples').append(button);
  }
  $('all').hidden = !run.samples.length;
}

function tryAll() {
  stopFilming();
  tally = { same: 0, of: 0, images: 0 };
  $('all').disabled = true;
  run.samples.forEach((sample, i) => enqueue(() => trySample(sample, $('samples').children[i])));
  enqueue(() => {
    $('all').disabled = false;
  });
}

async function startFilming() {
  const video = $('video');
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch (error) {
    throw new Error(`There is no camera that this page may use (${error.name}).`);
  }
  await video.play();
  filming = true;
  tally = { same: 0, of: 0, images: 0 };
  video.hidden = run.postprocessing !== 'top_k';
  $('preview').hidden = true;
  $('camera').setAttribute('aria-pressed', 'true');
  $('camera').textContent = 'Stop the camera';
  markSample(null);
  processFrame(video);
}

function processFrame(video) {
  if (!filming) return;
  enqueue(() => predictImage({ pixels: readPixels(video, video.videoWidth, video.videoHeight), name: 'camera' }))
    .then(() => requestAnimationFrame(() => processFrame(video)));
}

function stopFilming() {
  if (!filming) return;
  filming = false;
  const video = $('video');
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.hidden = true;
  $('camera').setAttribute('aria-pressed', 'false');
  $('camera').textContent = 'Use the camera';
}

function listen() {
  const drop = $('drop');
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
  document.addEventListener('dragleave', () => drop.classList.remove('over'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    openFiles(event.dataTransfer.files);
  });
  document.addEventListener('paste', (event) => openFiles(event.clipboardData.files));
  $('choose').addEventListener('change', (event) => openFiles(event.target.files));
  $('camera').addEventListener('click', () => (filming ? stopFilming() : enqueue(startFilming)));
  $('all').addEventListener('click', tryAll);
}

async function start() {
  run = await (await fetch('run.json')).json();
  document.title = `${run.name} – kresnet demo`;
  $('title').textContent = run.name;
  $('about').textContent = run.about;
  const threads = await startRuntime();
  const roots = [...document.querySelectorAll('.panel')];
  panels = run.initial_files.map((file, i) => new Panel(roots[i], file));
  roots.slice(panels.length).forEach((root) => root.remove());
  for (const panel of panels) await panel.open();
  addSamples();
  listen();
  showStatus(`Ready: LiteRT ${run.litert}, ${threads} ${threads === 1 ? 'thread' : 'threads'}.`);
  document.documentElement.dataset.ready = 'true';
}

enqueue(start);
