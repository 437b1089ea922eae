import { html, nothing, svg, type TemplateResult } from 'lit-html';

import { shortId } from '../../ui/short-id.ts';
import type { KeyLife } from './key-life.ts';
import { type Bar, type Mark, position, type Row, rowsOf, type Span, ticksOf } from './timeline-geometry.ts';

const DAY_MS = 86_400_000;
/** Heights, px. Widths are percents, so that the text keeps its form at every width. */
const ROW = 78;
const BAR_TOP = 22;
const BAR = 18;
const LINE = 15;
const AXIS = 22;

const words: Readonly<Record<Mark['what'], string>> = {
  published: 'published',
  signs: 'signs',
  retired: 'retired',
  gone: 'gone',
  revoked: 'revoked',
};

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

/** A time as short as the span allows. */
function shortTime(atMs: number, { fromMs, toMs }: Span): string {
  const length = toMs - fromMs;
  if (length <= DAY_MS) return time.format(atMs);
  if (length <= 3 * DAY_MS) return `${day.format(atMs)}, ${time.format(atMs)}`;
  return (length <= 300 * DAY_MS ? day : dayOfYear).format(atMs);
}

/** The life of each key on one scale of time, with now as a line. The table below says the same to screen readers. */
export function timelineView(lives: readonly KeyLife[], span: Span, nowMs: number): TemplateResult {
  const rows = rowsOf(lives, span, nowMs);
  const height = rows.length * ROW + AXIS;
  const nowX = position(nowMs, span);
  return html`<div class="timeline card" aria-hidden="true">
    <svg width="100%" height=${height}>
      ${ticksOf(span, -new Date(nowMs).getTimezoneOffset() * 60_000).map((atMs) => tick(atMs, span, { height, nowX }))}
      ${rows.map((row, index) => barsView(row, index * ROW))}
      <line class="now" x1=${percent(nowX)} x2=${percent(nowX)} y1="0" y2=${height - AXIS} />
      <text class="now" x=${percent(nowX)} y=${height - 6} text-anchor=${anchorOf(nowX)}>now</text>
      ${rows.map(({ marks }, index) => marks.map((mark) => markView(mark, index * ROW + BAR_TOP, span)))}
    </svg>
    <p class="legend">
      <span class="key published">published, does not sign yet</span>
      <span class="key signs">signs</span>
      <span class="key retired">retired: verifies its last tokens</span>
      <span class="key planned">pale: to come</span>
    </p>
  </div>`;
}

/** Room for the word "now" between the times of the axis, percent. */
const NOW_ROOM = 7;

function tick(atMs: number, span: Span, { height, nowX }: { height: number; nowX: number }) {
  const x = position(atMs, span);
  return svg`<line class="tick" x1=${percent(x)} x2=${percent(x)} y1="0" y2=${height - AXIS} />
    ${
      x < 4 || x > 96 || Math.abs(x - nowX) < NOW_ROOM
        ? nothing
        : svg`<text class="tick" x=${percent(x)} y=${height - 6} text-anchor="middle">${shortTime(atMs, span)}</text>`
    }`;
}

function barsView({ life, bars }: Row, top: number) {
  return svg`<text class="name" x="0" y=${top + 16}>${shortId(life.kid)} · ${life.algorithm}</text>
    ${bars.map((bar) => barView(bar, top + BAR_TOP))}`;
}

function barView({ kind, x, width, isPlanned }: Bar, y: number) {
  return svg`<rect
    class="bar ${kind} ${isPlanned ? 'planned' : ''}"
    x=${percent(x)} y=${y} width=${percent(width)} height=${BAR}
  />`;
}

function markView({ what, atMs, x, isLeft, line }: Mark, top: number, span: Span) {
  return svg`<line class="mark ${what}" x1=${percent(x)} x2=${percent(x)} y1=${top - 3} y2=${top + BAR + 3} />
    ${
      line === null
        ? nothing
        : svg`<text class="mark ${what}" x=${percent(x)} y=${top + BAR + LINE * (line + 1)} text-anchor=${isLeft ? 'end' : 'start'}>${words[what]} ${shortTime(atMs, span)}</text>`
    }`;
}

function anchorOf(x: number): string {
  return x < 5 ? 'start' : x > 95 ? 'end' : 'middle';
}

function percent(value: number): string {
  return `${Math.round(value * 1000) / 1000}%`;
}
