import type { TokenInspection } from '../../../tokens/verify/inspect-token.ts';
import { timeInWords } from './relative-time.ts';

/** The findings about a token as lines for a person. */
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
    `Verdict: ${verdictWords(inspection, refused)}`,
  ];
}

/** What `exp`, `iat` and `nbf` mean now, for the JSON document. */
export function timesInWords(claims: unknown, nowSeconds: number): Record<string, string> {
  if (typeof claims !== 'object' || claims === null) return {};
  const known = Object.entries(claims).flatMap(([name, value]) => {
    const words = claimTimeInWords(name, value, nowSeconds);
    return words === null ? [] : [[name, words] as const];
  });
  return Object.fromEntries(known);
}

function verdictWords({ signature, problems }: TokenInspection, refused: boolean): string {
  const [first] = problems;
  if (first !== undefined) return `refused, ${first.reason}`;
  if (signature.verdict === 'valid') return 'good, unless it was revoked: only the service knows that';
  return refused
    ? 'refused, the signature could not be checked with the keys given'
    : 'no fault found, but the signature is NOT CHECKED';
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ''];
}

function members(value: unknown, nowSeconds: number): string[] {
  if (value === null) return ['cannot be read'];
  if (typeof value !== 'object' || Array.isArray(value)) return [`not an object: ${JSON.stringify(value)}`];
  const width = Math.max(0, ...Object.keys(value).map((name) => name.length));
  return Object.entries(value).map(([name, member]) => {
    const text = typeof member === 'string' ? member : JSON.stringify(member);
    const words = claimTimeInWords(name, member, nowSeconds);
    return `${name.padEnd(width)}  ${text}${words === null ? '' : `  (${words})`}`;
  });
}

function claimTimeInWords(name: string, value: unknown, nowSeconds: number): string | null {
  // Beyond 2^40 seconds a verifier refuses, and before long a Date cannot hold the year.
  if (typeof value !== 'number' || !(value > 0 && value < 2 ** 40)) return null;
  const past = value <= nowSeconds;
  const verbs: Readonly<Record<string, string>> = {
    exp: past ? 'expired' : 'expires',
    iat: past ? 'issued' : 'issued, it says,',
    nbf: past ? 'good since' : 'good from',
    auth_time: 'logged in',
  };
  if (!Object.hasOwn(verbs, name)) return null;
  const moment = new Date(value * 1000).toISOString().replace(/\.000Z$/, 'Z');
  return `${verbs[name] ?? ''} ${timeInWords(value - nowSeconds)}, ${moment}`;
}
