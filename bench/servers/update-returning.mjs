// The minimum that a refresh costs a database: one UPDATE ... RETURNING of a session through a `pg` pool, repeatedly.
// node bench/servers/update-returning.mjs DATABASE_URL POOL_SIZE SESSION_ID...
// GET /?seconds=N keeps one UPDATE of each session in flight for N seconds and responds with {"calls": ..., "seconds": ...}.
import { createServer } from 'node:http';
import { URL } from 'node:url';
import pg from 'pg';

const [connectionString, poolSize, ...ids] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString, max: Number(poolSize) });
const rotate = {
  name: 'rotate',
  text: `UPDATE sessions SET generation = generation + 1, rotated_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL
         RETURNING user_id, generation, rotated_at`,
};

async function updateFor(seconds) {
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  let calls = 0;
  const client = async (id) => {
    while (performance.now() < endMs) {
      const { rowCount } = await pool.query({ ...rotate, values: [id] });
      if (rowCount !== 1) throw new Error(`there is no session ${id}`);
      calls++;
    }
  };
  await Promise.all(ids.map(client));
  return { calls, seconds: (performance.now() - startedMs) / 1_000 };
}

const server = createServer(({ url }, response) => {
  const seconds = Number(new URL(url, 'http://localhost').searchParams.get('seconds'));
  updateFor(seconds).then(
    (done) => response.end(JSON.stringify(done)),
    (error) => {
      response.statusCode = 500;
      response.end(error.message);
    },
  );
});
server.listen(0, '127.0.0.1', () => {
  const http = `127.0.0.1:${server.address().port}`;
  process.stdout.write(`${JSON.stringify({ event: 'listening', http, pid: process.pid })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
