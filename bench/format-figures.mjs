// Figures and goals as the table and the plots write them.

/** Two decimals for ratios, whole numbers with commas from a hundred on. */
export function numberInWords(value) {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toFixed(2)));
}

/** @param {import('./pairs.mjs').Spread} figure */
export function spreadInWords({ median, low, high }, unit = '') {
  return `${numberInWords(median)}${unit} (${numberInWords(low)} to ${numberInWords(high)})`;
}

/** @param {import('./goals.mjs').Row} row */
export function goalInWords({ goal, unit = '' }) {
  if (goal === null) return '';
  if ('atLeast' in goal) return `≥ ${numberInWords(goal.atLeast)}${unit}`;
  if ('atMost' in goal) return `≤ ${numberInWords(goal.atMost)}${unit}`;
  return `< ${numberInWords(goal.below)}${unit}`;
}
