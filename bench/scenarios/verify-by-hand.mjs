import { randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { h2load } from '../load/h2load.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { openTokenFixture, VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

/** The hand-written server gets HS256 tokens, which verify faster than ES256, with the same claims. */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const secret = randomBytes(32).toString('hex');
    const byHandToken = jwt.sign(jwt.decode(fixture.token), secret, { algorithm: 'HS256' });
    const sides = {
      baseline: {
        token: byHandToken,
        start: () => startMeasured([benchServer('by-hand'), fixture.url, secret]),
      },
      contender: { token: fixture.token, start: () => fixture.serve() },
    };
    for (const side of Object.values(sides)) {
      const server = await side.start();
      side.answerBytes = (await verifyAnswer(server.grpc, side.token).finally(() => server.stop())).length;
    }
    const start = { baseline: sides.baseline.start, contender: sides.contender.start };
    const load = ({ grpc }, seconds, side) => {
      const { token, answerBytes } = sides[side];
      return h2load({ address: grpc, path: VERIFY, message: verifyMessage(token), seconds, answerBytes });
    };
    return [await compareServers(rowOf('verify-by-hand'), start, load, plan)];
  } finally {
    await fixture.stop();
  }
}
