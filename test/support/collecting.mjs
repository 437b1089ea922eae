import { setInterval } from 'node:timers';

// Collects garbage ten times a second: with `--expose-gc --import`.
setInterval(() => globalThis.gc(), 100).unref();
