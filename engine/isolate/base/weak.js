// WeakRef and FinalizationRegistry without the garbage collector: when it runs differs from run to
// run, so nothing of it may show. A target lives as long as its WeakRef, and no cleanup callback is
// ever called; the language allows both.
(base) => {
  'use strict';

  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const { defineProperty } = Reflect;
  const NativeString = String;
  const NativeTypeError = TypeError;
  const NativeWeakSet = WeakSet;
  const weakSetAdd = uncurryThis(WeakSet.prototype.add);
  const weakSetDelete = uncurryThis(WeakSet.prototype.delete);
  const { keyFor } = Symbol;

  const canBeHeldWeakly = (value) =>
    (typeof value === 'object' && value !== null) ||
    typeof value === 'function' ||
    (typeof value === 'symbol' && keyFor(value) === undefined); // a registered symbol never dies

  const requireReceiver = (isOne, method) => {
    if (!isOne) throw new NativeTypeError(`Method ${method} called on incompatible receiver`);
  };

  const invalidToken = (token) =>
    new NativeTypeError(`Invalid unregisterToken ('${NativeString(token)}')`);

  const GuestWeakRef = class WeakRef {
    #target;

    constructor(target) {
      if (!canBeHeldWeakly(target)) throw new NativeTypeError('WeakRef: invalid target');
      this.#target = target;
    }

    deref() {
      requireReceiver(#target in this, 'WeakRef.prototype.deref');
      return this.#target;
    }
  };

  const GuestFinalizationRegistry = class FinalizationRegistry {
    // All that can ever be seen of a registration is whether there is one to take back. Targets and
    // held values are not kept: nothing will ask for them.
    #tokens = new NativeWeakSet();

    constructor(cleanup) {
      if (typeof cleanup !== 'function') {
        throw new NativeTypeError('FinalizationRegistry: cleanup must be callable');
      }
    }

    register(target, heldValue, token = undefined) {
      requireReceiver(#tokens in this, 'FinalizationRegistry.prototype.register');
      if (!canBeHeldWeakly(target)) {
        throw new NativeTypeError('FinalizationRegistry.prototype.register: invalid target');
      }
      if (target === heldValue) {
        throw new NativeTypeError(
          'FinalizationRegistry.prototype.register: target and holdings must not be same',
        );
      }
      if (canBeHeldWeakly(token)) weakSetAdd(this.#tokens, token);
      else if (token !== undefined) throw invalidToken(token);
    }

    unregister(token) {
      requireReceiver(#tokens in this, 'FinalizationRegistry.prototype.unregister');
      if (!canBeHeldWeakly(token)) throw invalidToken(token);
      return weakSetDelete(this.#tokens, token);
    }
  };

  const replace = (constructor) => {
    const { name } = constructor;
    defineProperty(constructor.prototype, Symbol.toStringTag, { value: name, configurable: true });
    defineProperty(globalThis, name, { value: constructor }); // the other attributes stay
  };

  replace(GuestWeakRef);
  replace(GuestFinalizationRegistry);
}
