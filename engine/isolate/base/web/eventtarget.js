// EventTarget (https://dom.spec.whatwg.org/#interface-eventtarget) and reportError. There is no tree: a
// target is the whole path of its events, capturing listeners are called first.
(base) => {
  'use strict';
  const { isObject, newList, uncurryThis } = base.values;
  const { add } = base.inspection;
  const { AT_TARGET, Event, NONE, cancel, isEvent, stateOf } = base.events;
  const { expose, illegalInvocation, requireArguments, toDictionary, typeError } = base.webidl;
  const { apply, defineProperty } = Reflect;
  const CapturedMap = Map;
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapDelete = uncurryThis(Map.prototype.delete);

  // --- listeners --------------------------------------------------------------------------------

  // A target's listeners are a Map of type → list, in the order in which they were added. A list only
  // grows; to remove a listener is to put a shorter list in its place, so that a dispatch that is
  // under way can go on with its own.

  const findListener = (list, callback, capture) => {
    for (let i = 0; i < list.length; i++) {
      if (list[i].callback === callback && list[i].capture === capture) return list[i];
    }
    return undefined;
  };

  const listOf = (listeners, type) => mapGet(listeners, type) ?? EMPTY;
  const EMPTY = Object.freeze(newList());

  const addListener = (listeners, listener) => {
    const list = mapGet(listeners, listener.type);
    if (list !== undefined) {
      list[list.length] = listener;
      return;
    }
    const first = newList();
    first[0] = listener;
    mapSet(listeners, listener.type, first);
  };

  const removeListener = (listeners, listener) => {
    if (listener.isRemoved) return;
    listener.isRemoved = true;
    if (listener.signal !== null) base.abortSignals.forget(listener.signal, listener.remove);
    const list = mapGet(listeners, listener.type);
    const rest = newList();
    for (let i = 0; i < list.length; i++) if (list[i] !== listener) rest[rest.length] = list[i];
    if (rest.length === 0) mapDelete(listeners, listener.type);
    else mapSet(listeners, listener.type, rest);
  };

  const newListener = (type, callback) => ({
    __proto__: null,
    type,
    callback, // a function or an object with a method handleEvent
    capture: false,
    once: false,
    passive: false,
    signal: null,
    isRemoved: false,
    remove: null, // what the signal calls
    value: null, // what an attribute like `onabort` holds, if the listener stands for one
  });

  const requireCallback = (callback, what) => {
    if (callback !== null && callback !== undefined && !isObject(callback)) {
      throw typeError(`${what}: the listener must be a function or an object`);
    }
  };

  const setOptions = (listener, options, what) => {
    if (options !== undefined && options !== null && !isObject(options)) {
      listener.capture = !!options;
      return;
    }
    const init = toDictionary(options, what);
    if (init === null) return;
    listener.capture = !!init.capture;
    listener.once = !!init.once;
    listener.passive = !!init.passive;
    const { signal } = init;
    if (signal === undefined) return;
    if (!base.abortSignals.is(signal)) throw typeError(`${what}: the signal must be an AbortSignal`);
    listener.signal = signal;
  };

  const toCapture = (options) => {
    if (options === undefined || options === null) return false;
    return isObject(options) ? !!options.capture : !!options;
  };

  // --- dispatch ---------------------------------------------------------------------------------

  const call = (listener, event, target) => {
    const { callback } = listener;
    if (typeof callback === 'function') return apply(callback, target, [event]);
    const { handleEvent } = callback;
    if (typeof handleEvent === 'function') return apply(handleEvent, callback, [event]);
    throw typeError('EventListener: handleEvent is no function');
  };

  const callListeners = (listeners, event, state, capture) => {
    if (state.isStopped) return;
    const list = listOf(listeners, state.type);
    const { length } = list; // those added meanwhile are not called
    for (let i = 0; i < length && !state.isStoppedAtOnce; i++) {
      const listener = list[i];
      if (listener.isRemoved || listener.capture !== capture) continue;
      if (listener.once) removeListener(listeners, listener);
      state.isInPassiveListener = listener.passive;
      try {
        call(listener, event, state.target);
      } catch (error) {
        base.uncaught('Uncaught ', error);
      }
      state.isInPassiveListener = false;
    }
  };

  /** Whether nobody has prevented the default. */
  const dispatch = (target, listeners, event, state) => {
    state.isDispatched = true;
    state.target = state.currentTarget = target;
    state.phase = AT_TARGET;
    callListeners(listeners, event, state, true);
    callListeners(listeners, event, state, false);
    state.phase = NONE;
    state.currentTarget = null;
    state.isDispatched = state.isStopped = state.isStoppedAtOnce = false;
    return !state.isCanceled;
  };

  let isTarget;
  let listenersOf; // of a target: its listeners; throws for anything else

  class EventTarget {
    #listeners = new CapturedMap();

    static {
      isTarget = (value) => isObject(value) && #listeners in value;
      listenersOf = (target) => {
        if (!isTarget(target)) throw illegalInvocation();
        return target.#listeners;
      };
    }

    addEventListener(type, callback, options = undefined) {
      const what = "Failed to execute 'addEventListener' on 'EventTarget'";
      const listeners = listenersOf(this);
      requireArguments(arguments.length, 2, what);
      const listener = newListener(`${type}`, callback);
      requireCallback(callback, what);
      setOptions(listener, options, what);
      const { signal } = listener;
      if (signal !== null && base.abortSignals.isAborted(signal)) return;
      if (callback === null || callback === undefined) return;
      if (findListener(listOf(listeners, listener.type), callback, listener.capture) !== undefined) return;
      addListener(listeners, listener);
      if (signal === null) return;
      listener.remove = () => removeListener(listeners, listener);
      base.abortSignals.follow(signal, listener.remove);
    }

    removeEventListener(type, callback, options = undefined) {
      const what = "Failed to execute 'removeEventListener' on 'EventTarget'";
      const listeners = listenersOf(this);
      requireArguments(arguments.length, 2, what);
      const name = `${type}`;
      requireCallback(callback, what);
      const found = findListener(listOf(listeners, name), callback, toCapture(options));
      if (found !== undefined) removeListener(listeners, found);
    }

    dispatchEvent(event) {
      const what = "Failed to execute 'dispatchEvent' on 'EventTarget'";
      const listeners = listenersOf(this);
      requireArguments(arguments.length, 1, what);
      if (!isEvent(event)) throw typeError(`${what}: the argument must be an Event`);
      const state = stateOf(event);
      if (state.isDispatched) {
        throw new base.DOMException(`${what}: the event is already being dispatched`, 'InvalidStateError');
      }
      state.isTrusted = false;
      return dispatch(this, listeners, event, state);
    }
  }

  expose(EventTarget, 0);

  const { reportError } = {
    reportError(error) {
      requireArguments(arguments.length, 1, "Failed to execute 'reportError'");
      base.uncaught('Uncaught ', error);
    },
  };
  defineProperty(globalThis, 'reportError', {
    value: reportError, writable: true, enumerable: false, configurable: true,
  });

  // --- for the other interfaces -----------------------------------------------------------------

  /** Tells a target's listeners of an event that only we can make. */
  const fire = (target, type) => {
    const event = new Event(type);
    const state = stateOf(event);
    state.isTrusted = true;
    dispatch(target, listenersOf(target), event, state);
  };

  /**
   * Sets what an attribute like `onabort` holds. `handler` is the listener that stands for it, or
   * null; the one that stands for it from now on is returned.
   */
  const setHandler = (target, type, handler, value) => {
    const listeners = listenersOf(target);
    if (!isObject(value)) {
      if (handler !== null) removeListener(listeners, handler);
      return null;
    }
    if (handler !== null) {
      handler.value = value; // it keeps its place among the listeners
      return handler;
    }
    const listener = newListener(type, null);
    listener.value = value;
    listener.callback = (event) => {
      if (typeof listener.value !== 'function') return;
      if (apply(listener.value, target, [event]) === false) cancel(stateOf(event));
    };
    addListener(listeners, listener);
    return listener;
  };

  base.targets = Object.freeze({ __proto__: null, EventTarget, fire, setHandler });
  add(base.exotics, { __proto__: null, has: isTarget, entries: null });
}
