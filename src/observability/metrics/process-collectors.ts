import { DurationHistogram } from '../../domain/histogram.ts';
import type { Collectors } from './exposition.ts';

const SAMPLE_INTERVAL_MS = 100;

/** Measures event loop lag, CPU time and memory of the process. `stop` ends its timer. */
export class ProcessMeter {
  readonly #lag = new DurationHistogram();
  readonly #timer: NodeJS.Timeout;
  #expectedMs = performance.now() + SAMPLE_INTERVAL_MS;

  constructor() {
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.#lag.observe(Math.max(0, nowMs - this.#expectedMs));
      this.#expectedMs = nowMs + SAMPLE_INTERVAL_MS;
    }, SAMPLE_INTERVAL_MS);
    this.#timer.unref();
  }

  readonly collectors: Collectors = {
    eventLoopLag: () => this.#lag,
    eventLoopBusy: () => performance.eventLoopUtilization().active / 1000,
    cpu: () => (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
    residentMemory: () => process.memoryUsage.rss(),
    startTime: () => performance.timeOrigin / 1000,
    heapUsed: () => process.memoryUsage().heapUsed,
    externalMemory: () => process.memoryUsage().external,
  };

  stop(): void {
    clearInterval(this.#timer);
  }
}
