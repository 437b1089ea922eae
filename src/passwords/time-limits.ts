/** A login has a budget of 5 s, and the limits of the formats keep a verification near 1 s on a slow processor. */
export const MAX_REFUSAL_DELAY_MS = 2_000;
