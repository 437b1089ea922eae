import { html, type TemplateResult } from 'lit-html';

import { admin } from '../../rpc.ts';
import { accessToken } from '../../session.ts';
import { confirm } from '../../ui/dialog.ts';
import { fullTime } from '../../ui/format.ts';
import type { KeyLife } from './key-life.ts';

/** What a dialog needs to say what will happen. */
export interface KeysNow {
  readonly lives: readonly KeyLife[];
  /** How long verifiers may keep a key set, s. */
  readonly maxAgeSeconds: number;
  readonly nowMs: number;
  /** Called when a change was made, with what happened. */
  readonly changed: (message: string) => Promise<void>;
}

/** What has to be typed before a change that makes verifiers refuse tokens. */
const nameOf = (kid: string) => kid.slice(0, 8);
const find = ({ lives }: KeysNow, state: string) => lives.find((life) => life.state === state);

/** How long something takes, in words. */
export function duration(seconds: number): string {
  const [value, unit] =
    seconds >= 172_800
      ? [Math.round(seconds / 86_400), 'day']
      : seconds >= 7_200
        ? [Math.round(seconds / 3_600), 'hour']
        : seconds >= 120
          ? [Math.round(seconds / 60), 'minute']
          : [seconds, 'second'];
  return `${value} ${unit}${value === 1 ? '' : 's'}`;
}

/** Publishes the next key; it signs when every verifier knows it. */
export function askRotate(now: KeysNow): void {
  const signsAt = new Date(now.nowMs + now.maxAgeSeconds * 1000);
  confirm({
    title: 'Rotate the signing key',
    text: `A new key is published now and signs from about ${fullTime(signsAt.toISOString())}, in ${duration(now.maxAgeSeconds)}: by then every verifier has fetched the key set again. The present key then retires; it verifies until its last token has expired. No token is refused, and nobody notices.`,
    verb: 'Rotate',
    name: null,
    work: async () => {
      const { kid = '', activateAt } = await admin('rotateSigningKey', {});
      await now.changed(`Key ${nameOf(kid)} is published. It signs from ${fullTime(activateAt)}.`);
    },
  });
}

/** Lets another key sign at once. */
export function askRotateAtOnce(now: KeysNow): void {
  const active = find(now, 'active');
  const pending = find(now, 'pending');
  const next = pending ? `Key ${nameOf(pending.kid)}, which is published already,` : 'A new key';
  confirm({
    title: 'Rotate the signing key at once',
    text: html`${next} signs now, and the present key retires: the tokens that it signed stay valid.
      <strong
        >Verifiers that have a cached key set refuse new tokens for up to
        ${duration(now.maxAgeSeconds)}</strong
      >, until they fetch the set again. Postern itself, sidecars and clients that watch keys follow within
      seconds. For a key that may have leaked, revoke it instead.`,
    verb: 'Rotate at once',
    name: active ? nameOf(active.kid) : null,
    work: async () => {
      const { kid = '' } = await admin('rotateSigningKey', { now: true });
      await now.changed(`Key ${nameOf(kid)} signs now.`);
    },
  });
}

/** Revokes a key, with every token that it signed. */
export function askRevoke(now: KeysNow, life: KeyLife): void {
  confirm({
    title: `Revoke key ${nameOf(life.kid)}`,
    text: revocationText(now, life),
    verb: 'Revoke the key',
    name: nameOf(life.kid),
    work: async () => {
      const { activeKid = '' } = await admin('revokeSigningKey', { kid: life.kid });
      await now.changed(`Key ${nameOf(life.kid)} is revoked. Key ${nameOf(activeKid)} signs.`);
    },
  });
}

function revocationText(now: KeysNow, { kid, state }: KeyLife): TemplateResult {
  const late = duration(now.maxAgeSeconds);
  const pending = find(now, 'pending');
  const ends = html`Every access token that it signed is refused at once by Postern, sidecars and clients that
  watch keys, and after up to ${late} by verifiers that only read the key set. Sessions stay: users get a new
  token at their next refresh.`;
  const own = isSignedBy(kid)
    ? ' The token of this page is among them; the page gets a new one by itself.'
    : '';
  const forGood = 'This cannot be taken back. It is for a private key that may have leaked.';
  switch (state) {
    case 'pending':
      return html`It is not used yet, so no token ends. Postern publishes another key when the next rotation
      is due. ${forGood}`;
    case 'active':
      return html`It signs now. ${ends}${own}
      ${pending ? `Key ${nameOf(pending.kid)}, which is published already,` : 'A new key'} signs from now on;
      verifiers with a cached key set may refuse its tokens for up to ${late}. ${forGood}`;
    default:
      return html`It no longer signs. ${ends}${own} ${forGood}`;
  }
}

/** Whether the access token of this page has the key in its header. */
function isSignedBy(kid: string): boolean {
  try {
    const header = (accessToken() ?? '').split('.')[0]?.replaceAll('-', '+').replaceAll('_', '/') ?? '';
    return (JSON.parse(atob(header)) as { kid?: string }).kid === kid;
  } catch {
    return false;
  }
}
