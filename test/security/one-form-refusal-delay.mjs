import { RefusalDelay as Original } from '../../dist/passwords/hashing/refusal-delay.js';

/** Replaces `passwords/hashing/refusal-delay.js`: the delay covers one Unicode form of the password, whatever it is. */
export class RefusalDelay extends Original {
  msFor() {
    return super.msFor(1);
  }
}
