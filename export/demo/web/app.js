// The page: images in, predictions of two files side by side out.

import { Camera, openImage } from './images.js';
import { HeatMap } from './heat.js';
import { takesChannels } from './preprocess.js';
import { sampleName, Samples } from './samples.js';
import { countAgreements } from './score.js';
import { counted, percent } from './format.js';
import { Panel } from './panel.js';
import { Stage } from './stage.js';
import { startRuntime } from './network.js';

// Ends the sentence that no image leaves the page.
const HEAT_NOTE = ' unless you ask for a heat map of it: the server of this page makes that, on this machine.';

const $ = (id) => document.getElementById(id);

let run;
let stage;
let heat;
let samples;
let camera;
let panels = [];
let current = null;
let agreement = { same: 0, of: 0, images: 0 };
// Images are processed one after another.
let queue = Promise.resolve();

const showStatus = (text, bad = false) => {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
};

/** Of all classes; null for the thresholds of the files. */
const readThreshold = () => ($('fitted').checked ? null : Number($('threshold').value) / 100);

/** Lets the browser draw. */
const nextFrame = () => new Promise((done) => {
  setTimeout(done, 0);
});

/** Does `work` when all before it is done; shows the message of what it throws. */
function enqueue(work) {
  queue = queue.then(work).catch((error) => showStatus(error.message, true));
  return queue;
}

/** The panels whose file runs. */
const openPanels = () => panels.filter((panel) => panel.network);

/** Shows an image and what the files make of it. */
async function predictImage(image) {
  current = image;
  heat.clear();
  const results = [];
  stage.show(image, run.files[0].card);
  for (const panel of openPanels()) results.push(await panel.predict(image, readThreshold()));
  showResults(image, results);
  showStatus(image.name);
  window.dispatchEvent(new CustomEvent('predicted', { detail: { name: image.name, results } }));
}

function showResults(image, results) {
  const shown = openPanels();
  for (const panel of shown) panel.show(image);
  if (image.sample) {
    for (const panel of shown) panel.countScore(image.sample);
    samples.mark(image.sample, shown.map((panel) => panel.name), shown.map((panel) => panel.score));
  }
  if (results.length === 2) countAgreement(results);
}

function countAgreement([ours, theirs]) {
  const [same, of] = countAgreements(ours.predictions, theirs.predictions, run.postprocessing);
  agreement = { same: agreement.same + same, of: agreement.of + of, images: agreement.images + 1 };
  const [noun, where] = run.postprocessing === 'objects'
    ? ['object', ` in ${counted(agreement.images, 'image')}`]
    : ['image', ''];
  const [first, second] = panels.map((panel) => panel.name);
  $('tally').hidden = false;
  $('tally').textContent = first === second
    ? 'Choose two different files, or accelerators, to compare them.'
    : `${first} and ${second} agree on ${agreement.same} of ${counted(agreement.of, noun)}${where}.`;
}

function clearCounts() {
  agreement = { same: 0, of: 0, images: 0 };
  $('tally').hidden = true;
  samples.clearMarks();
  for (const panel of panels) panel.clearScores();
}

/** Nothing is left of the image before: of one that cannot be read there are no predictions. */
function clearImage() {
  current = null;
  heat.clear();
  stage.clear();
  samples.select(null);
  for (const panel of panels) panel.clear();
}

/** An image file, as it is dropped, pasted, chosen or sampled. */
async function openFile(blob, name, sample = null) {
  showStatus(`Reading ${name} …`);
  await nextFrame();
  try {
    await predictImage(await openImage(blob, name, run, sample));
  } catch (error) {
    clearImage();
    throw error;
  }
}

function openFiles(files) {
  stopFilming();
  if (!files.length) showStatus('There is no file in what was dropped or pasted: save the image, and drop its file.', true);
  for (const file of files) {
    enqueue(() => {
      samples.select(null);
      return openFile(file, file.name || 'the pasted image');
    });
  }
}

async function openSample(sample) {
  samples.select(sample);
  const response = await fetch(sample.url).catch(() => {
    throw new Error(`${sampleName(sample)} cannot be fetched: the server of this page has ended.`);
  });
  await openFile(await response.blob(), sampleName(sample), sample);
}

function tryAll() {
  stopFilming();
  clearCounts();
  $('all').disabled = true;
  for (const sample of run.samples) enqueue(() => openSample(sample));
  enqueue(() => {
    $('all').disabled = false;
    showStatus(`Tried ${counted(run.samples.length, 'sample')}.`);
  });
}

