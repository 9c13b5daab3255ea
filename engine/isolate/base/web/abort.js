// AbortController and AbortSignal (https://dom.spec.whatwg.org/#aborting-ongoing-activities).
//
// A signal made by `any` is held by its sources until it is aborted: whether it could be collected
// before must not show.
(base) => {
  'use strict';
  const { isObject, newList, uncurryThis } = base.values;
  const { add } = base.inspection;
  const { expose, illegalConstructor, illegalInvocation, requireArguments, typeError } = base.webidl;
  const { EventTarget, fire, setHandler } = base.targets;
  const { DOMException } = base;
  const { trunc } = Math;
  const CapturedSet = Set;
  const setAdd = uncurryThis(Set.prototype.add);
  const setDelete = uncurryThis(Set.prototype.delete);
  const setForEach = uncurryThis(Set.prototype.forEach);

  const KEY = Object.freeze({ __proto__: null }); // who has it may make signals
  const MAX_DELAY_MS = Number.MAX_SAFE_INTEGER;
  const TICKS_PER_MS = 10;

  const aborted = () => new DOMException('This operation was aborted', 'AbortError');
  const timedOut = () => new DOMException('The operation was aborted due to timeout', 'TimeoutError');

  // --- signals ----------------------------------------------------------------------------------

  let isSignal;
  let stateOf; // of a signal: its state; throws for anything else

  const newState = () => ({
    __proto__: null,
    isAborted: false,
    reason: undefined,
    algorithms: new CapturedSet(), // functions to call once, before the event
    sources: null, // of a signal made by `any`: the signals that it follows
    dependents: new CapturedSet(), // those that follow it
    handler: null, // the listener that is `onabort`
  });

  /** [EnforceRange] unsigned long long */
  const toDelay = (value) => {
    const delay = trunc(+value);
    if (delay >= 0 && delay <= MAX_DELAY_MS) return delay;
    throw typeError("Failed to execute 'timeout' on 'AbortSignal': the delay is out of range");
  };

  class AbortSignal extends EventTarget {
    #state = newState();

    static {
      isSignal = (value) => isObject(value) && #state in value;
      stateOf = (signal) => {
        if (!isSignal(signal)) throw illegalInvocation();
        return signal.#state;
      };
    }

    constructor(key = undefined) {
      if (key !== KEY) throw illegalConstructor();
      super();
    }

    static abort(reason = undefined) {
      const signal = new AbortSignal(KEY);
      const state = stateOf(signal);
      state.isAborted = true;
      state.reason = reason === undefined ? aborted() : reason;
      return signal;
    }

    static timeout(milliseconds) {
      requireArguments(arguments.length, 1, "Failed to execute 'timeout' on 'AbortSignal'");
      const delay = toDelay(milliseconds);
      const signal = new AbortSignal(KEY);
      base.timers.addBackground(() => abort(signal, timedOut()), delay * TICKS_PER_MS);
      return signal;
    }

    static any(signals) {
      const what = "Failed to execute 'any' on 'AbortSignal'";
      requireArguments(arguments.length, 1, what);
      if (!isObject(signals)) throw typeError(`${what}: the argument must be iterable`);
      const sources = newList();
      for (const signal of signals) { // by the guest's own iterator, as a sequence is converted
        if (!isSignal(signal)) throw typeError(`${what}: the iterable must hold AbortSignals`);
        sources[sources.length] = signal;
      }
      return follow(new AbortSignal(KEY), sources);
    }

    get aborted() {
      return stateOf(this).isAborted;
    }

    get reason() {
      return stateOf(this).reason;
    }

    throwIfAborted() {
      const { isAborted, reason } = stateOf(this);
      if (isAborted) throw reason;
    }

    get onabort() {
      return stateOf(this).handler?.value ?? null;
    }

    set onabort(value) {
      const state = stateOf(this);
      state.handler = setHandler(this, 'abort', state.handler, value);
    }
  }

  expose(AbortSignal, 0);

  /** Makes `signal`, a new one, abort with the first of `sources`. */
  const follow = (signal, sources) => {
    const state = stateOf(signal);
    for (let i = 0; i < sources.length; i++) {
      const source = stateOf(sources[i]);
      if (!source.isAborted) continue;
      state.isAborted = true;
      state.reason = source.reason;
      return signal;
    }
    state.sources = new CapturedSet();
    const add = (source) => {
      setAdd(state.sources, source);
      setAdd(stateOf(source).dependents, signal);
    };
    for (let i = 0; i < sources.length; i++) {
      const source = stateOf(sources[i]);
      if (source.sources === null) add(sources[i]);
      else setForEach(source.sources, add); // never a chain of followers
    }
    return signal;
  };

  /** No source has to remember a signal that is aborted. */
  const leaveSources = (signal, state) => {
    if (state.sources === null) return;
    setForEach(state.sources, (source) => setDelete(stateOf(source).dependents, signal));
  };

  const finish = (signal, { algorithms }) => {
    // What is added meanwhile would be called too, but none of these adds any
    setForEach(algorithms, (algorithm) => algorithm());
    stateOf(signal).algorithms = new CapturedSet();
    fire(signal, 'abort');
  };

  const abort = (signal, reason) => {
    const state = stateOf(signal);
    if (state.isAborted) return;
    state.isAborted = true;
    state.reason = reason;
    const followers = newList();
    setForEach(state.dependents, (dependent) => {
      const other = stateOf(dependent);
      if (other.isAborted) return;
      other.isAborted = true;
      other.reason = reason;
      followers[followers.length] = dependent;
    });
    finish(signal, state);
    for (let i = 0; i < followers.length; i++) {
      const other = stateOf(followers[i]);
      leaveSources(followers[i], other);
      finish(followers[i], other);
    }
  };

  base.abortSignals = Object.freeze({
    __proto__: null,
    is: isSignal,
    isAborted: (signal) => stateOf(signal).isAborted,
    /** Calls `algorithm` when a signal, not aborted yet, is aborted. */
    follow: (signal, algorithm) => setAdd(stateOf(signal).algorithms, algorithm),
    forget: (signal, algorithm) => setDelete(stateOf(signal).algorithms, algorithm),
  });

  // --- controllers ------------------------------------------------------------------------------

  let isController;
  let signalOf; // of a controller: its signal; throws for anything else

  class AbortController {
    #signal = new AbortSignal(KEY);

    static {
      isController = (value) => isObject(value) && #signal in value;
      signalOf = (controller) => {
        if (!isController(controller)) throw illegalInvocation();
        return controller.#signal;
      };
    }

    get signal() {
      return signalOf(this);
    }

    abort(reason = undefined) {
      const signal = signalOf(this);
      abort(signal, reason === undefined ? aborted() : reason);
    }
  }

  expose(AbortController, 0);

  // --- inspection -------------------------------------------------------------------------------

  const ofSignal = (signal) => ['aborted', stateOf(signal).isAborted];
  const ofController = (controller) => ['signal', signalOf(controller)];

  add(base.exotics, { __proto__: null, has: isSignal, entries: base.fieldEntries(ofSignal) });
  add(base.exotics, { __proto__: null, has: isController, entries: base.fieldEntries(ofController) });
}
