/** A duration with its unit, which no line break separates, in two or three digits. */
export function duration(seconds: number): string {
  const ms = seconds * 1000;
  if (ms < 1_000) return `${digits(ms)}\u00a0ms`;
  if (seconds < 60) return `${digits(seconds)}\u00a0s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}\u00a0min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}\u00a0h ${minutes % 60}\u00a0min` : `${Math.floor(hours / 24)} days`;
}

/** So many a second. */
export function perSecond(rate: number): string {
  return `${digits(rate)}/s`;
}

/** A number in at most three digits, or with separators. */
export function digits(value: number): string {
  if (value >= 100 || value === 0) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
}
