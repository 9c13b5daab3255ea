// The recorded clock, and everything in the language through which code could see the real one.
//
// Time is counted in ticks of 0.1 ms since the Unix epoch. Every reading that code takes is part of
// the execution's trace: run-length coded as (ticks since the previous value, number of readings
// that saw it). A replay takes its readings from a recorded trace and never looks at the real clock.
(base) => {
  'use strict';

  const { native } = base;
  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const { construct, defineProperty } = Reflect;
  const { floor } = Math;
  const define = (object, name, value) => defineProperty(object, name, { __proto__: null, value });

  const RealDate = Date;
  const realDateNow = Date.now;

  /** The real clock, in milliseconds: for the host's own use, never for a value that code sees. */
  base.realNow = realDateNow;

  // --- the trace -------------------------------------------------------------------------------

  const NativeFloat64Array = Float64Array;
  const typedArraySet = uncurryThis(Object.getPrototypeOf(Float64Array.prototype).set);
  const NativeRangeError = RangeError;
  const NativeTypeError = TypeError;
  const INITIAL_RUNS = 32;

  let runs; // (delta, count) pairs
  let capacity; // pairs that fit; asking a typed array for its length is not safe from guests
  let used; // pairs written
  let limit; // pairs allowed
  let last; // the latest reading; before the first, the execution's start
  let full; // whether a reading has been refused: from then on every one is
  let recorded; // the pairs to replay, or null
  let cursor; // how many entries of `recorded` are used up
  let left; // readings left in the current recorded pair
  let diverged; // whether the replay took more readings than were recorded

  const forget = () => {
    runs = new NativeFloat64Array(2 * INITIAL_RUNS);
    capacity = INITIAL_RUNS;
    used = cursor = left = 0;
    recorded = null;
    full = diverged = false;
  };

  const grow = () => {
    const larger = new NativeFloat64Array(4 * capacity);
    typedArraySet(larger, runs);
    runs = larger;
    capacity *= 2;
  };

  const recordedReading = () => {
    if (left > 0) {
      left -= 1;
      return last;
    }
    if (cursor < recorded.length) {
      const delta = recorded[cursor];
      left = recorded[cursor + 1] - 1;
      cursor += 2;
      return last + delta;
    }
    // A trace that is full ended with a refusal; any other one was simply over.
    if (used === limit) full = true;
    else diverged = true;
    return last;
  };

  const append = (value) => {
    if (used > 0 && value === last) {
      runs[2 * used - 1] += 1;
    } else if (used === limit) {
      full = true;
    } else {
      if (used === capacity) grow();
      runs[2 * used] = value - last;
      runs[2 * used + 1] = 1;
      used += 1;
      last = value;
    }
  };

  /** Takes one reading, no earlier than the one before, into the trace unless that is full. */
  const read = (realTicks) => {
    if (full) return;
    if (recorded !== null) {
      const value = recordedReading();
      if (!full) append(value);
    } else {
      const value = realTicks();
      append(value > last ? value : last);
    }
  };

  const traceText = () => {
    let text = '';
    for (let i = 0; i < 2 * used; i += 1) text += i === 0 ? runs[i] : ',' + runs[i];
    return `[${text}]`;
  };

  // --- readings --------------------------------------------------------------------------------

  const precise = () => native(2);
  const coarse = () => realDateNow() * 10; // whole milliseconds, 60 times cheaper than `precise`

  const takeReading = (realTicks) => {
    read(realTicks);
    if (full) {
      throw new NativeRangeError(
        `clock reads: limit of ${limit} distinct readings in one execution reached`,
      );
    }
    return last;
  };

  const ticks = () => takeReading(precise);
  const milliseconds = () => floor(takeReading(coarse) / 10);

  let origin; // the start of the session's first execution, in ticks
  let elapsed = 0; // the latest time since then: it never goes back, even if the host's clock does

  /** Milliseconds from the origin to a reading. */
  const sinceOrigin = (reading) => {
    const value = (reading - origin) / 10;
    if (value > elapsed) elapsed = value;
    return elapsed;
  };

  const happen = (due) => {
    read(() => {
      const now = precise();
      return now > due ? now : due; // the real clock may have been set back meanwhile
    });
    return last > due ? last : due;
  };

  forget();
  base.clock = {
    __proto__: null,

    /** Starts an execution. `replay` is the recorded trace (an array that only we hold) or null. */
    begin(start, maxRuns, replay) {
      last = start;
      limit = maxRuns;
      recorded = replay;
      if (start !== 0) origin ??= start; // the host's warm-up is outside of time
    },

    /** A recorded reading, in ticks. Throws the RangeError of a trace that is full. */
    ticks,

    /** The tick at which a timer fires: a recorded reading, not before `due`. Never throws. */
    fire: happen,

    /** Milliseconds from the origin to now, in steps of 0.1: a recorded reading. Throws as `ticks` does. */
    now: () => sinceOrigin(ticks()),

    /** The same for what happens of itself. Never throws: when the trace is full it is the last reading. */
    stamp: () => sinceOrigin(happen(0)),

    /** The start of the session's first execution, in milliseconds since the Unix epoch. */
    origin: () => origin / 10,

    /** The real clock, in ticks, unrecorded: only to decide how long to wait. */
    peek() {
      const now = precise();
      return now > last ? now : last;
    },

    /** Whether a replay took other readings than were recorded. */
    diverged: () => diverged || (recorded !== null && (left > 0 || cursor < recorded.length)),

    /** Ends the execution: its trace as a JSON array of numbers. */
    finish() {
      const text = traceText();
      forget();
      return text;
    },
  };

  // --- Date ------------------------------------------------------------------------------------

  const dateToString = uncurryThis(Date.prototype.toString);

  const GuestDate = function Date(...args) {
    if (new.target === undefined) return dateToString(new RealDate(milliseconds()));
    return construct(RealDate, args.length === 0 ? [milliseconds()] : args, new.target);
  };

  const replaceDate = () => {
    define(GuestDate, 'length', 7);
    defineProperty(GuestDate, 'prototype', { value: RealDate.prototype, writable: false });
    const { now } = { now: () => milliseconds() };
    for (const [name, value] of [['now', now], ['parse', RealDate.parse], ['UTC', RealDate.UTC]]) {
      defineProperty(GuestDate, name, { value, writable: true, enumerable: false, configurable: true });
    }
    define(RealDate.prototype, 'constructor', GuestDate);
    define(globalThis, 'Date', GuestDate);
  };

  // --- Intl ------------------------------------------------------------------------------------

  const { prototype: formatPrototype } = Intl.DateTimeFormat;
  const boundFormatOf = uncurryThis(Object.getOwnPropertyDescriptor(formatPrototype, 'format').get);
  const realFormatToParts = uncurryThis(formatPrototype.formatToParts);
  const guestFormats = new WeakMap(); // V8's bound format function -> the one that guests see
  const weakMapGet = uncurryThis(WeakMap.prototype.get);
  const weakMapSet = uncurryThis(WeakMap.prototype.set);

  const guestFormatOf = (formatter) => {
    const realFormat = boundFormatOf(formatter); // one per formatter; throws if it is none
    let format = weakMapGet(guestFormats, realFormat);
    if (format === undefined) {
      format = (0, (date) => realFormat(date === undefined ? milliseconds() : date)); // nameless
      weakMapSet(guestFormats, realFormat, format);
    }
    return format;
  };

  const replaceIntl = () => {
    const methods = {
      get format() {
        return guestFormatOf(this);
      },
      formatToParts(date) {
        return realFormatToParts(this, date === undefined ? milliseconds() : date);
      },
    };
    const { get } = Object.getOwnPropertyDescriptor(methods, 'format');
    defineProperty(formatPrototype, 'format', { get });
    define(formatPrototype, 'formatToParts', methods.formatToParts);
  };

  // --- Temporal --------------------------------------------------------------------------------

  const NativeBigInt = BigInt;
  const NANOSECONDS_PER_TICK = 100_000n;
  const { Instant, ZonedDateTime } = Temporal;
  const toZonedDateTimeISO = uncurryThis(Instant.prototype.toZonedDateTimeISO);
  const toPlainDateTime = uncurryThis(ZonedDateTime.prototype.toPlainDateTime);
  const toPlainDate = uncurryThis(ZonedDateTime.prototype.toPlainDate);
  const toPlainTime = uncurryThis(ZonedDateTime.prototype.toPlainTime);

  const instantNow = () => new Instant(NativeBigInt(ticks()) * NANOSECONDS_PER_TICK);
  const zonedNow = (zone) => toZonedDateTimeISO(instantNow(), zone === undefined ? 'UTC' : zone);

  const temporalNow = {
    instant: () => instantNow(),
    timeZoneId: () => 'UTC',
    // `length` of these is 0: their argument is optional
    plainDateTimeISO: (zone = undefined) => toPlainDateTime(zonedNow(zone)),
    zonedDateTimeISO: (zone = undefined) => zonedNow(zone),
    plainDateISO: (zone = undefined) => toPlainDate(zonedNow(zone)),
    plainTimeISO: (zone = undefined) => toPlainTime(zonedNow(zone)),
  };

  const replaceTemporal = () => {
    for (const name of Object.keys(temporalNow)) define(Temporal.Now, name, temporalNow[name]);
  };

  // --- Atomics ---------------------------------------------------------------------------------

  // Both would wait for real time, since nobody else can ever notify
  const waiting = {
    wait(array, index, value, timeout) {
      throw new NativeTypeError('Atomics.wait cannot be called in this context');
    },
    waitAsync(array, index, value, timeout) {
      throw new NativeTypeError('Atomics.waitAsync cannot be called in this context');
    },
  };

  const replaceAtomics = () => {
    for (const name of Object.keys(waiting)) define(Atomics, name, waiting[name]);
  };

  replaceDate();
  replaceIntl();
  replaceTemporal();
  replaceAtomics();
}
