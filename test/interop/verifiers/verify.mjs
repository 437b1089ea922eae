// node verify.mjs JWKS_URL ISSUER AUDIENCE: answers each token on standard input with one line. With jwks-rsa.
import { createInterface } from 'node:readline';

import jwt from 'jsonwebtoken';
import jwksRsa from 'jwks-rsa';

const [JWKS_URL, ISSUER, AUDIENCE] = process.argv.slice(2);
const CACHE_MS = Number(process.env.CACHE_SECONDS ?? 60) * 1000;

// A revoked key is accepted for as long as this, even when a newer key set was read.
const client = jwksRsa({ jwksUri: JWKS_URL, cacheMaxAge: CACHE_MS, timeout: 5_000 });
const getKey = (header, done) =>
  client.getSigningKey(header.kid, (error, key) => done(error, key?.getPublicKey()));

function verify(token) {
  return new Promise((resolve, reject) => {
    const options = { algorithms: ['ES256'], issuer: ISSUER, audience: AUDIENCE, complete: true };
    jwt.verify(token, getKey, options, (error, decoded) => {
      if (error) reject(error);
      else if (decoded.header.typ !== 'at+jwt') reject(new Error('not an access token'));
      else resolve(decoded.payload);
    });
  });
}

for await (const token of createInterface({ input: process.stdin })) {
  await verify(token).then(
    ({ sub }) => console.log(`accepted ${sub}`),
    (error) => console.log(`refused ${error.name} ${error.message}`),
  );
}