async function startFilming() {
  await camera.start();
  clearCounts();
  samples.select(null);
  $('camera').setAttribute('aria-pressed', 'true');
  $('camera').textContent = 'Stop the camera';
  processFrame();
}

function processFrame() {
  if (!camera.isFilming) return;
  enqueue(() => (camera.isFilming ? predictImage(camera.frame()) : null)).then(() => requestAnimationFrame(processFrame));
}

function stopFilming() {
  if (!camera.isFilming) return;
  camera.stop();
  $('camera').setAttribute('aria-pressed', 'false');
  $('camera').textContent = 'Use the camera';
}

async function explainImage() {
  if (!current) return;
  showStatus(`Making a heat map of ${current.name} …`);
  await nextFrame();
  await heat.show(current);
  showStatus(current.name);
}

/** Another file or accelerator: what was counted of the one before is gone. */
function changePanel(panel) {
  enqueue(async () => {
    clearCounts();
    showStatus(`Opening ${panel.file} …`);
    await panel.open(readThreshold());
    if (current) await predictImage(current);
    else showStatus('');
  });
}

function showThreshold() {
  const threshold = readThreshold();
  $('threshold-value').textContent = threshold === null ? 'by class' : percent(threshold).replace('.0', '');
}

function changeThreshold() {
  showThreshold();
  enqueue(() => {
    clearCounts();
    if (current) showResults(current, openPanels().map((panel) => panel.decodeAgain(current, readThreshold())));
  });
}

function changeRejection() {
  for (const panel of panels) panel.rejects = $('reject').checked;
  enqueue(() => {
    if (current) for (const panel of openPanels()) panel.show(current);
  });
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
  $('choose').addEventListener('change', (event) => {
    openFiles([...event.target.files]);
    event.target.value = ''; // or the same file could not be chosen again
  });
  $('camera').addEventListener('click', () => (camera.isFilming ? stopFilming() : enqueue(startFilming)));
  $('all').addEventListener('click', tryAll);
  $('explain').addEventListener('click', () => {
    stopFilming();
    enqueue(explainImage);
  });
  $('threshold').addEventListener('input', () => {
    $('fitted').checked = false;
    changeThreshold();
  });
  $('fitted').addEventListener('change', changeThreshold);
  $('reject').addEventListener('change', changeRejection);
}

function describePage() {
  document.title = `${run.name} – kresnet demo`;
  $('title').textContent = run.name;
  $('about').textContent = run.about;
  $('all').hidden = !run.samples.length;
  $('camera').hidden = !takesChannels(3, run.channels);
  $('explain').hidden = !run.explains || !takesChannels(3, run.channels);
  if (run.explains) $('foot').textContent = $('foot').textContent.replace(/\.$/, HEAT_NOTE);
  $('no-samples').hidden = !run.no_samples;
  $('no-samples').textContent = run.no_samples && `${run.no_samples[0].toUpperCase()}${run.no_samples.slice(1)}.`;
  $('confidence').hidden = run.postprocessing !== 'objects';
  $('rejection').hidden = run.files.every((each) => !each.card.rejection);
  $('reject').checked = false; // also where the browser remembers it
  $('threshold').value = Math.round(100 * run.constants.display_threshold);
  $('fitted').checked = run.files.some((each) => each.card.score_thresholds.length);
  $('thresholds').hidden = !$('fitted').checked;
  showThreshold();
}

async function start() {
  run = await (await fetch('run.json')).json();
  describePage();
  const runtime = await startRuntime();
  stage = new Stage($('drop'));
  heat = new HeatMap($('heat'));
  camera = new Camera($('video'));
  samples = new Samples($('samples'), run.samples, (sample) => {
    stopFilming();
    enqueue(() => openSample(sample));
  });
  const roots = [...document.querySelectorAll('.panel')];
  panels = run.initial_files.map((file, i) => new Panel(roots[i], run, runtime, file, () => changePanel(panels[i])));
  roots.slice(panels.length).forEach((root) => root.remove());
  for (const panel of panels) await panel.open(readThreshold());
  listen();
  showStatus(`Ready: LiteRT.js ${run.litert}.`);
  if (run.samples.length) enqueue(() => openSample(run.samples[0]));
  enqueue(() => {
    document.documentElement.dataset.ready = 'true';
  });
}

enqueue(start);
