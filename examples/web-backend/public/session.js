// The session of this page. The access token lives in memory only. The refresh token is in a cookie that no script can read.
import { canUsePasskeys, getPasskey } from './passkeys.js';
import { ask } from './dialogs.js';

let accessToken = null;
let renewAtMs = 0;
let userId = null;

/**
 * Takes the access token of an answer. The cookie is the whole browser's: another tab may have logged somebody else in, for whom
 * nothing may be done that was begun on this page.
 */
export function keepToken(answer) {
  if (userId !== null && answer.userId !== userId) {
    location.reload();
    throw new Refused({ error: 'NOT_LOGGED_IN' });
  }
  userId = answer.userId;
  accessToken = answer.accessToken;
  renewAtMs = performance.now() + answer.expiresIn * 800;
}

async function currentToken() {
  if (accessToken === null || performance.now() >= renewAtMs) keepToken(await send('POST', '/token'));
  return accessToken;
}

/** A request to the application that was refused; `reason` is Postern's, such as SECOND_FACTOR_REQUIRED. */
export class Refused extends Error {
  constructor({ error, factors }) {
    super(error);
    this.reason = error;
    this.factors = factors ?? [];
  }
}

export async function send(method, path, body, headers = {}) {
  const json = body && { body: JSON.stringify(body) };
  const response = await fetch(path, {
    method,
    headers: { ...headers, 'content-type': 'application/json' },
    ...json,
  });
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  const answer = isJson ? await response.json() : {};
  if (!response.ok) throw new Refused(answer);
  return answer;
}

/**
 * With the access token. Where a fresh proof is required it asks for one, and tries again: a refreshed token would not help. A
 * token can expire unnoticed, since the clock of the page stands still while the computer sleeps.
 */
export async function sendWithToken(method, path, body) {
  const remedies = new Map([
    ['TOKEN_EXPIRED', () => (accessToken = null)],
    ['STEP_UP_REQUIRED', stepUp],
  ]);
  for (;;) {
    try {
      return await send(method, path, body, { authorization: `Bearer ${await currentToken()}` });
    } catch (error) {
      const remedy = remedies.get(error.reason);
      if (!remedy) throw error;
      remedies.delete(error.reason);
      await remedy();
    }
  }
}

/** Asks for what this person can prove: a code or a passkey, or without a second factor the password. */
async function stepUp() {
  const { factors, recoveryCodesLeft } = await sendWithToken('GET', '/account/factors');
  const has = (kind) => factors.some((factor) => factor.kind === kind);
  const offers = {
    password: factors.length === 0,
    code: has('totp') || recoveryCodesLeft > 0,
    passkey: has('passkey') && canUsePasskeys(),
  };
  if (!Object.values(offers).includes(true)) throw new Refused({ error: 'NO_PASSKEYS_HERE' });
  await ask('#step-up', offers, async ({ password, code, usePasskey }) => {
    const passkey = usePasskey && (await getPasskey(await send('POST', '/login/passkey/begin')));
    const proof = passkey ? { passkey } : offers.code ? { code } : { password };
    keepToken(await sendWithToken('POST', '/account/step-up', proof));
  });
}
