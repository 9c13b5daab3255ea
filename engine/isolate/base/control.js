// What the host calls. Every function here runs in a realm that the guest may have changed at will,
// so it uses built-ins captured before the guest's code, and hands the guest nothing but its own
// values. The host calls, for each execution: begin, and inputHidden if a variable of the guest hides
// the input and cannot be assigned; overdue until it is false, then the code, then
// settle until it is -1, running all microtasks after each; finish. `rejected` comes at any time.
(base) => {
  'use strict';

  const { clock, timers } = base;
  const realm = globalThis; // the property of that name is the guest's to change
  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const { defineProperty } = Reflect;
  const { hasOwn } = Object;
  const { parse, stringify } = JSON;
  const slice = uncurryThis(String.prototype.slice);
  const toWellFormed = uncurryThis(String.prototype.toWellFormed);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapDelete = uncurryThis(Map.prototype.delete);
  const mapForEach = uncurryThis(Map.prototype.forEach);
  const mapClear = uncurryThis(Map.prototype.clear);
  const mapSize = uncurryThis(Object.getOwnPropertyDescriptor(Map.prototype, 'size').get);

  const MAX_UNHANDLED = 1_000; // rejected promises kept at once; more are only counted
  const MAX_FIRED = 100_000; // timers fired in one execution
  const TICKS_PER_MS = 10;

  // --- the execution ---------------------------------------------------------------------------

  let start = 0; // ticks
  let deadline = 0; // ticks
  let resultChars = 0;
  let replaying = false;
  let diverged = false;
  let fired = 0; // timers fired so far

  // The ids of the timers that fired in one phase: what has happened and, in a replay, what is to
  const makePhase = () => ({ __proto__: null, recorded: null, cursor: 0, text: '' });
  let before = makePhase();
  let after = makePhase();

  const note = (phase, id) => {
    phase.text += phase.text === '' ? `${id}` : `,${id}`;
    fired += 1;
  };

  const inputHidden = () => base.console.write('error', 'input: it cannot be set in this session');

  /** Whether globalThis.input is the value now. */
  const bindInput = (value) => {
    const bound =
      defineProperty(realm, 'input', {
        __proto__: null, value, writable: true, enumerable: true, configurable: true,
      }) || defineProperty(realm, 'input', { __proto__: null, value }); // a `var` or function of that name
    if (!bound) inputHidden();
    return bound;
  };

  /** Whether there is an input, and globalThis.input is its value. */
  const begin = (json) => {
    const message = parse(json);
    const { limits, replay } = message;
    ({ start, deadline } = message);
    replaying = replay !== null;
    resultChars = limits.result_chars;
    fired = 0;
    diverged = false;
    before = makePhase();
    after = makePhase();
    if (replaying) {
      before.recorded = replay.before;
      after.recorded = replay.after;
    }
    base.console.reset(limits.console_bytes);
    clock.begin(start, limits.clock_reads, replaying ? replay.clock : null);
    base.seedRandom(message.seed);
    timers.begin(limits.timers);
    return hasOwn(message, 'input') && bindInput(message.input);
  };

  // --- timers ----------------------------------------------------------------------------------

  /** Fires the next timer that was recorded in this phase. False at the end, or if it is missing. */
  const fireRecorded = (phase) => {
    if (phase.cursor === phase.recorded.length) return false;
    const id = phase.recorded[phase.cursor];
    if (!timers.fire(id)) {
      diverged = true;
      return false;
    }
    phase.cursor += 1;
    note(phase, id);
    return true;
  };

  const overdue = () => {
    if (replaying) return fireRecorded(before);
    if (timers.nextDue() > start || fired === MAX_FIRED) return false;
    note(before, timers.fireNext());
    return true;
  };

  const WAIT_FOR_NOTHING = -1;
  const FIRED = 0;

  const settle = (settled) => {
    const due = timers.nextDue();
    const awaited = settled ? timers.nextOneShotDue() < deadline : due !== Infinity;
    if (awaited && fired === MAX_FIRED) {
      base.console.write('warn', `timers: limit of ${MAX_FIRED} firings in one execution reached`);
      return WAIT_FOR_NOTHING;
    }
    if (replaying) return fireRecorded(after) ? FIRED : WAIT_FOR_NOTHING;
    if (!awaited) return WAIT_FOR_NOTHING;
    const wait = (due - clock.peek()) / TICKS_PER_MS;
    if (wait > 0) return wait;
    note(after, timers.fireNext());
    return FIRED;
  };

  // --- unhandled rejections --------------------------------------------------------------------

  const REJECTED = 0, HANDLED = 1; // V8's kPromiseRejectWithNoHandler, kPromiseHandlerAddedAfterReject

  const unhandled = new Map(); // promise -> reason, in the order of rejection
  let unkept = 0; // further ones

  const rejected = (event, promise, reason) => {
    if (event === REJECTED) {
      if (mapSize(unhandled) < MAX_UNHANDLED) mapSet(unhandled, promise, reason);
      else unkept += 1;
    } else if (event === HANDLED && !mapDelete(unhandled, promise) && unkept > 0) {
      unkept -= 1;
    }
  };

  const reportUnhandled = () => {
    mapForEach(unhandled, (reason) => base.uncaught('Uncaught (in promise) ', reason));
    mapClear(unhandled);
    if (unkept > 0) base.console.write('error', `Uncaught (in promise): ${unkept} more`);
    unkept = 0;
  };

  // --- texts -----------------------------------------------------------------------------------

  // Describing a value can fail only where the stack or the memory ends, and then the execution is
  // undone as a whole; what went wrong must not be looked at, since it may be the guest's.
  const attempt = (describe, otherwise) => {
    try {
      return describe();
    } catch {
      return otherwise;
    }
  };

  const NOT_SHOWN = '[value that cannot be shown: inspecting it failed]';
  const inspect = (value) => attempt(() => base.inspect(value), NOT_SHOWN);

  base.uncaught = (prefix, reason) => base.console.write('error', prefix + inspect(reason));

  const cut = (text) => (text.length > resultChars ? `${slice(text, 0, resultChars - 1)}…` : text);

  /** A text or null as JSON, cut to the limit. */
  const jsonText = (text) => (text === null ? 'null' : stringify(toWellFormed(cut(text))));

  const jsonError = (error) => {
    const unknown = { __proto__: null, name: 'Error', message: NOT_SHOWN, stack: null };
    const { name, message, stack } = attempt(() => base.describeError(error), unknown);
    return `{"name":${jsonText(name)},"message":${jsonText(message)},"stack":${jsonText(stack)}}`;
  };

  // --- the outcome -----------------------------------------------------------------------------

  const FULFILLED = 0, PENDING = 1, THREW = 2;
  const NO_JSON = Object.freeze({ __proto__: null, json: null, omitted: null });

  const exhausted = (phase) => phase.recorded === null || phase.cursor === phase.recorded.length;

  const finish = (kind, value, promise) => {
    mapDelete(unhandled, promise);
    reportUnhandled();
    const result = kind === FULFILLED ? inspect(value) : null;
    const toJSON = () => (kind === FULFILLED ? base.toJSON(value, resultChars) : NO_JSON);
    const { json, omitted } = attempt(toJSON, NO_JSON);
    const error = kind === THREW ? jsonError(value) : 'null';
    base.console.flush();
    const agreed = !diverged && !clock.diverged() && exhausted(before) && exhausted(after);
    const outcome =
      `{"status":"${kind === THREW ? 'failed' : 'completed'}","result":${jsonText(result)}` +
      `,"result_json":${jsonText(json)},"result_json_omitted":${jsonText(omitted)}` +
      `,"error":${error},"pending":${kind === PENDING}` +
      `,"pending_timers":${timers.pending()},"console_dropped":${base.console.dropped()}` +
      `,"clock":${clock.finish()},"before":[${before.text}],"after":[${after.text}]` +
      `,"diverged":${!agreed}}`;
    before = makePhase();
    after = makePhase();
    return outcome;
  };

  const { freeze } = Object;
  const { look, formatStack } = base;
  base.control = freeze({
    __proto__: null, begin, inputHidden, overdue, settle, rejected, finish, look, formatStack,
  });
}
