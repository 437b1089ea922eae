// Floods the service with logins until standard input ends: node bench/load/login-flood.mjs ADDRESS callers|rate COUNT EMAIL...
// `callers`: this many callers, each with one login in flight, who come back 20 ms after a refusal. `rate`: this many logins a
// second, whatever becomes of them. Prints a line after the first login, and at the end what became of all since then, as JSON.
import { setTimeout as pause } from 'node:timers/promises';
import { LOGIN, loginMessage } from '../token-fixture.mjs';
import { callStatus, openSession } from './callers.mjs';

const CONNECTIONS = 8;
const COME_BACK_MS = 20;
const TICK_MS = 10;
const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;

const [address, mode, count, ...emails] = process.argv.slice(2);
const messages = emails.map(loginMessage);
const sessions = Array.from({ length: CONNECTIONS }, () => openSession(address));
const done = { logins: 0, refused: 0 };
let startedMs = 0;
let isOver = false;
process.stdin.resume().once('end', () => (isOver = true));

async function login(index) {
  const status = await callStatus(sessions[index % CONNECTIONS], LOGIN, messages[index % messages.length]);
  if (![0, UNAVAILABLE, DEADLINE_EXCEEDED].includes(status))
    throw new Error(`a login ended with status ${status}`);
  if (startedMs === 0 && status === 0) {
    process.stdout.write('flooding\n');
    startedMs = performance.now();
  } else if (startedMs > 0) done[status === 0 ? 'logins' : 'refused']++;
  return status === 0;
}

async function closedLoop(index) {
  while (!isOver) if (!(await login(index))) await pause(COME_BACK_MS);
}

async function openLoop(perSecond) {
  const beganMs = performance.now();
  for (let sent = 0; !isOver; await pause(TICK_MS)) {
    const due = ((performance.now() - beganMs) / 1_000) * perSecond;
    // A call that cannot be sent is dropped, as one of a caller who gives up.
    for (; sent < due; sent++) void login(sent).catch(fail);
  }
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

try {
  if (mode === 'rate') await openLoop(Number(count));
  else await Promise.all(Array.from({ length: Number(count) }, (_, index) => closedLoop(index)));
} catch (error) {
  fail(error);
}
process.stdout.write(`${JSON.stringify({ ...done, seconds: (performance.now() - startedMs) / 1_000 })}\n`);
process.exit(0);
