/** Replaces `passwords/hashing/refusal-delay.js`: no refusal is delayed. */
export class RefusalDelay {
  ms = 0;
  expect() {
    return Promise.resolve();
  }
  observe() {
    return undefined;
  }
}
