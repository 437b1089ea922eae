import type { Pooling } from '../../database/pooler-detection.ts';
import type { Finding } from './finding.ts';

/** What a pooler between Postern and the database means. */
export function poolingFindings(pooling: Pooling): Finding[] {
  switch (pooling) {
    case 'none':
      return [];
    case 'limits-ignored':
      return [
        {
          about: 'database',
          verdict: 'warning',
          says: 'something between here and the database drops the time limits that Postern sends',
          advice: 'Set them for the role instead: docs/operations.md, PgBouncer.',
        },
      ];
    case 'transaction':
      return [
        {
          about: 'database',
          verdict: 'fault',
          says: 'a pooler lends out connections by the transaction, so that news of revocations come late',
          advice: 'Use session pooling (pool_mode = session), or connect past the pooler.',
        },
      ];
  }
}
