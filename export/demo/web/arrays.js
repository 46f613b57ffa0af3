// Images in .npy files, as keras_resnet/runtime/preprocess.py reads them: numbers (H, W) or (H, W, channels).

const MAGIC = '\x93NUMPY';
const READERS = {
  b1: 'getUint8', u1: 'getUint8', i1: 'getInt8', u2: 'getUint16', i2: 'getInt16', u4: 'getUint32', i4: 'getInt32',
  f4: 'getFloat32', f8: 'getFloat64',
};

/** Whether a file is a NumPy array. */
export async function isArray(blob) {
  const head = new Uint8Array(await blob.slice(0, MAGIC.length).arrayBuffer());
  return String.fromCharCode(...head) === MAGIC;
}

/** The image in a .npy file: {data, width, height, channels}. levels: the values that are black and white in arrays of
 * more than 8 bits; none takes those that are usual for their type. Throws an Error that says what is wrong with it. */
export async function decodeArray(blob, levels) {
  const buffer = await blob.arrayBuffer();
  const view = new DataView(buffer);
  const isOld = view.getUint8(6) === 1;
  const start = (isOld ? 10 : 12) + (isOld ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = new TextDecoder('latin1').decode(new Uint8Array(buffer, 0, Math.min(start, buffer.byteLength)));
  const [, order, type] = /'descr': '([<>|=]?)(\w+)'/.exec(header) ?? [];
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '').split(',').filter((each) => each.trim()).map(Number);
  const [height, width, channels = 1] = shape;
  const isImage = (shape.length === 2 || shape.length === 3) && shape.every((side) => side > 0);
  if (!READERS[type] || !isImage || header.includes("'fortran_order': True")) {
    throw new Error('holds no numbers (H, W) or (H, W, channels), row by row.');
  }
  const count = height * width * channels;
  const bytes = Number(type[1]);
  if (buffer.byteLength < start + count * bytes) throw new Error('is truncated.');
  if (type === 'u1') return { data: new Uint8Array(buffer, start, count), width, height, channels };
  const values = Float64Array.from({ length: count }, (_, at) => view[READERS[type]](start + at * bytes, order !== '>'));
  return { data: type === 'b1' ? Uint8Array.from(values) : scale(values, type, levels), width, height, channels };
}

/** Values as 8 bits, from black to white. */
function scale(values, type, levels) {
  const [black, white] = levels.length ? levels : [0, guessWhite(values, type)];
  return Uint8Array.from(values, (value) => {
    const scaled = ((Number.isFinite(value) ? value : 0) - black) * 255 / (white - black);
    const low = Math.floor(scaled);
    const rounded = scaled - low === 0.5 ? low + (low % 2) : Math.round(scaled);
    return Math.max(0, Math.min(255, rounded));
  });
}

function guessWhite(values, type) {
  const most = values.reduce((largest, value) => Math.max(largest, value), 0);
  if (type.startsWith('f')) return most <= 1 ? 1 : 255;
  return type.endsWith('2') || most > 255 ? 65535 : 255;
}
