/** In the place of `passwords/hashing/refusal-delay.js`: no refusal waits. */
export class RefusalDelay {
  ms = 0;
  expect() {
    return Promise.resolve();
  }
  observe() {
    return undefined;
  }
}
