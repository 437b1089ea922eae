/** The size of a chart in its own units; the page stretches it. */
export const WIDTH = 600;
export const HEIGHT = 120;

/** The smallest 1, 2 or 5 times a power of ten that is not below the value, and not below `least`. */
export function axisEnd(value: number, least: number): number {
  const wanted = Math.max(value, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  // A division of decimal fractions is not exact: 0.3 / 0.1 is below 3, 0.2 / 0.1 may be above 2.
  return ([1, 2, 5].find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10) * power;
}

/** A piece of a line without gaps, in units of the chart. */
export type Piece = readonly (readonly [x: number, y: number])[];

/** The pieces of a line. A value of null is a gap. */
export function piecesOf(
  values: readonly { readonly atMs: number; readonly value: number | null }[],
  scale: { readonly nowMs: number; readonly windowMs: number; readonly max: number },
): readonly Piece[] {
  const pieces: [number, number][][] = [[]];
  for (const { atMs, value } of values) {
    const age = scale.nowMs - atMs;
    if (age > scale.windowMs || value === null) {
      if (value === null) pieces.push([]);
      continue;
    }
    const x = WIDTH * (1 - Math.max(0, age) / scale.windowMs);
    const y = HEIGHT * (1 - Math.min(1, value / scale.max));
    pieces.at(-1)?.push([round(x), round(y)]);
  }
  return pieces.filter((piece) => piece.length > 0);
}

/** For `points` of a polyline. */
export function pointsOf(piece: Piece): string {
  return piece.map(([x, y]) => `${x},${y}`).join(' ');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
