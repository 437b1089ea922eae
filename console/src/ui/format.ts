import { html, type TemplateResult } from 'lit-html';

import { serverNow } from '../clock.ts';

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
/** Not "yesterday" or "last year": a day ago by the hour may be the day before that. */
const relative = new Intl.RelativeTimeFormat('en');
const DAY = 86_400;
/** Each unit, its seconds, and from how many seconds on it says enough. */
const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, size: number, from: number])[] = [
  ['year', 365.25 * DAY, 730 * DAY],
  ['month', 30.44 * DAY, 60 * DAY],
  ['day', DAY, DAY],
  ['hour', 3_600, 3_600],
  ['minute', 60, 60],
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
  if (seconds === 0) return 'now';
  const [unit, size] = UNITS.find(([, , from]) => Math.abs(seconds) >= from) ?? ['second', 1];
  return relative.format(Math.round(seconds / size), unit);
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
