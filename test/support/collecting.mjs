import { setInterval } from 'node:timers';

// Collects garbage four times a second: with `--expose-gc --import`.
setInterval(() => globalThis.gc(), 250).unref();
