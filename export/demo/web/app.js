// The page: images in, answers of two files side by side out.

import { agreed } from './postprocess.js';
import { mark, show } from './visualize.js';
import { Network, startRuntime } from './network.js';
import { imageOf, isDeep, pixelsOf } from './preprocess.js';

const $ = (id) => document.getElementById(id);
// Images smaller than this are shown with their pixels, and letters drawn into others are this high on the screen.
const TINY = 64;
const LETTERS = 13;
// Latencies of which the median is shown.
const REMEMBERED = 50;

let run;
let panels = [];
let tally = { same: 0, of: 0, images: 0 };
let filming = false;
// Images are answered one after another.
let last = Promise.resolve();

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const told = (text, bad = false) => {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
};

/** One file and what it answered. */
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
    this.times = [];
    const about = run.files.find((each) => each.file === this.select.value);
    this.network = await Network.open(about, run.rules);
    this.root.querySelector('.facts').textContent = about.facts;
    this.root.querySelector('.answers').replaceChildren();
    this.root.querySelector('.latency b').textContent = '–';
  }

  changed() {
    tally = { same: 0, of: 0, images: 0 };
    return inTurn(async () => {
      await this.open();
      if (current) await answer(current);
    });
  }

  async answer(image) {
    const answered = await this.network.answer(image);
    this.times = [...this.times, answered.milliseconds].slice(-REMEMBERED);
    return { file: this.network.about.file, ...answered };
  }

  show(image, { found, milliseconds }) {
    const ordered = [...this.times].sort((a, b) => a - b);
    this.root.querySelector('.latency b').textContent = `${milliseconds.toFixed(1)} ms`;
    this.root.querySelector('.latency span').textContent =
      `this inference · median ${ordered[ordered.length >> 1].toFixed(1)} ms of ${ordered.length}`;
    if (run.postprocessing !== 'top_k') {
      this.canvas.hidden = false;
      const factor = show(this.canvas, image, Math.round(this.canvas.clientWidth * devicePixelRatio));
      mark(this.canvas, run.postprocessing === 'main_object' ? found.slice(0, 1) : found, factor, LETTERS * devicePixelRatio);
    }
    this.root.querySelector('.answers').replaceChildren(...(found.length ? found.map(line) : [nothing()]));
  }
}

function line({ label, probability }) {
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

function nothing() {
  const item = document.createElement('li');
  item.className = 'soft';
  item.textContent = 'nothing found';
  return item;
}

let current = null;

/** Does `work` when all before it is done; what it throws is told. */
function inTurn(work) {
  last = last.then(work).catch((error) => told(error.message, true));
  return last;
}

/** Shows what the files say of an image: {pixels, name}. */
async function answer(shown) {
  current = shown;
  const answers = [];
  for (const panel of panels) answers.push(await panel.answer(shown.pixels));
  panels.forEach((panel, i) => panel.show(shown.pixels, answers[i]));
  if (run.postprocessing === 'top_k' && !filming) {
    $('preview').hidden = false;
    $('preview').classList.toggle('tiny', shown.pixels.width < TINY);
    show($('preview'), shown.pixels);
  }
  told(shown.name);
  if (answers.length === 2) count(answers);
  window.dispatchEvent(new CustomEvent('answered', { detail: { name: shown.name, answers } }));
}

function count([ours, theirs]) {
  const [same, of] = agreed(ours.found, theirs.found, run.postprocessing);
  tally = { same: tally.same + same, of: tally.of + of, images: tally.images + 1 };
  const what = ['top_k', 'main_object'].includes(run.postprocessing) ? 'images' : 'objects';
  const over = what === 'images' ? '' : ` in ${tally.images} ${tally.images === 1 ? 'image' : 'images'}`;
  $('tally').hidden = false;
  $('tally').textContent = ours.file === theirs.file
    ? 'Choose two different files to compare them.'
    : `${ours.file} and ${theirs.file} agree on ${tally.same} of ${tally.of} ${what}${over}.`;
}

/** An image file, as it is dropped, pasted, chosen or sampled. */
async function look(blob, name) {
  const [black, white] = run.levels;
  if (run.levels.length && (black !== 0 || white !== 65535) && (await isDeep(blob))) {
    throw new Error(`${name} has 16 bits, of which a browser keeps the upper 8; this network takes ${black} as black and`
      + ` ${white} as white. Use kresnet predict.`);
  }
  const pixels = await imageOf(blob).catch(() => {
    throw new Error(`${name} is not an image that this browser can read.`);
  });
  await answer({ pixels, name });
}

function lookAt(files) {
  stopFilming();
  markSample(null);
  for (const file of files) inTurn(() => look(file, file.name || 'the pasted image'));
}

function markSample(button) {
  for (const each of $('samples').children) each.setAttribute('aria-current', String(each === button));
}

async function trySample(sample, button) {
  markSample(button);
  const blob = await (await fetch(sample.url)).blob();
  await look(blob, sample.label ? `validation image, ${sample.label}` : 'validation image');
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
      inTurn(() => trySample(sample, button));
    });
    $('samples').append(button);
  }
  $('all').hidden = !run.samples.length;
}

function tryAll() {
  stopFilming();
  tally = { same: 0, of: 0, images: 0 };
  $('all').disabled = true;
  run.samples.forEach((sample, i) => inTurn(() => trySample(sample, $('samples').children[i])));
  inTurn(() => {
    $('all').disabled = false;
  });
}

async function film() {
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
  frame(video);
}

function frame(video) {
  if (!filming) return;
  inTurn(() => answer({ pixels: pixelsOf(video, video.videoWidth, video.videoHeight), name: 'camera' }))
    .then(() => requestAnimationFrame(() => frame(video)));
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
    lookAt(event.dataTransfer.files);
  });
  document.addEventListener('paste', (event) => lookAt(event.clipboardData.files));
  $('choose').addEventListener('change', (event) => lookAt(event.target.files));
  $('camera').addEventListener('click', () => (filming ? stopFilming() : inTurn(film)));
  $('all').addEventListener('click', tryAll);
}

async function start() {
  run = await (await fetch('run.json')).json();
  document.title = `${run.name} – kresnet demo`;
  $('title').textContent = run.name;
  $('about').textContent = run.about;
  const threads = await startRuntime();
  const places = [...document.querySelectorAll('.panel')];
  panels = run.shown.map((file, i) => new Panel(places[i], file));
  places.slice(panels.length).forEach((place) => place.remove());
  for (const panel of panels) await panel.open();
  addSamples();
  listen();
  told(`Ready: LiteRT ${run.litert}, ${threads} ${threads === 1 ? 'thread' : 'threads'}.`);
  document.documentElement.dataset.ready = 'true';
}

inTurn(start);
