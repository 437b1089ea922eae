import { createHmac, randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, URL } from 'node:url';
import { masterKeyOf } from '../../dist/crypto/sealed-envelope.js';
import { bytesOfUuid, uuidV7 } from '../../dist/domain/uuid.js';
import { RootKey } from '../../dist/features/root-key/root-key.js';
import { RefreshTokenRequest, TokenSet } from '../../dist/generated/postern/v1/auth.js';
import { masterKey } from '../bench-service.mjs';
import { longWarmUp, sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { figureRow, ratioRow } from '../measured-row.mjs';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { spread } from '../pairs.mjs';
import { openPostgresCpu } from '../postgres-cpu.mjs';
import { openTokenFixture, REFRESH } from '../token-fixture.mjs';

/** The number of callers of the rows; each has a session of its own. */
const CALLERS = 32;
/** The numbers of callers that the row of the cost shows besides. */
const OTHER_CALLERS = [1, 8, 128];
/** The same number of connections as the service has for calls. */
const POOL_SIZE = 10;
const GO_FOLDER = fileURLToPath(new URL('../servers/refresh-go', import.meta.url));

/**
 * The service rotates the session, writes the audit event, signs an access token and responds over gRPC. One baseline only
 * updates the row through `pg`; the other is a service in Go that does the same without an audit event. All wait for the disk
 * at each commit. The CPU time is that of the server and of PostgreSQL, without the callers, which share the machine; so
 * nothing is pinned.
 */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const postgresSeconds = await openPostgresCpu(fixture);
    const measured = (server) => ({ ...server, cpuSeconds: () => server.cpuSeconds() + postgresSeconds() });
    const sides = await openSides(fixture, plan);
    const start = Object.fromEntries(
      Object.entries(sides).map(([side, { start: startOne }]) => [
        side,
        async () => measured(await startOne()),
      ]),
    );
    const load = async (server, seconds, side) => {
      const postgresBefore = postgresSeconds();
      const result = await sides[side].load(server, seconds);
      return { ...result, postgresSeconds: postgresSeconds() - postgresBefore };
    };
    const rounds = await sampleServers(start, load, longWarmUp(plan));
    return rowsOf(rounds, sides, plan);
  } finally {
    await fixture.stop();
  }
}

async function openSides(fixture, plan) {
  const root = new RootKey();
  await root.prepare(fixture.database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const service = async (callers) => {
    const sessions = await openSessions(fixture, root.tokens(), callers);
    const tokens = sessions.map(({ id, nonce }) => root.tokens().make(nonce, id, 1));
    const start = () => fixture.serve({ pinned: false });
    return { start, load: ({ grpc }, seconds) => refreshes(grpc, seconds, tokens) };
  };
  const bare = await openSessions(fixture, root.tokens(), CALLERS);
  const script = [
    benchServer('update-returning'),
    fixture.url,
    String(POOL_SIZE),
    ...bare.map(({ id }) => id),
  ];
  const sides = {
    baseline: { start: () => startMeasured(script, { pinned: false }), load: updates },
    contender: await service(CALLERS),
  };
  // A quick run leaves out what only the table shows.
  for (const callers of plan.quick ? [] : OTHER_CALLERS) sides[String(callers)] = await service(callers);
  const go = buildGo(fixture.dataDir);
  if (go !== null) {
    sides.go = await goSide(fixture, root.tokens(), go);
    sides['go again'] = sides.go;
  }
  return sides;
}

/** Inserts sessions, as logins would open them. */
async function openSessions(fixture, tokens, count) {
  const [{ id: userId }] = await fixture.query('SELECT id FROM users LIMIT 1');
  const sessions = Array.from({ length: count }, () => ({
    id: uuidV7(Date.now(), randomBytes(16)),
    nonce: tokens.nonceFor(userId, randomBytes(16)),
  }));
  await fixture.query(
    `INSERT INTO sessions (id, user_id, nonce, audience, access_expires_at, expires_at)
     SELECT id, $1, nonce, 'postern', now() + interval '10 minutes', now() + interval '30 days'
     FROM unnest($2::uuid[], $3::bytea[]) AS s (id, nonce)`,
    [userId, sessions.map(({ id }) => id), sessions.map(({ nonce }) => nonce)],
  );
  return sessions;
}

/** Returns the path of the program, or null without Go. */
function buildGo(folder) {
  if (spawnSync('go', ['version']).status !== 0) {
    console.error('  Go is not installed: the row refresh-go IS LEFT OUT');
    return null;
  }
  const program = join(folder, 'refresh-go');
  const built = spawnSync('go', ['build', '-o', program, '.'], { cwd: GO_FOLDER, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`bench/servers/refresh-go does not build: ${built.stderr}`);
  return program;
}

async function goSide(fixture, tokens, program) {
  const macKey = randomBytes(32);
  const held = (await openSessions(fixture, tokens, CALLERS)).map(({ id }) => {
    const head = Buffer.concat([bytesOfUuid(id), Buffer.from([0, 0, 0, 1])]);
    const mac = createHmac('sha256', macKey).update(head).digest();
    return Buffer.concat([head, mac]).toString('base64url');
  });
  const script = [fixture.url, String(POOL_SIZE), macKey.toString('hex')];
  return {
    start: () => startMeasured(script, { pinned: false, program }),
    load: ({ grpc }, seconds) => refreshes(grpc, seconds, held),
  };
}

async function updates({ http }, seconds) {
  const response = await globalThis.fetch(`http://${http}/?seconds=${String(seconds)}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function refreshes(address, seconds, tokens) {
  return callersLoad({
    address,
    path: REFRESH,
    callers: tokens.length,
    seconds,
    next: (caller) => RefreshTokenRequest.encode({ refreshToken: tokens[caller] }).finish(),
    onResponse(caller, response) {
      tokens[caller] = TokenSet.decode(response).refreshToken;
    },
  });
}

function rowsOf(rounds, sides, plan) {
  const costMs = (side) => rounds.map((round) => (1_000 * round[side].cpuSeconds) / round[side].calls);
  const inMs = (side) => spread(costMs(side));
  const perSecond = (side) => spread(rounds.map((round) => round[side].calls / round[side].seconds));
  const also = {
    'of that PostgreSQL': spread(
      rounds.map(({ contender: { postgresSeconds, calls } }) => (1_000 * postgresSeconds) / calls),
    ),
    'calls/s': perSecond('contender'),
  };
  for (const side of OTHER_CALLERS.map(String).filter((name) => name in sides)) {
    also[`${side} callers, ms`] = inMs(side);
    also[`${side} callers, calls/s`] = perSecond(side);
  }
  const rows = [
    ratioRow(rowOf('refresh'), rounds, plan, { also: ['throughput'] }),
    figureRow(rowOf('refresh', 'refresh-cost'), costMs('contender'), plan, also),
  ];
  if (!('go' in sides)) return rows;
  const against = rounds.map((round) => ({
    baseline: round.go,
    control: round['go again'],
    contender: round.contender,
  }));
  const row = ratioRow(rowOf('refresh', 'refresh-go'), against, plan, { also: ['throughput'] });
  return [...rows, { ...row, also: { ...row.also, 'ms in Go': inMs('go') } }];
}
