import { randomBytes, randomUUID } from 'node:crypto';

import type { Knex } from 'knex';

import { insertSession, type SessionOpening } from '../../src/features/sessions/open-session-queries.ts';

/** The opening of a session of a user without a password, as a login makes it. */
export function openingOf(userId: string, changed: Partial<SessionOpening> = {}): SessionOpening {
  return {
    session: {
      id: randomUUID(),
      userId,
      nonce: randomBytes(16),
      audience: 'postern',
      clientAddress: null,
      userAgent: null,
      authentication: { acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds: 1, mac: randomBytes(16) },
      lifetimeSeconds: 600,
      accessTokenSeconds: 60,
    },
    expectedHash: null,
    strongerHash: null,
    maxSessions: 3,
    forgiven: { pair: randomBytes(32), account: randomBytes(32), knownSourceSeconds: 600 },
    event: { id: randomUUID(), action: 'login', details: null, requestId: null },
    ...changed,
  };
}

/** Opens a session. Returns its id and how many sessions of the user it ended. */
export async function openOne(
  db: Knex,
  userId: string,
  changed: Partial<SessionOpening> = {},
): Promise<{ id: string; ended: number }> {
  const opening = openingOf(userId, changed);
  const opened = await insertSession(db, opening);
  if (opened.outcome !== 'opened') throw new Error(opened.outcome);
  return { id: opening.session.id, ended: opened.revocations.length };
}
