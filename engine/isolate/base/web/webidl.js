// What the web's interfaces have in common (https://webidl.spec.whatwg.org): how a class looks from
// outside, and how arguments are converted. Conversions run guest code where the standard says so.
(base) => {
  'use strict';
  const { isObject, uncurryThis } = base.values;
  const { defineProperty, ownKeys } = Reflect;
  const { toStringTag } = Symbol;
  const NativeTypeError = TypeError;
  const toWellFormed = uncurryThis(String.prototype.toWellFormed);

  const makeEnumerable = (object, hidden) => {
    for (const key of ownKeys(object)) {
      if (!hidden.includes(key) && typeof key === 'string') defineProperty(object, key, { enumerable: true });
    }
  };

  /**
   * Makes a class look like an interface, and a global. Only while the image is built. `length` is the
   * number of arguments that its constructor requires.
   */
  const expose = (constructor, length) => {
    const { name, prototype } = constructor;
    defineProperty(constructor, 'length', { value: length });
    makeEnumerable(constructor, ['length', 'name', 'prototype']);
    makeEnumerable(prototype, ['constructor']);
    base.addClass(constructor);
    defineProperty(prototype, toStringTag, { value: name, configurable: true });
    defineProperty(globalThis, name, { value: constructor, writable: true, configurable: true });
  };

  /** Constants of an interface: on its class and its prototype. Only while the image is built. */
  const addConstants = (constructor, constants) => {
    for (const name of Object.keys(constants)) {
      const descriptor = { value: constants[name], enumerable: true };
      defineProperty(constructor, name, descriptor);
      defineProperty(constructor.prototype, name, descriptor);
    }
  };

  const typeError = (message) => new NativeTypeError(message);

  /** Gives an error a property that is listed with it. */
  const setField = (error, name, value) =>
    defineProperty(error, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

  /** What a method throws whose `this` is not of its class. */
  const illegalInvocation = () => typeError('Illegal invocation');

  const illegalConstructor = () => typeError('Illegal constructor');

  /** Throws unless at least `required` arguments were given to `what`. */
  const requireArguments = (given, required, what) => {
    if (given >= required) return;
    const noun = required === 1 ? 'argument' : 'arguments';
    throw typeError(`${what}: ${required} ${noun} required, but only ${given} present`);
  };

  /** A dictionary argument: an object to read members of, or null where there is none. */
  const toDictionary = (value, what) => {
    if (value === undefined || value === null) return null;
    if (!isObject(value)) throw typeError(`${what}: the options must be an object`);
    return value;
  };

  /** A string without lone surrogates. */
  const toUSVString = (value) => toWellFormed(`${value}`);

  base.webidl = Object.freeze({
    __proto__: null,
    addConstants,
    expose,
    illegalConstructor,
    illegalInvocation,
    requireArguments,
    setField,
    toDictionary,
    toUSVString,
    typeError,
  });
}
