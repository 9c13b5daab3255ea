// Event and CustomEvent (https://dom.spec.whatwg.org/#events); EventTarget dispatches them.
(base) => {
  'use strict';
  const { isObject } = base.values;
  const { addConstants, expose, illegalInvocation, requireArguments, toDictionary } = base.webidl;
  const { add } = base.inspection;
  const { defineProperty } = Reflect;

  const NONE = 0, CAPTURING_PHASE = 1, AT_TARGET = 2, BUBBLING_PHASE = 3;

  // --- events -----------------------------------------------------------------------------------

  let isEvent;
  let stateOf; // of an event: its state; throws for anything else

  const newState = () => ({
    __proto__: null,
    type: '',
    bubbles: false,
    cancelable: false,
    composed: false,
    target: null,
    currentTarget: null,
    phase: NONE,
    isStopped: false, // no other target
    isStoppedAtOnce: false, // no other listener
    isCanceled: false,
    isDispatched: false, // now
    isInPassiveListener: false,
    isTrusted: false, // made here, not by the guest
    timeStamp: base.clock.stamp(),
  });

  const cancel = (state) => {
    if (state.cancelable && !state.isInPassiveListener) state.isCanceled = true;
  };

  // An attribute that every event has of its own ([LegacyUnforgeable])
  const trusted = Object.getOwnPropertyDescriptor({
    get isTrusted() {
      return stateOf(this).isTrusted;
    },
  }, 'isTrusted');
  const TRUSTED = Object.freeze({ __proto__: null, get: trusted.get, enumerable: true, configurable: false });

  class Event {
    #state = newState();

    static {
      isEvent = (value) => isObject(value) && #state in value;
      stateOf = (event) => {
        if (!isEvent(event)) throw illegalInvocation();
        return event.#state;
      };
    }

    constructor(type, options = undefined) {
      requireArguments(arguments.length, 1, "Failed to construct 'Event'");
      const state = this.#state;
      state.type = `${type}`;
      const init = toDictionary(options, "Failed to construct 'Event'");
      if (init !== null) {
        state.bubbles = !!init.bubbles;
        state.cancelable = !!init.cancelable;
        state.composed = !!init.composed;
      }
      defineProperty(this, 'isTrusted', TRUSTED);
    }

    get type() {
      return stateOf(this).type;
    }

    get target() {
      return stateOf(this).target;
    }

    get srcElement() {
      return stateOf(this).target;
    }

    get currentTarget() {
      return stateOf(this).currentTarget;
    }

    composedPath() {
      const { currentTarget } = stateOf(this);
      return currentTarget === null ? [] : [currentTarget];
    }

    get eventPhase() {
      return stateOf(this).phase;
    }

    stopPropagation() {
      stateOf(this).isStopped = true;
    }

    get cancelBubble() {
      return stateOf(this).isStopped;
    }

    set cancelBubble(value) {
      const state = stateOf(this);
      if (value) state.isStopped = true;
    }

    stopImmediatePropagation() {
      const state = stateOf(this);
      state.isStopped = state.isStoppedAtOnce = true;
    }

    get bubbles() {
      return stateOf(this).bubbles;
    }

    get cancelable() {
      return stateOf(this).cancelable;
    }

    get returnValue() {
      return !stateOf(this).isCanceled;
    }

    set returnValue(value) {
      const state = stateOf(this);
      if (!value) cancel(state);
    }

    preventDefault() {
      cancel(stateOf(this));
    }

    get defaultPrevented() {
      return stateOf(this).isCanceled;
    }

    get composed() {
      return stateOf(this).composed;
    }

    get timeStamp() {
      return stateOf(this).timeStamp;
    }

    initEvent(type, bubbles = false, cancelable = false) {
      const state = stateOf(this);
      requireArguments(arguments.length, 1, "Failed to execute 'initEvent' on 'Event'");
      initialize(state, `${type}`, !!bubbles, !!cancelable);
    }
  }

  /** Whether it was done: an event that is being dispatched stays as it is. */
  const initialize = (state, type, bubbles, cancelable) => {
    if (state.isDispatched) return false;
    state.type = type;
    state.bubbles = bubbles;
    state.cancelable = cancelable;
    state.target = null;
    state.isTrusted = state.isStopped = state.isStoppedAtOnce = state.isCanceled = false;
    return true;
  };

  addConstants(Event, { NONE, CAPTURING_PHASE, AT_TARGET, BUBBLING_PHASE });
  expose(Event, 1);

  let isCustomEvent;

  class CustomEvent extends Event {
    #detail = null;

    static {
      isCustomEvent = (value) => isObject(value) && #detail in value;
    }

    constructor(type, options = undefined) {
      requireArguments(arguments.length, 1, "Failed to construct 'CustomEvent'");
      super(type, options);
      const detail = options?.detail; // super has refused what is no dictionary
      if (detail !== undefined) this.#detail = detail;
    }

    get detail() {
      if (!isCustomEvent(this)) throw illegalInvocation();
      return this.#detail;
    }

    initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
      if (!isCustomEvent(this)) throw illegalInvocation();
      requireArguments(arguments.length, 1, "Failed to execute 'initCustomEvent' on 'CustomEvent'");
      if (initialize(stateOf(this), `${type}`, !!bubbles, !!cancelable)) this.#detail = detail;
    }
  }

  expose(CustomEvent, 1);

  base.events = Object.freeze({ __proto__: null, AT_TARGET, Event, NONE, cancel, isEvent, stateOf });

  // --- inspection -------------------------------------------------------------------------------

  const fields = (event) => {
    const { type, isCanceled, cancelable, timeStamp } = stateOf(event);
    return ['type', type, 'defaultPrevented', isCanceled, 'cancelable', cancelable, 'timeStamp', timeStamp];
  };

  add(base.exotics, { __proto__: null, has: isEvent, entries: base.fieldEntries(fields), omits: 'isTrusted' });
}
