const UNITS = [
  { name: 'day', seconds: 86_400 },
  { name: 'hour', seconds: 3600 },
  { name: 'minute', seconds: 60 },
  { name: 'second', seconds: 1 },
] as const;

/** A distance in time as a person says it, in one unit and rounded down: `in 4 minutes`, `3 days ago`, `now`. */
export function timeInWords(seconds: number): string {
  const length = Math.floor(Math.abs(seconds));
  const unit = UNITS.find((candidate) => length >= candidate.seconds);
  if (unit === undefined) return 'now';
  const count = Math.floor(length / unit.seconds);
  const words = `${count} ${unit.name}${count === 1 ? '' : 's'}`;
  return seconds < 0 ? `${words} ago` : `in ${words}`;
}
