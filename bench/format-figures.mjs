// Formats figures and goals for the table and the plots.

/** Two decimals below 100; whole numbers with thousands separators from 100 on. */
export function formatNumber(value) {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toFixed(2)));
}

/** @param {import('./pairs.mjs').Spread} figure */
export function formatSpread({ median, low, high }, unit = '') {
  return `${formatNumber(median)}${unit} (${formatNumber(low)} to ${formatNumber(high)})`;
}

/** @param {import('./goals.mjs').Row} row */
export function formatGoal({ goal, unit = '' }) {
  if (goal === null) return '';
  if ('atLeast' in goal) return `≥ ${formatNumber(goal.atLeast)}${unit}`;
  if ('atMost' in goal) return `≤ ${formatNumber(goal.atMost)}${unit}`;
  return `< ${formatNumber(goal.below)}${unit}`;
}
