import { randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { h2load } from '../load/h2load.mjs';
import { compareServers } from '../ratio-scenario.mjs';
import { openTokenHouse, VERIFY, verifyAnswer, verifyMessage } from '../token-house.mjs';

export const needsH2load = true;

/** The hand-written server gets HS256, which verifies faster than ES256, and the same claims. */
export async function run(plan) {
  const house = await openTokenHouse();
  try {
    const secret = randomBytes(32).toString('hex');
    const byHandToken = jwt.sign(jwt.decode(house.token), secret, { algorithm: 'HS256' });
    const sides = {
      baseline: {
        token: byHandToken,
        start: () => startMeasured([benchServer('by-hand'), house.url, secret]),
      },
      contender: { token: house.token, start: () => house.serve() },
    };
    for (const side of Object.values(sides)) {
      const server = await side.start();
      side.answerBytes = (await verifyAnswer(server.grpc, side.token).finally(() => server.stop())).length;
    }
    const row = {
      id: 'verify-by-hand',
      title: 'VerifyToken, seen before',
      beside: 'what people write by hand: proto-loader, `jsonwebtoken` (HS256), one SELECT a call',
      goal: { atLeast: 8 },
      judgedBy: 'cpu',
    };
    const start = { baseline: sides.baseline.start, contender: sides.contender.start };
    const load = ({ grpc }, seconds, side) => {
      const { token, answerBytes } = sides[side];
      return h2load({ address: grpc, path: VERIFY, message: verifyMessage(token), seconds, answerBytes });
    };
    return [await compareServers(row, start, load, plan)];
  } finally {
    await house.stop();
  }
}
