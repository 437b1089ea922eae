/** Replaces `passwords/hashing/refusal-delay.js`: no refusal is delayed. */
export class RefusalDelay {
  maxForms = 3;
  msFor() {
    return 0;
  }
  expect() {
    return Promise.resolve();
  }
  observe() {
    return undefined;
  }
}
