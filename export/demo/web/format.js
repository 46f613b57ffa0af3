// Numbers in words, as the page shows them.

export const percent = (fraction) => `${(100 * fraction).toFixed(1)}%`;

export const counted = (count, noun, plural = `${noun}s`) => `${count} ${count === 1 ? noun : plural}`;

export const milliseconds = (value) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;

/** The median of numbers: between the two in the middle where their count is even. */
export function median(values) {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}
