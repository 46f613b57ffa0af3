// Heat maps, on request: the server of the page makes them, by the run's Keras model.

// Images smaller than this are shown with visible pixels.
const TINY = 64;

export class HeatMap {
  /** root: a figure. */
  constructor(root) {
    this.root = root;
  }

  /** Shows the heat map of an image, as images.js has it. Throws an Error that says why there is none. */
  async show(shown) {
    const file = await shown.picture.convertToBlob({ type: 'image/png' });
    const response = await fetch('explain', { method: 'POST', body: file }).catch(() => {
      throw new Error('There is no heat map: the server of this page has ended.');
    });
    const { picture, words, error } = await response.json();
    if (error) throw new Error(`There is no heat map: ${error}`);
    const image = this.root.querySelector('img');
    image.src = picture;
    image.alt = `Heat map: ${words}`;
    await image.decode();
    image.classList.toggle('tiny', image.naturalWidth < TINY);
    this.root.querySelector('figcaption').textContent = `The Keras model's prediction: ${words}. Bright parts raise its score most.`;
    this.root.hidden = false;
  }

  /** Nothing is left of the image before. */
  clear() {
    this.root.hidden = true;
  }
}
