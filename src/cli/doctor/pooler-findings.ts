import type { Pooling } from '../../database/connection/pooler-detection.ts';
import type { Finding } from './finding.ts';

/** Reports a connection pooler in front of the database that does not suit Postern. */
export function poolingFindings(pooling: Pooling): Finding[] {
  switch (pooling) {
    case 'none':
      return [];
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
