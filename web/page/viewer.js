// Before and after: two canvases, a handle between them, zoom and pan.

const MOST_ZOOM = 16;
// Pixels that Shift and an arrow move the picture by.
const PAN = 40;

export class Viewer {
  #root;
  #canvases;
  #handle;
  #value;
  // Where the picture's corner lies in the view, and pixels of the view for one of the picture.
  #view = { x: 0, y: 0, scale: 1 };
  #split = 0.5;
  #pointers = new Map();

  constructor(root) {
    this.#root = root;
    this.#canvases = [...root.querySelectorAll('canvas')];
    this.#handle = root.querySelector('#handle');
    this.#value = root.querySelector('#zoom-value');
    root.querySelector('#zoom-in').onclick = () => this.#zoom(1.5);
    root.querySelector('#zoom-out').onclick = () => this.#zoom(1 / 1.5);
    root.querySelector('#zoom-fit').onclick = () => this.fit();
    root.onwheel = event => {
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY * 0.002), this.#at(event));
    };
    root.onpointerdown = event => this.#press(event);
    root.onpointermove = event => this.#move(event);
    root.onpointerup = root.onpointercancel = event => this.#release(event);
    this.#handle.onkeydown = event => this.#key(event);
    new ResizeObserver(() => this.fit()).observe(root);
  }

  /** Shows two ImageData of one size. */
  show(before, after) {
    const resized = this.#canvases[0].width !== before.width || this.#canvases[0].height !== before.height;
    [before, after].forEach((image, i) => {
      const canvas = this.#canvases[i];
      if (resized) Object.assign(canvas, { width: image.width, height: image.height });
      canvas.getContext('2d').putImageData(image, 0, 0);
    });
    if (resized) this.fit();
  }

  /** How much of the result is seen over the picture, 0 to 1. */
  set strength(share) {
    this.#root.querySelector('#layer-after').classList.toggle('mixed', share < 1);
    this.#canvases[1].style.opacity = share;
  }

  /** All of the picture, as large as the view takes it, but not magnified more than four times. */
  fit() {
    const { clientWidth: w, clientHeight: h } = this.#root;
    const [{ width, height }] = this.#canvases;
    if (!w || !width) return;
    const scale = Math.min(w / width, h / height, 4);
    this.#view = { scale, x: (w - width * scale) / 2, y: (h - height * scale) / 2 };
    this.#draw();
  }

  set split(part) {
    this.#split = Math.min(Math.max(part, 0), 1);
    const percent = this.#split * 100;
    this.#root.style.setProperty('--x', `${percent}%`);
    this.#handle.setAttribute('aria-valuenow', Math.round(percent));
    this.#handle.setAttribute('aria-valuetext', `${Math.round(percent)} % before`);
    this.#root.querySelector('#tag-before').style.opacity = this.#split < 0.12 ? 0 : 1;
    this.#root.querySelector('#tag-after').style.opacity = this.#split > 0.88 ? 0 : 1;
  }

  #at({ clientX, clientY }) {
    const { left, top } = this.#root.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  #zoom(factor, at = { x: this.#root.clientWidth / 2, y: this.#root.clientHeight / 2 }) {
    const { x, y, scale } = this.#view;
    const next = Math.min(Math.max(scale * factor, 0.02), MOST_ZOOM);
    const k = next / scale;
    this.#view = { scale: next, x: at.x - (at.x - x) * k, y: at.y - (at.y - y) * k };
    this.#draw();
  }

  #pan(x, y) {
    this.#view.x += x;
    this.#view.y += y;
    this.#draw();
  }

  #press(event) {
    if (event.target.closest('#zoom')) return;
    this.#root.setPointerCapture(event.pointerId);
    const splits = event.target.closest('#handle') && this.#pointers.size === 0;
    this.#pointers.set(event.pointerId, { ...this.#at(event), splits });
    this.#root.classList.toggle('panning', !splits);
  }

  #move(event) {
    const from = this.#pointers.get(event.pointerId);
    if (!from) return;
    const to = this.#at(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, { ...to, splits: from.splits });
    if (from.splits) {
      this.split = to.x / this.#root.clientWidth;
    } else {
      // Of two fingers each moves the middle by half.
      const part = other ? 0.5 : 1;
      this.#pan((to.x - from.x) * part, (to.y - from.y) * part);
      const apart = point => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      if (other) this.#zoom(apart(to) / apart(from), { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 });
    }
  }

  #release(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#pointers.size === 0) this.#root.classList.remove('panning');
  }

  #key(event) {
    const { key } = event;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (arrow && event.shiftKey) this.#pan(...arrow.map(d => d * -PAN));
    else if (key === 'ArrowLeft' || key === 'ArrowDown') this.split = this.#split - 0.02;
    else if (key === 'ArrowRight' || key === 'ArrowUp') this.split = this.#split + 0.02;
    else if (key === 'PageDown') this.split = this.#split - 0.1;
    else if (key === 'PageUp') this.split = this.#split + 0.1;
    else if (key === 'Home') this.split = 0;
    else if (key === 'End') this.split = 1;
    else if (key === '+' || key === '=') this.#zoom(1.5);
    else if (key === '-') this.#zoom(1 / 1.5);
    else if (key === '0') this.fit();
    else return;
    event.preventDefault();
  }

  #draw() {
    const { x, y, scale } = this.#view;
    for (const canvas of this.#canvases) {
      canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      canvas.classList.toggle('near', scale * devicePixelRatio >= 3);
    }
    this.#value.textContent = `${Math.round(scale * 100)} %`;
  }
}
