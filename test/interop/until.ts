import { setTimeout as after } from 'node:timers/promises';

/** Polls every 50 ms until the answer is truthy, and returns it. Rejects with the last failure after `limitMs`. */
export async function until<Answer>(
  ask: () => Promise<Answer | undefined | false>,
  limitMs = 15_000,
): Promise<Answer> {
  const endMs = performance.now() + limitMs;
  let failure: unknown = new Error('the answer stayed false');
  while (performance.now() < endMs) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      failure = error;
    }
    await after(50);
  }
  throw new Error(`not within ${limitMs} ms`, { cause: failure });
}
