// Many real verifiers in one process: what an update costs one of them, and so a relay, which reads its stream by the same code.
import { setTimeout as pause } from 'node:timers/promises';
import { createVerifier } from '../../dist/client/postern-client.js';

const [address, count] = [process.argv[2], Number(process.argv[3])];
const verifiers = Array.from({ length: count }, () => createVerifier({ trust: { upstream: { address } } }));
await Promise.all(verifiers.map((verifier) => verifier.ready(30_000)));
process.on('message', async ({ action, revocations }) => {
  while (verifiers.some((verifier) => verifier.state().revocations < revocations)) await pause(5);
  process.send({ done: action });
});
process.once('disconnect', () => process.exit());
process.send({ ready: true });
