/** What a change of the roles of a user does, as far as it has to be said before. */
export interface RoleChange {
  readonly gained: readonly string[];
  readonly lost: readonly string[];
  /** Why the change is not offered; empty where it is. */
  readonly impossible: string;
  readonly warnings: readonly string[];
}

const ADMIN = 'admin';

/** @param facts.isOnlyAdmin whether nobody else who is enabled has the role `admin` */
export function roleChange(
  before: readonly string[],
  after: readonly string[],
  facts: { readonly isSelf: boolean; readonly isOnlyAdmin: boolean },
): RoleChange {
  const gained = after.filter((role) => !before.includes(role));
  const lost = before.filter((role) => !after.includes(role));
  const losesAdmin = lost.includes(ADMIN);
  const warnings: string[] = [];
  if (gained.includes(ADMIN)) warnings.push('With the role admin the user can do everything that you can.');
  if (losesAdmin && facts.isSelf)
    warnings.push(
      'You take your own role away: you leave this page, and only somebody else can give it back.',
    );
  if (gained.length > 0 || lost.length > 0)
    warnings.push(
      facts.isSelf
        ? 'All your sessions end, this one too: log in again.'
        : 'All sessions of the user end, so that no token keeps a role.',
    );
  return {
    gained,
    lost,
    impossible:
      losesAdmin && facts.isOnlyAdmin
        ? 'This is the only administrator: give somebody else the role admin first.'
        : '',
    warnings,
  };
}
