// Pictures in and out, and what a browser changes in them.

/** Reads a file: its pixels, its name, and notes on what is not kept. */
export async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name || 'The picture'} is damaged, or of a format that this browser does not read.`);
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const name = (file.name || 'picture').replace(/\.[^.]*$/, '');
  const notes = changes(new DataView(await file.slice(0, 1 << 17).arrayBuffer()));
  return { name, notes, pixels: context.getImageData(0, 0, width, height) };
}

/** Writes pixels in a format (a MIME type), at their own size. */
export async function write({ data, width, height }, type) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
  const blob = await canvas.convertToBlob({ type, quality: 0.95 });
  if (blob.type !== type) throw new Error(`This browser does not write ${type.replace('image/', '').toUpperCase()}.`);
  return blob;
}

/** What a share of the result and the rest of the picture make, in 8 bits. */
export function blend({ data: from, width, height }, to, share) {
  if (share === 1) return to;
  const out = new Uint8ClampedArray(from.length);
  for (let i = 0; i < out.length; i++) out[i] = from[i] + share * (to.data[i] - from[i]);
  return new ImageData(out, width, height);
}

const DEPTH = 'More than 8 bits a channel: smoothed and saved in 8. The command line keeps 16.';
const PROFILE = 'Its colour profile: converted to sRGB, in which the result is saved.';
const EXIF = 'Date, place and camera (EXIF): left out of the result. It is turned upright.';
const MOVING = 'An animation: its first frame alone is smoothed.';

function changes(view) {
  const text = (at, length) => new TextDecoder('latin1').decode(new Uint8Array(view.buffer).subarray(at, at + length));
  if (view.byteLength < 32) return [];
  if (view.getUint32(0) === 0x89504e47) return png(view, text);
  if (view.getUint16(0) === 0xffd8) return jpeg(view, text);
  if (text(0, 3) === 'GIF') return [MOVING];
  if (text(8, 8) === 'WEBPVP8X') return webp(view.getUint8(20));
  if (text(4, 4) === 'ftyp') return avif(view, text(0, view.byteLength));
  return [];
}

function png(view, text) {
  const notes = view.getUint8(24) === 16 ? [DEPTH] : [];
  for (let at = 8; at + 12 <= view.byteLength; at += 12 + view.getUint32(at)) {
    const kind = text(at + 4, 4);
    if (kind === 'iCCP') notes.push(PROFILE);
    if (kind === 'eXIf') notes.push(EXIF);
    if (kind === 'acTL') notes.push(MOVING);
    if (kind === 'IDAT') break;
  }
  return notes;
}

function jpeg(view, text) {
  const notes = [];
  for (let at = 2; at + 4 <= view.byteLength && view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xe2 && text(at + 4, 11) === 'ICC_PROFILE') notes.push(PROFILE);
    if (marker === 0xe1 && text(at + 4, 4) === 'Exif') notes.push(EXIF);
    if (marker === 0xda) break;
  }
  return [...new Set(notes)];
}

function webp(flags) {
  return [flags & 0x20 && PROFILE, flags & 0x08 && EXIF, flags & 0x02 && MOVING].filter(Boolean);
}

function avif(view, text) {
  const codec = text.indexOf('av1C');
  const deep = codec > 0 && codec + 7 <= view.byteLength && view.getUint8(codec + 6) & 0x40;
  const profile = text.includes('colrprof') && PROFILE;
  return [deep && DEPTH, profile, text.includes('Exif') && EXIF, text.startsWith('avis', 8) && MOVING].filter(Boolean);
}
