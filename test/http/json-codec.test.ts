import { expect, test } from '@jest/globals';

import { AuthServiceService, LoginRequest, VerifyTokenRequest } from '../../src/generated/postern/v1/auth.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import { JsonCodec } from '../../src/http/rpc/json-codec.ts';

const codec = new JsonCodec();
const { verifyToken, login } = AuthServiceService;
const verifyRequest = (json: string) =>
  codec.method(verifyToken.path).requestFromJson(Buffer.from(json), verifyToken.requestDeserialize);
const loginRequest = (json: string) =>
  codec.method(login.path).requestFromJson(Buffer.from(json), login.requestDeserialize);

/** Also with the default values, and with nothing that the generated decoder does not set. */
test.each([
  ['{}', { accessToken: '', audience: '', minAcr: '', maxAuthAge: undefined, clientAddress: '' }],
  [
    '{"access_token":"a","audience":"\\u00e9"}',
    { accessToken: 'a', audience: 'é', minAcr: '', maxAuthAge: undefined, clientAddress: '' },
  ],
  [
    '{"minAcr":"aal2","maxAuthAge":0}',
    { accessToken: '', audience: '', minAcr: 'aal2', maxAuthAge: 0, clientAddress: '' },
  ],
])('H02 a request of texts alone is what the generated decoder makes: %s', (json, request) => {
  const decoded = verifyToken.requestDeserialize(Buffer.from(VerifyTokenRequest.encode(request).finish()));
  expect(verifyRequest(json)).toStrictEqual(decoded);
});

test('H02 and so is any other request', () => {
  const request = {
    email: 'a',
    password: 'b',
    audience: '',
    client: { address: 'c', userAgent: '' },
    code: '',
    passkey: undefined,
  };
  const decoded = login.requestDeserialize(Buffer.from(LoginRequest.encode(request).finish()));
  expect(loginRequest('{"email":"a","password":"b","client":{"address":"c"}}')).toStrictEqual(decoded);
});

test.each([
  ['a message of texts', () => verifyRequest('{"accessToken":"a\\udc00"}')],
  ['any other message', () => loginRequest('{"email":"a","client":{"userAgent":"\\ud800b"}}')],
])('H02 %s with a lone surrogate is refused', (_name, decode) => {
  expect(decode).toThrow(Rejected);
});
