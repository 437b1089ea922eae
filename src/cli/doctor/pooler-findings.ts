import type { Pooling } from '../../database/pooler-detection.ts';
import type { Finding } from './finding.ts';

/** Reports a connection pooler in front of the database that does not suit Postern. */
export function poolingFindings(pooling: Pooling): Finding[] {
  switch (pooling) {
    case 'none':
      return [];
    case 'limits-ignored':
      return [
        {
          check: 'database',
          verdict: 'warning',
          message: 'something between Postern and the database drops the timeouts that Postern sets',
          advice: 'Set the timeouts on the database role instead: docs/operations.md, PgBouncer.',
        },
      ];
    case 'transaction':
      return [
        {
          check: 'database',
          verdict: 'fault',
          message:
            'a connection pooler uses transaction pooling, which delays the notification of revocations',
          advice: 'Use session pooling (pool_mode = session), or connect to PostgreSQL directly.',
        },
      ];
  }
}
