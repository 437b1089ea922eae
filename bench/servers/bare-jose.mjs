// The bare server plus one `jose.jwtVerify` with the checks that jose offers: the minimum that verifies a token.
// node bench/servers/bare-jose.mjs PATH ANSWER_IN_BASE64 JWKS_JSON ISSUER AUDIENCE
import { importJWK, jwtVerify } from 'jose';
import { listen, rawMethod } from './listen.mjs';

const [path, answer, jwks, issuer, audience] = process.argv.slice(2);
const bytes = Buffer.from(answer, 'base64');
const [jwk] = JSON.parse(jwks).keys;
const key = await importJWK(jwk, jwk.alg);
const rules = { issuer, audience, algorithms: [jwk.alg], typ: 'at+jwt' };

async function call({ request }, callback) {
  try {
    // The request has one field: its tag, its length in two bytes, the token.
    await jwtVerify(request.toString('latin1', 3), key, rules);
    callback(null, bytes);
  } catch {
    callback({ code: 16, details: 'bad token' });
  }
}
listen((server) => server.addService({ call: rawMethod(path) }, { call }));
