import { html, type TemplateResult } from 'lit-html';

import { serverNow } from '../clock.ts';

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** A moment: in the words of today, with the whole time in the title. @param at RFC 3339 */
export function time(at: string | undefined): TemplateResult {
  if (at === undefined || at === '') return html`<span class="absent">–</span>`;
  const date = new Date(at);
  return html`<time datetime=${at} title=${full.format(date)}>${fromNow(date.getTime(), serverNow())}</time>`;
}

/** A moment as a full date and time. */
export function fullTime(at: string | undefined): string {
  return at === undefined || at === '' ? '–' : full.format(new Date(at));
}

/** How long ago, or in how long. */
export function fromNow(atMs: number, nowMs: number): string {
  const seconds = Math.round((atMs - nowMs) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A number with separators. */
export function count(value: number): string {
  return value.toLocaleString('en');
}

/** Of a user or an issuer. */
export function stateView(disabled = false): TemplateResult {
  return disabled
    ? html`<span class="tag danger">disabled</span>`
    : html`<span class="tag good">enabled</span>`;
}
