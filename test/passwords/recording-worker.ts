/** Thread code for tests, as a data: URL because no worker starts from a .ts file. It hashes like the real one. */
const codeThat = (changesVerdict: string) => `
  import { parentPort } from 'node:worker_threads';
  import { HashRunner } from ${JSON.stringify(new URL('../../dist/passwords/hashing/hash-runner.js', import.meta.url).href)};
  const runner = new HashRunner(() => performance.now());
  parentPort.on('message', (job) => {
    const password = job.kind === 'hash' ? job.password : job.passwords[0];
    if (password === 'crash: exit') process.exit(3);
    if (password === 'crash: throw') throw new Error('thrown in the thread');
    const answer = runner.run(job);
    parentPort.postMessage(answer.kind === 'hashed' ? answer : { ...answer, ${changesVerdict} });
  });
`;

const urlOf = (code: string) => new URL(`data:text/javascript,${encodeURIComponent(code)}`);

/** A check is answered with the dummy hash it was sent, in the damage field; a `crash:` password ends the thread. */
export const recordingWorkerUrl = urlOf(codeThat('damage: job.dummy'));

/** Each check is reported with this duration, however busy the machine is. */
export const timedWorkerUrl = (workMs: number) => urlOf(codeThat(`workMs: ${workMs}`));

/** Each check is said to have taken a millisecond for each byte of the password. */
export const byLengthWorkerUrl = urlOf(
  codeThat('workMs: Math.max(...job.passwords.map((text) => Buffer.byteLength(text)))'),
);

/** Thread code that ends before it takes a job, like one whose native library is missing. */
export const brokenWorkerUrl = urlOf("throw new Error('no such library');");
