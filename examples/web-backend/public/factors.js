// The second factors of the person who is logged in.
import { ask } from './dialogs.js';
import { makePasskey } from './passkeys.js';
import { keepToken, sendWithToken } from './session.js';

const find = (selector) => document.querySelector(selector);
const kinds = { totp: 'authenticator app', passkey: 'passkey' };

export async function showFactors() {
  const { factors, recoveryCodesLeft } = await sendWithToken('GET', '/account/factors');
  find('#factors').replaceChildren(...factors.map(itemOf));
  find('#recovery').textContent = factors.length > 0 ? `${recoveryCodesLeft} recovery codes are left.` : '';
  find('#replace-codes').hidden = factors.length === 0;
}

/** Names are text of the person: they are set as text, never as markup. */
function itemOf({ id, name, kind, lastUsedAt }) {
  const item = document.createElement('li');
  const use = lastUsedAt ? `last used on ${new Date(lastUsedAt).toLocaleDateString()}` : 'never used';
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Delete' });
  button.dataset.factorId = id;
  item.append(`${name}: ${kinds[kind] ?? kind}, ${use} `, button);
  return item;
}

export async function deleteFactor(factorId) {
  await sendWithToken('DELETE', `/account/factors/${factorId}`);
  await showFactors();
}

export async function addTotp(name) {
  const { factorId, secret, qr } = await sendWithToken('POST', '/account/totp', { name });
  const svg = find('#totp svg');
  svg.setAttribute('viewBox', `0 0 ${qr.size} ${qr.size}`);
  svg.querySelector('path').setAttribute('d', qr.path);
  find('#secret').textContent = secret;
  try {
    await takeAdded(
      await ask('#totp', {}, ({ code }) =>
        sendWithToken('POST', '/account/totp/confirm', { factorId, code }),
      ),
    );
  } finally {
    find('#secret').textContent = '';
    svg.querySelector('path').removeAttribute('d');
  }
}

export async function addPasskey(name) {
  const made = await makePasskey(await sendWithToken('POST', '/account/passkey/begin'));
  await takeAdded(await sendWithToken('POST', '/account/passkey', { ...made, name }));
}

export async function replaceRecoveryCodes() {
  showCodes((await sendWithToken('POST', '/account/recovery-codes')).recoveryCodes);
  await showFactors();
}

/** The answer has the session's next access token, and with the first factor recovery codes. */
async function takeAdded(answer) {
  keepToken(answer);
  if (answer.recoveryCodes.length > 0) showCodes(answer.recoveryCodes);
  await showFactors();
}

function showCodes(codes) {
  const list = find('#codes ol');
  const items = codes.map((code) => Object.assign(document.createElement('li'), { textContent: code }));
  list.replaceChildren(...items);
  find('#codes').onclose = () => list.replaceChildren();
  find('#codes').showModal();
}
