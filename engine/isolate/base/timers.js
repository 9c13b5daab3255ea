// setTimeout and its family, with Node's rules where code can tell. Nothing here waits: the host
// asks what is due, sleeps, and has timers fired one at a time (see control.js). Timers outlive the
// execution that made them, so all of this is plain values that a snapshot can hold.
(base) => {
  'use strict';

  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const { apply, defineProperty } = Reflect;
  const { trunc } = Math;
  const NativeNumber = Number;
  const NativeRangeError = RangeError;
  const NativeTypeError = TypeError;
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapDelete = uncurryThis(Map.prototype.delete);

  const MAX_DELAY_MS = 2 ** 31 - 1;
  const TICKS_PER_MS = 10;

  // --- the pending timers ----------------------------------------------------------------------

  // A binary heap by (due, id). `slots` has no prototype, so that growing it meets no setter of
  // Object.prototype; every timer knows its slot, so that clearing one leaves nothing behind.
  const makeQueue = () => ({ __proto__: null, size: 0, slots: { __proto__: null } });

  const isBefore = (a, b) => a.due < b.due || (a.due === b.due && a.id < b.id);

  const place = (queue, slot, timer) => {
    queue.slots[slot] = timer;
    timer.slot = slot;
  };

  const siftUp = (queue, timer) => {
    let { slot } = timer;
    while (slot > 0) {
      const parent = queue.slots[(slot - 1) >> 1];
      if (!isBefore(timer, parent)) break;
      const freed = parent.slot;
      place(queue, slot, parent);
      slot = freed;
    }
    place(queue, slot, timer);
  };

  const siftDown = (queue, timer) => {
    const { slots, size } = queue;
    let { slot } = timer;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(slots[child + 1], slots[child])) child += 1;
      if (!isBefore(slots[child], timer)) break;
      place(queue, slot, slots[child]);
      slot = child;
    }
    place(queue, slot, timer);
  };

  const enqueue = (queue, timer) => {
    timer.slot = queue.size;
    queue.size += 1;
    siftUp(queue, timer);
  };

  const dequeue = (queue, timer) => {
    const { slot } = timer;
    queue.size -= 1;
    const moved = queue.slots[queue.size];
    delete queue.slots[queue.size];
    if (moved === timer) return;
    moved.slot = slot;
    siftUp(queue, moved);
    siftDown(queue, moved);
  };

  const first = (queue) => (queue.size === 0 ? null : queue.slots[0]);

  // --- making and clearing them ----------------------------------------------------------------

  const oneShots = makeQueue();
  const background = makeQueue(); // what alone is never waited for: intervals, signals' timeouts
  const timers = new Map(); // id -> timer
  let latestId = 0;
  let limit = 0;

  const pending = () => oneShots.size + background.size;

  const requireFunction = (callback) => {
    if (typeof callback === 'function') return;
    const received = callback == null ? `${callback}` : `type ${typeof callback}`;
    throw new NativeTypeError(`The "callback" argument must be of type function. Received ${received}`);
  };

  /** A delay as Node takes it: whole milliseconds from 1 to 2**31 - 1, anything else is 1. */
  const toDelay = (value) => {
    const delay = +value;
    return delay >= 1 && delay <= MAX_DELAY_MS ? trunc(delay) : 1;
  };

  /** Adds a timer to a queue; `period` is 0 for one that fires once. Both times are in ticks. */
  const add = (queue, callback, args, delay, period) => {
    if (pending() >= limit) {
      throw new NativeRangeError(`timers: limit of ${limit} pending timers reached`);
    }
    const due = base.clock.ticks() + delay;
    const id = (latestId += 1);
    const timer = { __proto__: null, id, due, period, callback, args, queue, slot: 0 };
    mapSet(timers, id, timer);
    enqueue(queue, timer);
    return id;
  };

  const remove = (timer) => {
    mapDelete(timers, timer.id);
    dequeue(timer.queue, timer);
  };

  const clear = (id) => {
    // Only what can be converted without running code; as in Node, all else clears nothing
    const timer = mapGet(timers, typeof id === 'string' ? NativeNumber(id) : id);
    if (timer !== undefined) remove(timer);
  };

  // --- firing ----------------------------------------------------------------------------------

  const run = (callback, args) => {
    try {
      apply(callback, undefined, args);
    } catch (error) {
      base.uncaught('Uncaught ', error);
    }
  };

  const fire = (timer) => {
    const now = base.clock.fire(timer.due);
    if (timer.period === 0) {
      remove(timer);
    } else {
      timer.due = now + timer.period;
      siftDown(background, timer);
    }
    run(timer.callback, timer.args);
  };

  const firstOfAll = () => {
    const a = first(oneShots), b = first(background);
    if (a === null || b === null) return a ?? b;
    return isBefore(a, b) ? a : b;
  };

  const dueOf = (timer) => (timer === null ? Infinity : timer.due);

  base.timers = {
    __proto__: null,

    /** Starts an execution: at most `maxPending` timers may be pending from now on. */
    begin(maxPending) {
      limit = maxPending;
    },

    pending,

    /**
     * Calls `callback` once, `delay` ticks from now. A value that has settled is not held back for it.
     * Throws the RangeError of too many timers.
     */
    addBackground(callback, delay) {
      add(background, callback, [], delay, 0);
    },

    /** When the first timer is due, in ticks; Infinity if there is none. */
    nextDue: () => dueOf(firstOfAll()),

    /** When the first one-shot timer is due, in ticks; Infinity if there is none. */
    nextOneShotDue: () => dueOf(first(oneShots)),

    /** Fires the first timer (there must be one) and returns its id. */
    fireNext() {
      const timer = firstOfAll();
      const { id } = timer;
      fire(timer);
      return id;
    },

    /** Fires the timer with that id. False if there is none. */
    fire(id) {
      const timer = mapGet(timers, id);
      if (timer === undefined) return false;
      fire(timer);
      return true;
    },
  };

  // --- what guests see -------------------------------------------------------------------------

  const inOneMicrotask = async (callback) => {
    await undefined; // unlike a promise's `then`, this looks up nothing that guests can replace
    run(callback, []);
  };

  const functions = {
    setTimeout(callback, delay = undefined, ...args) {
      requireFunction(callback);
      return add(oneShots, callback, args, toDelay(delay) * TICKS_PER_MS, 0);
    },
    setInterval(callback, delay = undefined, ...args) {
      requireFunction(callback);
      const period = toDelay(delay) * TICKS_PER_MS;
      return add(background, callback, args, period, period);
    },
    setImmediate(callback, ...args) {
      requireFunction(callback);
      return add(oneShots, callback, args, 0, 0);
    },
    clearTimeout: (id) => clear(id),
    clearInterval: (id) => clear(id),
    clearImmediate: (id) => clear(id),
    queueMicrotask(callback) {
      requireFunction(callback);
      inOneMicrotask(callback);
    },
  };

  for (const name of Object.keys(functions)) {
    const value = functions[name];
    defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
  }
}
