// Writers of revocations, as the service has them: one statement a revocation through its pool, and a notification afterwards.
// node bench/servers/revocation-writers.mjs DATABASE_URL WRITERS after-commit|trigger|silent
// GET /?seconds=N lets every writer write for N seconds and responds with {"calls": ..., "seconds": ...}.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { URL } from 'node:url';
import { ChangeListener, NOTIFIES_AFTER_COMMIT } from '../../dist/database/change-listener.js';
import { Database } from '../../dist/database/database.js';
import { budgetOf } from '../../dist/domain/operation-call.js';
import { insertRevocation } from '../../dist/features/revocations/revocation-queries.js';

const [url, writers, notification] = process.argv.slice(2);
const address = { url };
const database = new Database({
  address,
  applicationName: 'bench',
  maxConnections: Number(writers),
  warn: () => undefined,
  session: notification === 'trigger' ? {} : NOTIFIES_AFTER_COMMIT,
});
const listener = new ChangeListener({ address, applicationName: 'bench', onChange: () => undefined });
listener.start();

async function writeFor(seconds) {
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  const expiresAtSeconds = Math.ceil(Date.now() / 1_000) + 3_600;
  let calls = 0;
  const write = async () => {
    while (performance.now() < endMs) {
      const revocation = { kind: 'sid', id: randomUUID(), expiresAtSeconds };
      await database.run(budgetOf(10_000, Date.now()), (db) => insertRevocation(db, revocation));
      if (notification === 'after-commit') listener.notify();
      calls++;
    }
  };
  await Promise.all(Array.from({ length: Number(writers) }, write));
  return { calls, seconds: (performance.now() - startedMs) / 1_000 };
}

const server = createServer((request, response) => {
  const seconds = Number(new URL(request.url, 'http://localhost').searchParams.get('seconds'));
  writeFor(seconds).then(
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
