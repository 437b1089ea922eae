// Logs people in, each as soon as the login before has been answered, until its standard input ends: node bench/load/login-flood.mjs ADDRESS EMAIL...
// Writes a line when the first one is in, and at the end how many logins a second there were.
import { LOGIN, loginMessage } from '../token-fixture.mjs';
import { callersLoad } from './callers.mjs';

const [address, ...emails] = process.argv.slice(2);
const messages = emails.map(loginMessage);
let isOver = false;
let isIn = false;
process.stdin.resume().once('end', () => (isOver = true));
const { calls, seconds } = await callersLoad({
  address,
  path: LOGIN,
  callers: messages.length,
  seconds: Infinity,
  next: (index) => (isOver ? null : messages[index]),
  took() {
    if (!isIn) process.stdout.write('flooding\n');
    isIn = true;
  },
});
process.stdout.write(`${String(calls / seconds)}\n`);
process.exit(0);
