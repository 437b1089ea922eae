import { fileURLToPath, URL } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { h2load } from '../load/h2load.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callOnce, openTokenFixture } from '../token-fixture.mjs';

const vendored = fileURLToPath(new URL('../../proto/vendor', import.meta.url));
const { Check } = loadSync('envoy/service/auth/v3/external_auth.proto', { includeDirs: [vendored] })[
  'envoy.service.auth.v3.Authorization'
];
const CHECK = '/envoy.service.auth.v3.Authorization/Check';

/** A check as Envoy sends it for a browser's request: a dozen headers, one with the token. */
export function checkMessage(token) {
  const headers = {
    ':authority': 'shop.example.com',
    ':method': 'GET',
    ':path': '/orders?page=2',
    ':scheme': 'https',
    accept: 'application/json',
    'accept-encoding': 'gzip, deflate, br',
    'accept-language': 'en-GB,en;q=0.9',
    authorization: `Bearer ${token}`,
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'x-envoy-internal': 'true',
    'x-forwarded-for': '192.0.2.7',
    'x-forwarded-proto': 'https',
    'x-request-id': 'f4b5f9a4-3c67-4a53-8d6e-5b0a2f0e6c11',
  };
  const http = { id: '1234567890', method: 'GET', path: '/orders?page=2', host: 'shop.example.com', headers };
  return Check.requestSerialize({ attributes: { request: { http } } });
}

export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const message = checkMessage(fixture.token);
    const service = await fixture.serve();
    const answer = await callOnce(service.grpc, CHECK, message).finally(() => service.stop());
    if (!answer.includes('x-postern-subject')) throw new Error('the check was denied');
    const start = {
      baseline: () => startMeasured([benchServer('bare'), CHECK, answer.toString('base64')]),
      contender: () => fixture.serve(),
    };
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: CHECK, message, seconds, answerBytes: answer.length });
    return [await compareServers(rowOf('check'), start, load, plan)];
  } finally {
    await fixture.stop();
  }
}
