// The image, and what of it the network sees.

import { fitInto, middleOf, sidesOf } from './preprocess.js';
import { createPicture, drawPicture } from './visualize.js';

// Both are limited: a photo of a phone stands upright. In pixels of the page.
const HEIGHT = 300;
const SHADE = 'rgb(0 0 0 / 0.6)';
const STRIPE = 7;

/** The pixels that a part of an image becomes: "8 × 8 pixels" where it has them already, else by `verb`. */
const sized = (verb, [width, height], [wide, high]) => {
  const words = `${wide} × ${high} pixels`;
  return width === wide && height === high ? words : `${verb} to ${words}`;
};

/** What the network sees of an image: {seen: [left, top, width, height] in its pixels, canvas: [width, height] in its
 * pixels of what it is padded to, or null, words}. card: of a file, as `preprocess` takes it. */
export function seenRegion(card, width, height) {
  const target = sidesOf(card.image_size);
  const [high, wide] = target;
  if (card.preprocessing === 'letterbox') {
    const [h, w] = fitInto(width, height, target);
    const padded = w === wide && h === high ? '' : `, padded to ${wide} × ${high}`;
    const scale = Math.max(width / wide, height / high);
    const canvas = [wide * scale, high * scale];
    const words = `the whole image, ${sized('resized', [width, height], [w, h])}${padded}`;
    return { seen: [0, 0, width, height], canvas, words };
  }
  if (card.preprocessing === 'stretch') {
    const words = `the whole image, ${sized('stretched', [width, height], [wide, high])}`;
    return { seen: [0, 0, width, height], canvas: null, words };
  }
  const whole = sidesOf(card.resize);
  const [left, top, right, bottom] = middleOf(width, height, whole);
  const [down, across] = [(bottom - top) / whole[0], (right - left) / whole[1]];
  const [above, beside] = whole.map((side, each) => Math.floor((side - target[each]) / 2));
  const seen = [left + beside * across, top + above * down, wide * across, high * down];
  const all = seen[2] === width && seen[3] === height;
  const share = Math.round((100 * seen[2] * seen[3]) / (width * height));
  const part = all ? 'the whole image' : `the center crop, ${share}% of the image`;
  return { seen, canvas: null, words: `${part}, ${sized('resized', seen.slice(2), [wide, high])}` };
}

export class Stage {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector('.image');
    this.input = root.querySelector('.input');
    this.caption = root.querySelector('.seen');
    this.note = root.querySelector('.about-image');
  }

  /** Shows an image, as images.js has it, and the pixels that a network gets of it. */
  show(shown, card) {
    const { width, height } = shown.pixels;
    const region = seenRegion(card, width, height);
    this.root.classList.add('filled');
    this.drawImage(shown, region);
    drawPicture(this.input, createPicture(shown.input(card)), sidesOf(card.image_size)[1]);
    this.caption.textContent = `The network sees ${region.words}.`;
    const size = `${width} × ${height} pixels`;
    this.note.textContent = [shown.name, size, shown.note].filter(Boolean).join(' · ');
    this.canvas.setAttribute('aria-label', `${shown.name}, ${size}; outlined: ${region.words}`);
  }

  drawImage({ pixels: { width, height }, picture }, { seen, canvas }) {
    const [w, h] = canvas ?? [width, height];
    const room = this.canvas.parentElement.clientWidth;
    const factor = (Math.min(room / w, HEIGHT / h)) * devicePixelRatio;
    this.canvas.width = Math.max(1, Math.round(w * factor));
    this.canvas.height = Math.max(1, Math.round(h * factor));
    this.canvas.style.width = `${this.canvas.width / devicePixelRatio}px`;
    const context = this.canvas.getContext('2d');
    if (canvas) drawStripes(context, this.canvas);
    context.imageSmoothingEnabled = factor < 4;
    context.drawImage(picture, 0, 0, width * factor, height * factor);
    drawFrame(context, this.canvas, seen.map((each) => each * factor), canvas ? 'none' : SHADE);
  }

  clear() {
    this.root.classList.remove('filled');
    this.caption.textContent = this.note.textContent = '';
  }
}

/** What is padding. */
function drawStripes(context, { width, height }) {
  context.fillStyle = '#111';
  context.fillRect(0, 0, width, height);
  context.strokeStyle = '#444';
  context.lineWidth = devicePixelRatio;
  context.beginPath();
  for (let x = -height; x < width; x += STRIPE * devicePixelRatio) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
}

/** A frame around what is seen; what is not lies in the shade. */
function drawFrame(context, canvas, [left, top, width, height], shade) {
  if (shade !== 'none') {
    context.fillStyle = shade;
    context.beginPath();
    context.rect(0, 0, canvas.width, canvas.height);
    context.rect(left, top, width, height);
    context.fill('evenodd');
  }
  const line = 2 * devicePixelRatio;
  context.lineWidth = line;
  for (const [color, offset] of [['#fff', 0], ['#1d5fc4', line * 2]]) {
    context.strokeStyle = color;
    context.setLineDash([line * 2, line * 2]);
    context.lineDashOffset = offset;
    context.strokeRect(left + line / 2, top + line / 2, width - line, height - line);
  }
  context.setLineDash([]);
}
