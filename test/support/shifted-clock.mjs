// For `node --import`: shifts the clock by CLOCK_SHIFT_MS in every thread, like a machine whose clock is wrong.
const shiftMs = Number(process.env.CLOCK_SHIFT_MS ?? '0');
const RealDate = Date;
globalThis.Date = class Date extends RealDate {
  constructor(...parts) {
    super(...(parts.length === 0 ? [RealDate.now() + shiftMs] : parts));
  }
  static now() {
    return RealDate.now() + shiftMs;
  }
};
