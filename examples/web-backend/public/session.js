// The session of this page. The access token lives in memory only. The refresh token is in a cookie that no script can read.
import { getPasskey } from './passkeys.js';
import { ask } from './dialogs.js';

let accessToken = null;
let renewAtMs = 0;

/** Takes the access token of an answer. */
export function keepToken(answer) {
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

/** With the access token. Where a fresh proof is required it asks for one, and tries again: a refreshed token would not help. */
export async function sendWithToken(method, path, body) {
  const once = async () => send(method, path, body, { authorization: `Bearer ${await currentToken()}` });
  try {
    return await once();
  } catch (error) {
    if (error.reason !== 'STEP_UP_REQUIRED') throw error;
    await stepUp();
    return once();
  }
}

/** Asks for what this person can prove: a code or a passkey, or without a second factor the password. */
async function stepUp() {
  const { factors, recoveryCodesLeft } = await sendWithToken('GET', '/account/factors');
  const has = (kind) => factors.some((factor) => factor.kind === kind);
  const offers = {
    password: factors.length === 0,
    code: has('totp') || recoveryCodesLeft > 0,
    passkey: has('passkey'),
  };
  await ask('#step-up', offers, async ({ password, code, usePasskey }) => {
    const passkey = usePasskey && (await getPasskey(await send('POST', '/login/passkey/begin')));
    const proof = passkey ? { passkey } : offers.code ? { code } : { password };
    keepToken(await sendWithToken('POST', '/account/step-up', proof));
  });
}
