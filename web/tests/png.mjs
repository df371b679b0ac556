// Writes PNG files: RGB or RGBA, 8 or 16 bits.
import { deflateSync } from 'node:zlib';

/** The checksum of PNG's chunks. */
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function chunk(kind, data) {
  const bytes = Buffer.concat([Buffer.from(kind), data]);
  const out = Buffer.alloc(bytes.length + 8);
  out.writeUInt32BE(data.length, 0);
  bytes.copy(out, 4);
  out.writeUInt32BE(crc32(bytes), bytes.length + 4);
  return out;
}

/** The file of `value(x, y, channel)`, from 0 to 1. */
export function png(width, height, value, { channels = 3, depth = 8, extra = [] } = {}) {
  const size = depth / 8;
  const rows = Buffer.alloc(height * (1 + width * channels * size));
  for (let y = 0, at = 0; y < height; y++) {
    at++; // no filter
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++, at += size) rows.writeUIntBE(Math.round(value(x, y, c) * (2 ** depth - 1)), at, size);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, channels === 4 ? 6 : 2], 8);
  const chunks = [['IHDR', header], ...extra, ['IDAT', deflateSync(rows)], ['IEND', Buffer.alloc(0)]];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks.map(([kind, data]) => chunk(kind, data))]);
}
