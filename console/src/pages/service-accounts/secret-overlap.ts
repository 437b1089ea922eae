/** For how long the present secret can stay valid beside a new one. */
export const OVERLAPS = [
  { seconds: 0, text: 'not at all: it has leaked' },
  { seconds: 3_600, text: '1 hour' },
  { seconds: 86_400, text: '1 day' },
  { seconds: 7 * 86_400, text: '7 days' },
  { seconds: 30 * 86_400, text: '30 days' },
] as const;

/** What a rotation does. @param hasPrevious whether the secret before the present one is still accepted */
export function rotationText(seconds: number, hasPrevious: boolean): string {
  if (seconds === 0)
    return 'Every secret of the account stops working now, and all its tokens end now, everywhere. The program is locked out until it has the new secret.';
  const until = OVERLAPS.find((overlap) => overlap.seconds === seconds)?.text ?? `${seconds} seconds`;
  const previous = hasPrevious
    ? ' An older secret, which is still accepted, stops working now: an account has two at most.'
    : '';
  return `Both secrets work for ${until}: give the program the new one in that time. No token ends.${previous}`;
}
