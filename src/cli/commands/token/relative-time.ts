const units = [
  { name: 'day', seconds: 86_400 },
  { name: 'hour', seconds: 3600 },
  { name: 'minute', seconds: 60 },
  { name: 'second', seconds: 1 },
] as const;

/** Formats a relative time in one unit, rounded down: `in 4 minutes`, `3 days ago`, `now`. */
export function formatRelativeTime(seconds: number): string {
  const distance = Math.floor(Math.abs(seconds));
  const unit = units.find((candidate) => distance >= candidate.seconds);
  if (unit === undefined) return 'now';
  const count = Math.floor(distance / unit.seconds);
  const text = `${count} ${unit.name}${count === 1 ? '' : 's'}`;
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}
