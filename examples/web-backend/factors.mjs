// The second factors of a person: each request is a call to Postern with the person's own access token.
import express from 'express';
import encodeQr from 'qr';

/** With the user's id, by which the page notices that another tab has logged somebody else in. */
export const accessOf = ({ accessToken, expiresIn, userId }) => ({ accessToken, expiresIn, userId });
/** A member of a body that should be a string. `String` would throw for some objects, such as `{"toString": 1}`. */
export const textOf = (value) => (typeof value === 'string' ? value : '');
/** What the page needs to make or to use a passkey. */
export const challengeOf = ({ optionsJson, challengeToken }) => ({
  options: JSON.parse(optionsJson),
  challengeToken,
});
/** What the browser answered to a challenge, as Postern takes it. */
export const passkeyOf = ({ challengeToken, credential } = {}) => ({
  challengeToken: textOf(challengeToken),
  credentialJson: JSON.stringify(credential ?? null),
});

/** The values of FactorKind in the contract. */
const kinds = { 1: 'totp', 2: 'passkey' };
const shown = ({ id, kind, name, createdAt, lastUsedAt, synced }) => ({
  ...{ id, name, createdAt, lastUsedAt, synced },
  kind: kinds[kind] ?? 'other',
});
/** After a change the page goes on with the new access token. The cookie stays: the session is the same. */
const added = ({ factor, recoveryCodes, tokens }) => ({
  factor: shown(factor),
  recoveryCodes,
  ...accessOf(tokens),
});

/** A QR code as the data of one SVG path, in which a module is one unit: the page needs no library and no image. */
function qrOf(text) {
  const rows = encodeQr(text, 'raw');
  const modules = rows.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : [])));
  return { size: rows.length, path: modules.join('') };
}

export function factorRoutes(auth) {
  const routes = express.Router();
  const withToken = ({ headers }) => ({ accessToken: headers.authorization.slice('Bearer '.length) });

  // A code or a passkey, or of somebody without a second factor the password.
  routes.post('/step-up', async (request, response) => {
    const { password, code, passkey } = request.body ?? {};
    const proof = passkey
      ? { passkey: passkeyOf(passkey) }
      : code
        ? { code: textOf(code) }
        : { password: textOf(password) };
    response.json(accessOf(await auth.stepUp({ ...withToken(request), ...proof })));
  });

  routes.get('/factors', async (request, response) => {
    const { factors, recoveryCodesLeft } = await auth.listFactors(withToken(request));
    response.json({ factors: factors.map(shown), recoveryCodesLeft });
  });

  routes.delete('/factors/:factorId', async (request, response) => {
    await auth.deleteFactor({ ...withToken(request), factorId: request.params.factorId });
    response.sendStatus(204);
  });

  routes.post('/totp', async (request, response) => {
    const name = textOf(request.body?.name);
    const { factorId, secret, otpauthUri } = await auth.enrolTotp({ ...withToken(request), name });
    response.json({ factorId, secret, qr: qrOf(otpauthUri) });
  });

  routes.post('/totp/confirm', async (request, response) => {
    const { factorId, code } = request.body ?? {};
    const typed = { factorId: textOf(factorId), code: textOf(code) };
    response.json(added(await auth.confirmFactor({ ...withToken(request), ...typed })));
  });

  routes.post('/passkey/begin', async (request, response) => {
    response.json(challengeOf(await auth.beginPasskeyRegistration(withToken(request))));
  });

  routes.post('/passkey', async (request, response) => {
    const made = { ...passkeyOf(request.body), name: textOf(request.body?.name) };
    response.json(added(await auth.finishPasskeyRegistration({ ...withToken(request), ...made })));
  });

  routes.post('/recovery-codes', async (request, response) => {
    const { recoveryCodes } = await auth.replaceRecoveryCodes(withToken(request));
    response.json({ recoveryCodes });
  });

  return routes;
}
