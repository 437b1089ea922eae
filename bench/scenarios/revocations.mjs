import { longWarmUp, sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { h2load } from '../load/h2load.mjs';
import { curveRow } from '../measured-row.mjs';
import { openTokenFixture, VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

const SIZES = [10_000, 100_000, 1_000_000];
const QUICK_SIZES = [1_000, 10_000];

/**
 * One token repeatedly, because the check against the revocations then has the largest share. There is a database for each
 * number of revocations. A service that has just read a million of them collects garbage in its first seconds, which is not
 * a cost of calls.
 */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const sizes = plan.quick ? QUICK_SIZES : SIZES;
    const start = { baseline: () => fixture.serve() };
    for (const size of sizes) start[String(size)] = await openRevocations(fixture, size);
    const service = await fixture.serve();
    const answerBytes = (await verifyAnswer(service.grpc, fixture.token).finally(() => service.stop()))
      .length;
    const message = verifyMessage(fixture.token);
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes });
    const rounds = await sampleServers(start, load, longWarmUp(plan));
    const points = sizes.map((size) => [size, String(size)]);
    return [curveRow(rowOf('revocations'), rounds, plan, points)];
  } finally {
    await fixture.stop();
  }
}

/** Creates a database with this many active revocations of sessions, and starts services that have loaded all of them. */
async function openRevocations(fixture, size) {
  console.error(`  creating ${size.toLocaleString('en')} revocations`);
  const name = `revocations_${String(size)}`;
  const url = await fixture.copy(name);
  await fixture.query(
    `INSERT INTO revocations (kind, id, expires_at)
     SELECT 'sid', gen_random_uuid()::text, now() + interval '1 day' FROM generate_series(1, $1)`,
    [size],
    name,
  );
  await fixture.query('VACUUM ANALYZE revocations', [], name);
  return async () => {
    const service = await fixture.serve({ environment: { DATABASE_URL: url } });
    const metrics = await globalThis.fetch(`http://${service.http}/metrics`);
    const live = Number(/^postern_revocations_live (\d+)/m.exec(await metrics.text())?.[1]);
    if (live < size) {
      await service.stop();
      throw new Error(`a service that is ready has loaded only ${live} of ${size} revocations`);
    }
    return service;
  };
}
