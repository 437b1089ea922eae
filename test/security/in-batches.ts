/** Processes items in batches, one batch after the other. Returns the results in the order of the items. */
export async function inBatches<T, R>(things: Iterable<T>, work: (thing: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let batch: T[] = [];
  const flush = async () => {
    results.push(...(await Promise.all(batch.map(work))));
    batch = [];
  };
  for (const thing of things) {
    batch.push(thing);
    if (batch.length === BATCH) await flush();
  }
  await flush();
  return results;
}

const BATCH = 32;
