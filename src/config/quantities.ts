const MILLISECONDS_PER = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES_PER = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/**
 * Parses a whole number with one unit: `500ms`, `10s`, `10m`, `12h`, `30d`. A number without a unit is refused, except
 * `0`, because readers would assume different units.
 *
 * @returns milliseconds; null for any other text
 */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const match = /^(0|[1-9]\d{0,8})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * MILLISECONDS_PER[match[2] as keyof typeof MILLISECONDS_PER];
}

/** Parses a duration of whole seconds, at least one. @returns seconds; null for any other text, and for more than `max` */
export function parseSeconds(text: string, max = Infinity): number | null {
  const ms = parseDurationMs(text);
  return ms !== null && ms % 1000 === 0 && ms >= 1000 && ms <= max * 1000 ? ms / 1000 : null;
}

/** Parses `512KiB`, `64MiB`, `1GiB` or `0`. @returns bytes; null for any other text */
export function parseByteSize(text: string): number | null {
  if (text === '0') return 0;
  const match = /^([1-9]\d{0,8})(KiB|MiB|GiB)$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * BYTES_PER[match[2] as keyof typeof BYTES_PER];
}

/** Parses a whole number without sign, leading zero or exponent. @returns null for any other text */
export function parseCount(text: string): number | null {
  return /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : null;
}
