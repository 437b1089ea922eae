import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { Buffer } from 'node:buffer';
import { masterKeyOf } from '../../dist/crypto/sealed-envelope.js';
import { RootKey } from '../../dist/features/root-key/root-key.js';
import { TotpSecrets } from '../../dist/features/second-factors/totp/totp-secrets.js';
import { TOTP_SECRET_BYTES, totpCode, totpStep } from '../../dist/features/second-factors/totp/totp.js';
import { masterKey } from '../bench-service.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { figureRow, ratioRow } from '../measured-row.mjs';
import { sampleRounds, spread } from '../pairs.mjs';
import { openPostgresCpu } from '../postgres-cpu.mjs';
import { LOGIN, loginMessage, loginMessageWithCode } from '../token-fixture.mjs';
import { openFixtureWithUsers } from '../user-fixture.mjs';

/** As in `login-cost`. */
const WARM_UP_SECONDS = 30;
const USERS = 400;
const CALLERS = 4;
const SAMPLE_TIMES = 3;

/**
 * What a login with a TOTP code costs, beside the logins of users without a factor at the same service: the CPU time of service and
 * hash, and that of PostgreSQL. A code is accepted once, so a sample logs in each user once for each code that is
 * accepted at the moment, the oldest first.
 */
export async function run(plan) {
  const fixture = await openFixtureWithUsers();
  const postgresSeconds = await openPostgresCpu(fixture);
  try {
    const [first] = fixture.emails;
    const plain = (await addUsersLike(fixture, first, 'plain', USERS)).map(({ email }) =>
      loginMessage(email),
    );
    const secured = await addFactors(fixture, await addUsersLike(fixture, first, 'secured', 10 * USERS));
    const service = await fixture.serve();
    const logIn = async (seconds, next) => {
      const before = { service: service.cpuSeconds(), postgres: postgresSeconds() };
      const load = { address: service.grpc, path: LOGIN, callers: CALLERS, seconds, next };
      const logins = await callersLoad(load);
      return {
        ...logins,
        cpuSeconds: service.cpuSeconds() - before.service,
        postgresSeconds: postgresSeconds() - before.postgres,
      };
    };
    const withCode = async (seconds) => {
      await fixture.query('UPDATE factors SET last_step = -1');
      let at = 0;
      return logIn(seconds, () => {
        const user = secured[at++];
        return user === undefined
          ? null
          : loginMessageWithCode(user.email, totpCode(user.secret, totpStep(Date.now() / 1_000)));
      });
    };
    const withoutCode = (seconds) => logIn(seconds, () => plain[randomInt(plain.length)]);
    await withoutCode(plan.quick ? plan.warmUpSeconds : WARM_UP_SECONDS);
    await withCode(plan.quick ? plan.warmUpSeconds : WARM_UP_SECONDS);
    const seconds = (plan.quick ? 1 : SAMPLE_TIMES) * plan.seconds;
    const sides = { baseline: () => withoutCode(seconds), contender: () => withCode(seconds) };
    const rounds = await sampleRounds(sides, plan.pairs);
    await service.stop();
    const postgres = rounds.map(({ contender }) => postgresMs(contender));
    const plainPostgres = rounds.map((round) => (postgresMs(round.baseline) + postgresMs(round.control)) / 2);
    const also = { 'login without a factor, ms': spread(plainPostgres) };
    return [
      ratioRow(rowOf('login-totp', 'login-totp-cpu'), rounds, plan),
      figureRow(rowOf('login-totp', 'login-totp-postgres-cpu'), postgres, plan, also),
    ];
  } finally {
    await fixture.stop();
  }
}

/** Users with the same hash, which would otherwise take a while to make. */
async function addUsersLike(fixture, email, name, count) {
  return fixture.query(
    `INSERT INTO users (id, email, password_hash)
     SELECT gen_random_uuid(), $2 || n || '@example.com', password_hash
     FROM users, generate_series(1, $3::int) AS n WHERE email = $1 RETURNING id, email`,
    [email, name, count],
  );
}

/** Gives each user a confirmed TOTP factor. Returns their e-mails and secrets. */
async function addFactors(fixture, users) {
  const rootKey = new RootKey();
  await rootKey.prepare(fixture.database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const secrets = new TotpSecrets(() => rootKey.derive('totp'));
  const factors = users.map(({ id: userId, email }) => {
    const id = randomUUID();
    const secret = randomBytes(TOTP_SECRET_BYTES);
    return { id, userId, email, secret, sealed: secrets.seal({ id, userId }, secret) };
  });
  await fixture.query(
    `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at)
     SELECT id, user_id, 'totp', 'phone', sealed, now() FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS f (id, user_id, sealed)`,
    [factors.map(({ id }) => id), factors.map(({ userId }) => userId), factors.map(({ sealed }) => sealed)],
  );
  await fixture.query('ANALYZE factors');
  return factors;
}

const postgresMs = ({ postgresSeconds, calls }) => (1_000 * postgresSeconds) / calls;
