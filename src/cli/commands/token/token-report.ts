import type { TokenInspection } from '../../../tokens/verify/inspect-token.ts';
import { formatRelativeTime } from './relative-time.ts';

/** Formats the result of an inspection for a terminal. */
export function describeToken(inspection: TokenInspection, refused: boolean, nowSeconds: number): string[] {
  const { header, claims, signature, problems, notes } = inspection;
  return [
    ...section('Header', members(header, nowSeconds)),
    ...section('Claims', members(claims, nowSeconds)),
    ...section('Signature', [`${signature.verdict}: ${signature.why}`]),
    ...section('Notes', notes),
    ...section(
      'Problems',
      problems.map(({ reason, detail }) => `${reason}: ${detail}`),
    ),
    `Verdict: ${describeVerdict(inspection, refused)}`,
  ];
}

/** Explains the time claims (`exp`, `iat`, `nbf`, `auth_time`) relative to now, for the JSON document. */
export function describeTimes(claims: unknown, nowSeconds: number): Record<string, string> {
  if (typeof claims !== 'object' || claims === null) return {};
  const described = Object.entries(claims).flatMap(([name, value]) => {
    const text = describeTime(name, value, nowSeconds);
    return text === null ? [] : [[name, text] as const];
  });
  return Object.fromEntries(described);
}

function describeVerdict({ signature, problems }: TokenInspection, refused: boolean): string {
  const [first] = problems;
  if (first !== undefined) return `refused, ${first.reason}`;
  if (signature.verdict === 'valid') return 'valid, unless it was revoked, which only the service knows';
  return refused
    ? 'refused, the given keys could not verify the signature'
    : 'no problem found, but the signature was NOT CHECKED';
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ''];
}

function members(value: unknown, nowSeconds: number): string[] {
  if (value === null) return ['not readable'];
  if (typeof value !== 'object' || Array.isArray(value)) return [`not an object: ${JSON.stringify(value)}`];
  const width = Math.max(0, ...Object.keys(value).map((name) => name.length));
  return Object.entries(value).map(([name, member]) => {
    const text = typeof member === 'string' ? member : JSON.stringify(member);
    const time = describeTime(name, member, nowSeconds);
    return `${name.padEnd(width)}  ${text}${time === null ? '' : `  (${time})`}`;
  });
}

function describeTime(name: string, value: unknown, nowSeconds: number): string | null {
  // A verifier refuses times from 2^40 seconds on, and a Date cannot represent much later ones.
  if (typeof value !== 'number' || !(value > 0 && value < 2 ** 40)) return null;
  const isPast = value <= nowSeconds;
  const verbs: Readonly<Record<string, string>> = {
    exp: isPast ? 'expired' : 'expires',
    iat: isPast ? 'issued' : 'claims to be issued',
    nbf: isPast ? 'valid since' : 'valid from',
    auth_time: 'authenticated',
  };
  if (!Object.hasOwn(verbs, name)) return null;
  const moment = new Date(value * 1000).toISOString().replace(/\.000Z$/, 'Z');
  return `${verbs[name] ?? ''} ${formatRelativeTime(value - nowSeconds)}, ${moment}`;
}
