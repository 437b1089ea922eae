/** What an account may do. */
export interface Rights {
  readonly roles?: readonly string[];
  readonly allowedAudiences?: readonly string[];
  readonly ownAudiences?: readonly string[];
  readonly delegationAudiences?: readonly string[];
}

/** How the service says that an account may ask for every audience. */
export const EVERY_AUDIENCE = '*';

/** Which tokens the service ends for a change: what an account loses, no token keeps. */
export function tokensLost(before: Rights, after: Rights): { asSubject: boolean; asActor: boolean } {
  const lost = (name: keyof Rights) => takenAway(before[name] ?? [], after[name] ?? []).length > 0;
  return {
    asSubject: lost('roles') || lost('allowedAudiences'),
    asActor: lost('ownAudiences') || lost('delegationAudiences'),
  };
}

/** The names that are no longer in a list. An account that could ask for every audience loses those that are not named. */
export function takenAway(before: readonly string[], after: readonly string[]): string[] {
  return before.filter((name) => !after.includes(name));
}

const LISTS = ['roles', 'allowedAudiences', 'ownAudiences', 'delegationAudiences'] as const;

/** What a person reads before the change; empty when no token ends. */
export function tokensLostText(before: Rights, after: Rights): string {
  const { asSubject, asActor } = tokensLost(before, after);
  if (!asSubject && !asActor) return '';
  const names = LISTS.flatMap((list) => takenAway(before[list] ?? [], after[list] ?? []));
  const what = names.map((name) => (name === EVERY_AUDIENCE ? 'every other audience' : name)).join(', ');
  return asSubject
    ? `Taken away: ${what}. All access tokens of the account end now, and it has to get new ones.`
    : `Taken away: ${what}. All tokens in which the account acts for somebody else end now. Its own tokens stay valid.`;
}
