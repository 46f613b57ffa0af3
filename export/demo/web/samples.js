// The validation images on the page, and what each file made of them.

import { isRight } from './score.js';

// Images smaller than this are shown with visible pixels.
const TINY = 64;
const MARKS = { true: '✓', false: '✗' };

export class Samples {
  /** open: called with a sample when one is chosen. */
  constructor(root, samples, open) {
    this.root = root;
    this.samples = samples;
    this.open = open;
    this.buttons = samples.map((sample, i) => this.addButton(sample, i));
    root.hidden = !samples.length;
    this.clearMarks();
    root.addEventListener('keydown', (event) => this.moveFocus(event));
  }

  addButton(sample, i) {
    const button = this.root.appendChild(document.createElement('button'));
    button.type = 'button';
    button.tabIndex = i ? -1 : 0;
    const image = button.appendChild(document.createElement('img'));
    image.src = sample.url;
    image.alt = '';
    image.addEventListener('load', () => image.classList.toggle('tiny', image.naturalWidth < TINY));
    button.appendChild(document.createElement('span')).className = 'marks';
    button.addEventListener('click', () => this.open(sample));
    return button;
  }

  /** Arrow keys, Home and End, as in any list. */
  moveFocus(event) {
    const at = this.buttons.indexOf(document.activeElement);
    const last = this.buttons.length - 1;
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    this.focus(this.buttons[Math.max(0, Math.min(last, next))]);
  }

  focus(button) {
    for (const each of this.buttons) each.tabIndex = each === button ? 0 : -1;
    button.focus();
  }

  /** Marks the sample that is shown; none for null. */
  select(sample) {
    this.buttons.forEach((button, i) => {
      const isShown = this.samples[i] === sample;
      button.setAttribute('aria-current', String(isShown));
      if (isShown) for (const each of this.buttons) each.tabIndex = each === button ? 0 : -1;
    });
  }

  /** Shows whether each file was right: scores of score.js, null where that is not known. */
  mark(sample, files, scores) {
    const button = this.buttons[this.samples.indexOf(sample)];
    const known = scores.map((score) => score && isRight(score));
    button.querySelector('.marks').replaceChildren(...known.filter((right) => right !== null).map((right) => {
      const mark = document.createElement('i');
      mark.className = right ? 'right' : 'wrong';
      mark.textContent = MARKS[right];
      return mark;
    }));
    const words = files.map((file, i) => `${file} ${known[i] ? 'right' : 'wrong'}`).join(', ');
    this.name(button, sample, known.includes(null) ? '' : words);
  }

  clearMarks() {
    this.buttons.forEach((button, i) => {
      button.querySelector('.marks').replaceChildren();
      this.name(button, this.samples[i], '');
    });
  }

  name(button, sample, words) {
    const name = `${sampleName(sample)}${words ? `: ${words}` : ''}`;
    button.title = name;
    button.setAttribute('aria-label', name);
  }
}

export function sampleName(sample) {
  const number = `sample ${sample.number}${sample.file ? ` (${sample.file})` : ''}`;
  return sample.label ? `${number}, labeled ${sample.label}` : number;
}
