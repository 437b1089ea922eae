// The subset of SVG that the plots need. Text is escaped. Colours are classes, so that a file is readable on light and dark.
const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.ground { fill: #ffffff; }
.quiet { fill: #59636e; font-size: 11px; }
.heading { font-size: 14px; font-weight: 600; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.goal { stroke: #8250df; stroke-width: 1.5; stroke-dasharray: 5 3; }
.goal-name { fill: #8250df; font-size: 11px; }
.line { fill: none; stroke: #0969da; stroke-width: 1.5; }
.range { stroke: #0969da; stroke-width: 3; stroke-linecap: round; }
.point { fill: #0969da; stroke: #0969da; stroke-width: 2; }
.range.short { stroke: #bc4c00; }
.point.short { fill: #ffffff; stroke: #bc4c00; }
.range.open { stroke: #818b98; }
.point.open { fill: #818b98; stroke: #818b98; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .ground { fill: #0d1117; }
  .quiet { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .goal { stroke: #ab7df8; }
  .goal-name { fill: #ab7df8; }
  .line, .range { stroke: #4493f8; }
  .point { fill: #4493f8; stroke: #4493f8; }
  .range.short { stroke: #f0883e; }
  .point.short { fill: #0d1117; stroke: #f0883e; }
  .range.open { stroke: #818b98; }
  .point.open { fill: #818b98; stroke: #818b98; }
}
`;

/** @param {{ width: number, height: number, title: string, parts: string[] }} drawing */
export function svgOf({ width, height, title, parts }) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    element('rect', { class: 'ground', x: 0, y: 0, width, height, rx: 6 }),
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** @param {'start' | 'middle' | 'end'} anchor which part of the text is at `x` */
export function textAt(x, y, words, className = 'label', anchor = 'start') {
  return element('text', { class: className, x, y, 'text-anchor': anchor }, words);
}

export function lineFrom(x1, y1, x2, y2, className) {
  return element('line', { class: className, x1, y1, x2, y2 });
}

export function dotAt(cx, cy, className) {
  return element('circle', { class: className, cx, cy, r: 4 });
}

export function pathThrough(points, className) {
  return element('polyline', {
    class: className,
    points: points.map((at) => at.map(short).join(',')).join(' '),
  });
}

function element(name, attributes, words) {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(short(value))}"`);
  return words === undefined
    ? `<${name}${written.join('')}/>`
    : `<${name}${written.join('')}>${escaped(words)}</${name}>`;
}

function short(value) {
  if (typeof value !== 'number') return value;
  if (!Number.isFinite(value)) throw new Error(`a plot cannot show ${value}`);
  return String(Number(value.toFixed(1)));
}

function escaped(words) {
  return String(words)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
