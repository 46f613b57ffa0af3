// Where the labels of boxes go, so that none covers another.

const overlaps = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** Places around and in a box, the usual one first: above its upper edge, below its lower one, then within. */
function places({ left, top, right, bottom }, width, height) {
  const columns = [left, right - width, (left + right - width) / 2];
  const rows = [top - height, top, bottom, bottom - height];
  for (let y = top + height; y < bottom - height; y += height) rows.push(y);
  return rows.flatMap((y) => columns.map((x) => ({ x, y })));
}

/** Returns a rectangle for each label, in order, or null where the picture has no room: [{x, y, width, height}, …].
 * labels: [{box: [left, top, right, bottom], width, height}, …], the most important first; area: {width, height}. */
export function placeLabels(labels, area) {
  const taken = [];
  return labels.map(({ box: [left, top, right, bottom], width, height }) => {
    const candidates = places({ left, top, right, bottom }, width, height).map(({ x, y }) => ({
      x: Math.max(0, Math.min(x, area.width - width)),
      y: Math.max(0, Math.min(y, area.height - height)),
      width,
      height,
    }));
    const free = candidates.find((each) => width <= area.width && !taken.some((other) => overlaps(each, other))) ?? null;
    if (free) taken.push(free);
    return free;
  });
}
