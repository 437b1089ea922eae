import { URL } from 'node:url';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { h1load } from '../load/h2load.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { openTokenFixture, VERIFY } from '../token-fixture.mjs';

/** The same call as in `verify-seen`, as a program without gRPC makes it. */
export async function run(plan) {
  const fixture = await openTokenFixture({ POSTERN_HTTP_RPC: 'auth' });
  try {
    const body = JSON.stringify({ accessToken: fixture.token });
    const service = await fixture.serve();
    const answer = await answerOf(service, body).finally(() => service.stop());
    const start = {
      baseline: () => startMeasured([benchServer('bare-http'), answer.toString('base64')]),
      contender: () => fixture.serve(),
    };
    const load = ({ http }, seconds) =>
      h1load({ address: http, path: VERIFY, body, seconds, answerBytes: answer.length });
    return [await compareServers(rowOf('verify-http'), start, load, plan)];
  } finally {
    await fixture.stop();
  }
}

async function answerOf({ http }, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await globalThis.fetch(new URL(`http://${http}${VERIFY}`), {
    method: 'POST',
    headers,
    body,
  });
  if (response.status !== 200) throw new Error(`VerifyToken over HTTP answered ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
