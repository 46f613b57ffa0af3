// Messages to and from kresnet: a line of JSON, then bytes, with their number and their CRC-32.

const TABLE = Uint32Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The CRC-32 of bytes, as zlib has it: pages without https have no SHA-256. */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) value = TABLE[(value ^ bytes[at]) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** A message as it is sent. parts: typed arrays. */
export function pack(head, parts = []) {
  const views = parts.map((each) => new Uint8Array(each.buffer, each.byteOffset, each.byteLength));
  const payload = new Uint8Array(views.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of views) {
    payload.set(each, at);
    at += each.length;
  }
  return new Blob([`${JSON.stringify({ ...head, bytes: payload.length, crc32: crc32(payload) })}\n`, payload]);
}

/** Reads a message: {head, payload}. Throws an Error where it arrived damaged. */
export function unpack(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const payload = bytes.slice(end + 1);
  if (payload.length !== head.bytes || crc32(payload) !== head.crc32) {
    throw new Error('what kresnet sent arrived damaged: the checksum is another one');
  }
  return { head, payload };
}
