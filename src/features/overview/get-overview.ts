import type { Instance, InstanceReading } from './instance-reading.ts';
import type { Totals } from './total-queries.ts';
import type { TotalReader } from './total-reader.ts';

export interface OverviewDependencies {
  readonly instance: Instance;
  readonly readInstance: () => InstanceReading;
  readonly totals: Pick<TotalReader, 'read'>;
}

export interface Overview {
  readonly instance: Instance;
  readonly reading: InstanceReading;
  /** Null while the database cannot be read. */
  readonly totals: Totals | null;
}

/** The state of this instance, and how much the database holds. A database that does not answer is no failure. */
export async function getOverview({
  instance,
  readInstance,
  totals,
}: OverviewDependencies): Promise<Overview> {
  const read = await totals.read();
  return { instance, reading: readInstance(), totals: read };
}
