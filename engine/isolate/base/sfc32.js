// base.randomUint32() and base.randomFloat() from the execution's own seed: sfc32 (Chris Doty-Humphrey's
// "small fast counting" generator), whose counter keeps every seed, zero included, off short cycles.
(base) => {
  'use strict';

  const WARM_UP = 16; // rounds until every bit of the seed has reached every bit of the output
  const state = new Int32Array(4); // three mixed words and the counter

  /** An integer, 0 <= n < 2**32. */
  const randomUint32 = () => {
    const a = state[0], b = state[1], c = state[2], counter = state[3];
    const sum = (((a + b) | 0) + counter) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = (c + (c << 3)) | 0;
    state[2] = (((c << 21) | (c >>> 11)) + sum) | 0;
    state[3] = (counter + 1) | 0;
    return sum >>> 0;
  };

  base.randomUint32 = randomUint32;

  /** Starts an execution's sequence. `seed`: an array of four 32-bit integers that only we hold. */
  base.seedRandom = (seed) => {
    for (let i = 0; i < 4; i += 1) state[i] = seed[i];
    for (let i = 0; i < WARM_UP; i += 1) randomUint32();
  };

  // 27 + 26 random bits over 2**53: every multiple of 2**-53 below 1 is as likely
  base.randomFloat = () => ((randomUint32() >>> 5) * 67_108_864 + (randomUint32() >>> 6)) / 9_007_199_254_740_992;
}
