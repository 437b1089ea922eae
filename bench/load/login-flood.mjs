// Floods the service with logins, one in flight per user, until standard input ends: node bench/load/login-flood.mjs ADDRESS EMAIL...
// Prints a line after the first login, and at the end the logins per second.
import { LOGIN, loginMessage } from '../token-fixture.mjs';
import { callersLoad } from './callers.mjs';

const [address, ...emails] = process.argv.slice(2);
const messages = emails.map(loginMessage);
let isOver = false;
let hasStarted = false;
process.stdin.resume().once('end', () => (isOver = true));
const { calls, seconds } = await callersLoad({
  address,
  path: LOGIN,
  callers: messages.length,
  seconds: Infinity,
  next: (caller) => (isOver ? null : messages[caller]),
  onResponse() {
    if (!hasStarted) process.stdout.write('flooding\n');
    hasStarted = true;
  },
});
process.stdout.write(`${String(calls / seconds)}\n`);
process.exit(0);
