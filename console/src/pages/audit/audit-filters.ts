/** The filters of the audit page, as they stand in its address. An empty one matches every event. */
export interface AuditFilters {
  readonly actor: string;
  readonly target: string;
  readonly action: string;
  readonly outcome: string;
  /** RFC 3339, or one of `ranges`: a bookmark of the last hour stays the last hour. */
  readonly since: string;
  /** RFC 3339. */
  readonly until: string;
}

/** Times back from now, as `since` names them. */
export const ranges: Readonly<Record<string, { readonly title: string; readonly ms: number }>> = {
  '1h': { title: 'Last hour', ms: 3_600_000 },
  '24h': { title: 'Last 24 hours', ms: 86_400_000 },
  '7d': { title: 'Last 7 days', ms: 7 * 86_400_000 },
  '30d': { title: 'Last 30 days', ms: 30 * 86_400_000 },
};

export function filtersOf(query: URLSearchParams): AuditFilters {
  const text = (name: string) => (query.get(name) ?? '').trim();
  const time = (name: string) => (Number.isNaN(Date.parse(text(name))) ? '' : text(name));
  return {
    actor: text('actor'),
    target: text('target'),
    action: text('action'),
    outcome: text('outcome'),
    since: Object.hasOwn(ranges, text('since')) ? text('since') : time('since'),
    until: time('until'),
  };
}

/** The filters of a request, without empty ones. Call it once for a list: its pages must have the same filters. */
export function requestOf(filters: AuditFilters, nowMs: number): Partial<AuditFilters> {
  const { since, ...others } = filters;
  const range = Object.hasOwn(ranges, since) ? ranges[since] : undefined;
  const all = { ...others, since: range ? new Date(nowMs - range.ms).toISOString() : since };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
}

/** A time of the address for an `<input type="datetime-local">`, in the zone of the browser; empty for none. */
export function localTime(at: string): string {
  const date = new Date(at);
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return Number.isNaN(local.getTime()) ? '' : local.toISOString().slice(0, 19);
}

/** The time of such an input for the address; empty for none. */
export function timeOfInput(local: string): string {
  const ms = local === '' ? Number.NaN : new Date(local).getTime();
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString().replace('.000Z', 'Z');
}
