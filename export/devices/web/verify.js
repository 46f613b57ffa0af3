// The page: does what kresnet asks, file by file, and shows how far it is.

import { Complaints, describeBrowser, describeGpu } from './describe.js';
import { Connection, LostPlaceError } from './connection.js';
import { Runner } from './runner.js';
import { counted } from './format.js';

const $ = (id) => document.getElementById(id);
// Milliseconds between two messages of how far it is.
const REPORT = 1000;

const complaints = new Complaints();
let shown = '';
let hasFailed = false;

function show(text, kind = '') {
  shown = text;
  $('status').textContent = text;
  $('status').className = kind;
}

const connection = new Connection(
  () => {
    $('status').textContent = 'kresnet cannot be reached: it has ended, or this machine is off the network. Trying again …';
    $('status').className = 'bad';
  },
  () => ($('status').textContent === shown ? null : show(shown)),
);

function showEnd() {
  if (!hasFailed) show('Finished: the verdict is in the terminal.', 'good');
  $('foot').textContent = 'This page can be closed.';
}

function showProgress(done, total) {
  $('progress').hidden = !total;
  $('progress').max = total || 1;
  $('progress').value = Math.min(done, total);
  $('count').textContent = total ? `${Math.min(done, total)} of ${counted(total, 'image')}` : '';
}

function showFacts(job, loaded) {
  const unit = loaded.gpu ? `${loaded.gpu}, by WebGPU` : `WebAssembly, ${counted(loaded.threads, 'thread')}`;
  const rows = { 'Runs in': unit, Size: `${(job.bytes / 1e6).toFixed(2)} MB`, Browser: loaded.agent };
  $('facts').replaceChildren(...Object.entries(rows).flatMap(([name, value]) => {
    const [term, description] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    description.textContent = value;
    return [term, description];
  }));
}

/** A sentence for what went wrong in the browser. */
function describeError(error) {
  const words = String(error?.message ?? error);
  const isMemory = error instanceof RangeError || /out of memory|memory access out of bounds|OOM|allocation failed/i.test(words);
  return isMemory ? `the browser has too little memory for the file (${words})` : words;
}

/** Tells kresnet that nothing will come of this file here. */
async function fail(error) {
  const message = describeError(error);
  hasFailed = true;
  show(`It failed: ${message}.`, 'bad');
  const [first] = complaints.warnings;
  await connection.answer({ kind: 'error', message: first ? `${message} (the log says: ${first})` : message });
}

async function load(job, browser) {
  const gpu = job.accelerator === 'webgpu' ? await describeGpu() : {};
  const runner = await Runner.load(await connection.fetchModel(), job, complaints, (words) => fail(new Error(words)));
  const { threads, load_ms } = runner.about;
  const loaded = { ...browser, ...gpu, threads, load_ms, fallback: runner.fallback, version: job.version };
  showFacts(job, loaded);
  await connection.answer({ kind: 'loaded', ...loaded });
  show('The file is loaded. Waiting for images …');
  return runner;
}

/** Does one thing after another until another file comes, or all is done. */
async function work(job, runner) {
  let { done } = job;
  let reported = performance.now();
  const report = async (images) => {
    showProgress(done + images, job.images);
    if (performance.now() - reported < REPORT) return;
    reported = performance.now();
    await connection.answer({ kind: 'progress' });
  };
  for (;;) {
    const { head, payload } = await connection.next();
    if (head.kind === 'finished') return showEnd();
    if (head.kind === 'reload') return location.reload();
    if (head.kind === 'images') {
      show(done < job.images ? 'Running the validation images …' : 'Running one image again and again …');
      const { parts, ...rest } = await runner.run(payload, head.shape, report);
      done += head.shape[0];
      showProgress(done, job.images);
      await connection.answer({ kind: 'outputs', task: head.task, ...rest }, parts);
    } else {
      show('Measuring the time of one image …');
      const measured = await runner.measure(payload, head, async (seconds, all) => {
        $('count').textContent = `${Math.round(seconds)} of ${counted(Math.round(all), 'second')}`;
        await connection.answer({ kind: 'progress' });
      });
      await connection.answer({ kind: 'measured', task: head.task, ...measured, warnings: complaints.warnings });
      showProgress(done, job.images);
      show('This file is done. Waiting for kresnet …');
    }
  }
}

async function runFile(job, browser) {
  $('file').textContent = job.file;
  document.title = `${job.file} – kresnet verify`;
  showProgress(job.done, job.images);
  show('Loading the file …');
  let runner = null;
  try {
    runner = await load(job, browser);
    await work(job, runner);
  } catch (error) {
    if (error instanceof LostPlaceError) return location.reload();
    await fail(error);
    await work(job, runner); // waits for what comes next
  }
}

async function start() {
  navigator.wakeLock?.request('screen').catch(() => null);
  const browser = await describeBrowser();
  const job = await connection.greet(browser.agent, show);
  if (job.state === 'finished') showEnd();
  else await runFile(job, browser);
}

start().catch((error) => (error instanceof LostPlaceError ? location.reload() : show(describeError(error), 'bad')));
