// The image, and what of it the network sees.

import { createPicture, drawPicture } from './visualize.js';

// Both are limited: a photo of a phone stands upright. In pixels of the page.
const HEIGHT = 300;
const SHADE = 'rgb(0 0 0 / 0.6)';
const STRIPE = 7;

/** What the network sees of an image: {seen: [left, top, width, height] in its pixels, square: the side in its pixels of
 * the square that it is padded to, words}. card: of a file, as `preprocess` takes it. */
export function seenRegion(card, width, height) {
  const side = card.image_size;
  if (card.preprocessing === 'letterbox') {
    const longer = Math.max(width, height);
    const [w, h] = [width, height].map((length) => Math.max(1, Math.round((length * side) / longer)));
    const padded = w === h ? '' : `, padded to ${side} × ${side}`;
    return { seen: [0, 0, width, height], square: longer, words: `the whole image, resized to ${w} × ${h} pixels${padded}` };
  }
  const shorter = Math.min(width, height);
  const scale = shorter / card.resize;
  const cut = Math.min(shorter, side * scale);
  const margin = Math.max(0, Math.floor((card.resize - side) / 2) * scale);
  const seen = [(width - shorter) / 2 + margin, (height - shorter) / 2 + margin, cut, cut];
  const all = cut === width && cut === height;
  const part = all ? 'the whole image' : `the center crop, ${Math.round((100 * cut * cut) / (width * height))}% of the image`;
  return { seen, square: 0, words: `${part}, resized to ${side} × ${side} pixels` };
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
    drawPicture(this.input, createPicture(shown.input(card)), card.image_size);
    this.caption.textContent = `The network sees ${region.words}.`;
    const size = `${width} × ${height} pixels`;
    this.note.textContent = [shown.name, size, shown.note].filter(Boolean).join(' · ');
    this.canvas.setAttribute('aria-label', `${shown.name}, ${size}; outlined: ${region.words}`);
  }

  drawImage({ pixels: { width, height }, picture }, { seen, square }) {
    const [w, h] = square ? [square, square] : [width, height];
    const room = this.canvas.parentElement.clientWidth;
    const factor = (Math.min(room / w, HEIGHT / h)) * devicePixelRatio;
    this.canvas.width = Math.max(1, Math.round(w * factor));
    this.canvas.height = Math.max(1, Math.round(h * factor));
    this.canvas.style.width = `${this.canvas.width / devicePixelRatio}px`;
    const context = this.canvas.getContext('2d');
    if (square) drawStripes(context, this.canvas);
    context.imageSmoothingEnabled = factor < 4;
    context.drawImage(picture, 0, 0, width * factor, height * factor);
    drawFrame(context, this.canvas, seen.map((each) => each * factor), square ? 'none' : SHADE);
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
