import type { CallBudget } from '../../domain/operation-call.ts';
import { readAddedAudiences } from './audience-queries.ts';
import type { Audience, AudienceDependencies } from './create-audience.ts';

/**
 * All audiences: those of POSTERN_AUDIENCE, the default first, and the added ones by name.
 *
 * @throws Rejected `store-unavailable`
 */
export async function listAudiences(
  { database, audiences: { configured } }: Omit<AudienceDependencies, 'issuerName'>,
  call: CallBudget,
): Promise<Audience[]> {
  const added = await database.run(call, (db) => readAddedAudiences(db));
  return [
    ...configured.map((name) => ({ name, createdAt: null })),
    ...added.filter(({ name }) => !configured.includes(name)),
  ];
}
