import { EVERY_AUDIENCE } from './rights-change.ts';

/** What the lists of audiences of an account permit. */
export const RIGHT_TEXTS = {
  allowedAudiences: {
    legend: 'Audiences that it may ask for',
    hint: 'It gets access tokens for these: the services that it calls.',
    lost: 'When one is taken away, all access tokens of the account end.',
  },
  ownAudiences: {
    legend: 'Audiences that it serves',
    hint: 'A user’s token for one of these may be exchanged by it, so that it acts for the user.',
    lost: 'When one is taken away, all tokens in which it acts for somebody else end.',
  },
  delegationAudiences: {
    legend: 'Audiences towards which it may act for somebody else',
    hint: 'Such an exchanged token may be for one of these: the services that it calls for its users.',
    lost: 'When one is taken away, all tokens in which it acts for somebody else end.',
  },
} as const;

export type AudienceRight = keyof typeof RIGHT_TEXTS;

/** A list of audiences for people. */
export function audiencesText(names: readonly string[]): string {
  return names.includes(EVERY_AUDIENCE) ? 'every audience' : names.join(', ') || 'none';
}
