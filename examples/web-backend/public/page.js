import { Cancelled } from './dialogs.js';
import { addPasskey, addTotp, deleteFactor, replaceRecoveryCodes, showFactors } from './factors.js';
import { canUsePasskeys, getPasskey } from './passkeys.js';
import { send, sendWithToken } from './session.js';
import { wordsOf } from './words.js';

const find = (selector) => document.querySelector(selector);
const say = (text) => (find('#message').textContent = text);

/** Runs what a button or a form stands for, and says what went wrong. */
async function attempt(act) {
  say('');
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Cancelled)) say(wordsOf(error));
  }
}
const onClick = (selector, act) => find(selector).addEventListener('click', () => attempt(act));
const onSubmit = (selector, act) =>
  find(selector).addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(() => act(Object.fromEntries(new FormData(event.target))));
  });

async function showAccount() {
  const { subject, roles, acr } = await sendWithToken('GET', '/api/me');
  find('#caller').textContent = `Logged in as ${subject} with roles [${roles}], level ${acr}`;
  find('#login').hidden = true;
  find('#account').hidden = false;
  await showFactors();
}

onSubmit('#login', async (typed) => {
  try {
    await send('POST', '/login', typed);
  } catch (error) {
    if (error.reason !== 'SECOND_FACTOR_REQUIRED') throw error;
    // The password stays in its field: Postern takes both in one call, and no half-open session exists in between.
    return askForFactor(error.factors);
  }
  offer.abort();
  find('#login').reset();
  await showAccount();
});

/** A recovery code is never asked for first: each can be used once. */
function askForFactor(factors) {
  const { code } = find('#login').elements;
  const canType = factors.includes('totp') || factors.includes('recovery');
  const hasPasskey = factors.includes('passkey') && canUsePasskeys();
  find('#code').hidden = !canType;
  code.disabled = !canType;
  (hasPasskey && !factors.includes('totp') ? find('#passkey-login') : code).focus();
  if (factors.includes('totp')) say('Enter the code of your authenticator app.');
  else if (hasPasskey) say(`Log in with your passkey${canType ? ', or enter a recovery code' : ''}.`);
  else say(canType ? 'Enter a recovery code.' : wordsOf({ reason: 'NO_PASSKEYS_HERE' }));
}

/** The passkeys that the browser offers in the field of the e-mail (conditional UI). A browser runs one request at a time. */
let offer = new AbortController();

async function logInWithPasskey(mediation) {
  offer.abort();
  offer = new AbortController();
  const { signal } = offer;
  const challenge = await send('POST', '/login/passkey/begin');
  if (mediation === 'conditional')
    // The offer stays on the page for longer than its challenge is valid. By the duration of the challenge, since with its end and
    // a clock that is wrong the page would ask again and again.
    setTimeout(() => signal.aborted || offerPasskeys(), challenge.options.timeout * 0.9);
  await send('POST', '/login/passkey', await getPasskey(challenge, { mediation, signal }));
  offer.abort();
  await showAccount();
}

async function offerPasskeys() {
  if (!canUsePasskeys() || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  try {
    await logInWithPasskey('conditional');
  } catch (error) {
    // Nobody asked for it yet: only what Postern refused is said.
    if (error.reason === 'PASSKEY_INVALID') say(wordsOf(error));
  }
}

onClick('#passkey-login', () => logInWithPasskey('optional'));
onClick('#logout', async () => {
  await send('POST', '/logout');
  location.reload();
});
onClick('#pay', async () => {
  await sendWithToken('POST', '/api/payments');
  say('Paid.');
});
onSubmit('#add-totp', ({ name }) => addTotp(name));
onSubmit('#add-passkey', ({ name }) => addPasskey(name));
onClick('#replace-codes', replaceRecoveryCodes);
find('#factors').addEventListener('click', ({ target }) => {
  const { factorId } = target.dataset;
  if (factorId) attempt(() => deleteFactor(factorId));
});

for (const selector of ['#passkey-login', '#add-passkey']) find(selector).hidden = !canUsePasskeys();
await showAccount().catch((error) => {
  if (error.reason !== 'NOT_LOGGED_IN') say(wordsOf(error));
  offerPasskeys();
});
document.body.dataset.ready = 'true';
