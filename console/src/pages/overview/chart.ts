import { html, nothing, svg, type TemplateResult } from 'lit-html';

import { update } from '../../update.ts';
import { axisEnd, HEIGHT, piecesOf, pointsOf, WIDTH } from './chart-geometry.ts';
import { WINDOW_MS } from './instances.ts';

/** A line of a chart. Its place among the lines decides colour and dashes, which differ both. */
interface Line {
  readonly name: string;
  /** Null where nothing was measured. */
  readonly values: readonly (number | null)[];
}

interface Chart {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  readonly note: string;
  /** When each value was measured, monotonic time, ms. */
  readonly timesMs: readonly number[];
  readonly lines: readonly Line[];
  /** The end of the axis while all values are small. */
  readonly least: number;
  /** A value with its unit. */
  readonly format: (value: number) => string;
  /** Whether most values stand alone, without neighbours to draw a line to. */
  readonly isSparse: boolean;
  /** What the legend says of a line without a value. */
  readonly none: string;
}

/** The charts whose values are shown as a table. */
const tables = new Set<string>();

/** Lines over the last two minutes, with a legend that has the last values, and a table of all of them. */
export function chartView(chart: Chart): TemplateResult {
  const { id, title, note, timesMs, lines, format } = chart;
  const nowMs = performance.now();
  const max = axisEnd(
    Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0))),
    chart.least,
  );
  const scale = { nowMs, windowMs: WINDOW_MS, max };
  return html`<figure class="chart" aria-labelledby=${id}>
    <figcaption id=${id}><h3>${title}</h3></figcaption>
    <div class="plot">
      <div class="axis" aria-hidden="true">
        <span>${format(max)}</span><span>${format(max / 2)}</span><span>${format(0)}</span>
      </div>
      <svg
        viewBox="0 0 ${WIDTH} ${HEIGHT}"
        preserveAspectRatio="none"
        role="img"
        aria-label=${summary(chart)}
      >
        ${[0, HEIGHT / 2, HEIGHT].map((y) => svg`<line class="grid" x1="0" x2=${WIDTH} y1=${y} y2=${y} />`)}
        ${lines.map(({ values }, line) =>
          piecesOf(
            timesMs.map((atMs, index) => ({ atMs, value: values[index] ?? null })),
            scale,
          ).map((piece) =>
            piece.length === 1
              ? svg`<path class="dot line-${line}" d=${`M${pointsOf(piece)}h0.01`} />`
              : svg`<polyline class="line-${line}" points=${pointsOf(piece)} />`,
          ),
        )}
      </svg>
      <div class="times" aria-hidden="true"><span>2 min ago</span><span>1 min ago</span><span>now</span></div>
    </div>
    <ul class="legend">
      ${lines.map(
        ({ name, values }, line) =>
          html`<li>
            <svg viewBox="0 0 28 8" aria-hidden="true">
              <line class="line-${line}" x1="1" x2="27" y1="4" y2="4" />
              ${chart.isSparse ? svg`<path class="dot line-${line}" d="M14 4h0.01" />` : nothing}
            </svg>
            ${name} <strong>${lastText(chart, values)}</strong>
          </li>`,
      )}
    </ul>
    <p class="detail">${note}</p>
    <details ?open=${tables.has(id)} @toggle=${(event: Event) => toggled(id, event)}>
      <summary>Values as a table</summary>
      ${tables.has(id) ? tableView(chart, nowMs) : nothing}
    </details>
  </figure>`;
}

function toggled(id: string, event: Event): void {
  if ((event.target as HTMLDetailsElement).open) tables.add(id);
  else tables.delete(id);
  update();
}

function lastText({ format, none }: Chart, values: readonly (number | null)[]): string {
  const last = values.findLast((value) => value !== null);
  return last == null ? none : format(last);
}

/** What the chart shows, in a sentence. */
function summary(chart: Chart): string {
  const lines = chart.lines.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    const highest = known.length === 0 ? '' : `, at most ${chart.format(Math.max(...known))}`;
    return `${name}: last ${lastText(chart, values)}${highest}`;
  });
  return `${chart.title}, last 2 minutes. ${lines.join('; ')}.`;
}

function tableView({ id, timesMs, lines, format }: Chart, nowMs: number): TemplateResult {
  return html`<div class="scroll" tabindex="0" role="region" aria-labelledby=${id}>
    <table>
      <thead>
        <tr>
          <th scope="col">When</th>
          ${lines.map(({ name }) => html`<th scope="col" class="number">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${timesMs
          .map((atMs, index) => ({ atMs, index }))
          .reverse()
          .map(
            ({ atMs, index }) =>
              html`<tr>
                <th scope="row">${Math.round((nowMs - atMs) / 1000)} s ago</th>
                ${lines.map(({ values }) => {
                  const value = values[index] ?? null;
                  return html`<td class="number">${value === null ? '–' : format(value)}</td>`;
                })}
              </tr>`,
          )}
      </tbody>
    </table>
  </div>`;
}
