// Looking at values without running guest code.
//
// Everything here reads own data properties only: no getter, no Proxy trap, no Symbol.hasInstance. It
// works in a realm whose globals and prototypes the guest has replaced, because it uses nothing but
// copies taken before any guest code ran. Two rules follow for every file of the base image:
//   - a list that is written to by index has no prototype (newList), so that no setter on
//     Array.prototype can see it;
//   - a descriptor is asked with isData before its value is read, so that Object.prototype.value
//     cannot stand in for a missing one.
(base) => {
  'use strict';
  const { native } = base;
  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const { getPrototypeOf, getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { hasOwn, setPrototypeOf } = Object;
  const { toStringTag } = Symbol;
  const isEnumerable = uncurryThis(Object.prototype.propertyIsEnumerable);
  const mapGet = uncurryThis(Map.prototype.get);
  const mapHas = uncurryThis(Map.prototype.has);
  const mapSet = uncurryThis(Map.prototype.set);
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const slice = uncurryThis(String.prototype.slice);

  const MAX_PROTOTYPES = 1_000; // a longer chain is given up on
  const MAX_NAMELESS = 3; // prototypes without a class, looked through to name them
  const MAX_PROXIES = 100; // Proxies of Proxies looked through
  const MAX_NAME = 256; // characters of a class or function name

  // What native(1, value) answers.
  const kinds = Object.freeze({
    __proto__: null,
    ORDINARY: 0,
    PROXY: 1,
    PROMISE: 2,
    MAP: 3,
    SET: 4,
    WEAK_MAP: 5,
    WEAK_SET: 6,
    DATE: 7,
    REG_EXP: 8,
    ERROR: 9,
    ARRAY_BUFFER: 10,
    TYPED_ARRAY: 11,
    DATA_VIEW: 12,
    MAP_ITERATOR: 13,
    SET_ITERATOR: 14,
    GENERATOR: 15,
    ARGUMENTS: 16,
    BOXED: 17,
    ASYNC_FUNCTION: 18,
    GENERATOR_FUNCTION: 19,
    NAMESPACE: 20,
  });

  /** A list without a prototype: index assignment reaches no setter. */
  const newList = () => setPrototypeOf([], null);

  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

  /** One of `kinds`, for an object or function. */
  const kindOf = (object) => native(1, object);

  // --- the language's own prototypes ------------------------------------------------------------

  const family = (name, tag, isError) => ({ __proto__: null, name, tag, isError });

  // prototype → { name, tag, isError }. They are known not to be Proxies, and what the guest did to
  // their `constructor` or tag does not show.
  const intrinsics = new Map();

  const isPrototype = (value) => isObject(value) && !intrinsics.has(value);

  const register = (prototype, name) => {
    const isTypedArray = Object.getPrototypeOf(Uint8Array.prototype).isPrototypeOf(prototype);
    const tag = isTypedArray ? name : prototype[toStringTag];
    const isError = prototype === Error.prototype || Error.prototype.isPrototypeOf(prototype);
    intrinsics.set(prototype, family(name, typeof tag === 'string' ? tag : '', isError));
  };

  const registerAll = (namespace) => {
    for (const name of Object.getOwnPropertyNames(namespace)) {
      const constructor = Object.getOwnPropertyDescriptor(namespace, name).value;
      // Iterator.prototype is left out: the iterators below it are "Object [Array Iterator]".
      if (typeof constructor !== 'function' || name === 'Iterator') continue;
      if (isPrototype(constructor.prototype)) register(constructor.prototype, name);
    }
  };

  for (const namespace of [globalThis, globalThis.Intl, globalThis.Temporal, globalThis.WebAssembly]) {
    if (namespace) registerAll(namespace);
  }
  for (const example of [async () => {}, function* () {}, async function* () {}]) {
    register(Object.getPrototypeOf(example), example.constructor.name);
  }

  // --- proxies ----------------------------------------------------------------------------------

  const isProxy = (object) => !mapHas(intrinsics, object) && kindOf(object) === kinds.PROXY;

  /**
   * What a Proxy stands for, through Proxies of Proxies: null if one of them is revoked, a Proxy if
   * there are very many.
   */
  const targetOf = (proxy) => {
    let target = proxy;
    for (let i = 0; i < MAX_PROXIES && target !== null && isProxy(target); i++) target = native(6, target);
    return target;
  };

  // --- properties -------------------------------------------------------------------------------

  /** Whether a descriptor (or undefined) is that of a data property. */
  const isData = (descriptor) => descriptor !== undefined && hasOwn(descriptor, 'value');

  /** The value of an own data property of an object that is no Proxy; else undefined. */
  const ownData = (object, key) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    return isData(descriptor) ? descriptor.value : undefined;
  };

  // Stands for whatever a Proxy on the prototype chain would answer: no data.
  const OPAQUE = Object.freeze({ __proto__: null, get: undefined, set: undefined });

  /** `object`'s descriptor of `key`, inherited or own; undefined if there is none. No Proxy is asked. */
  const findProperty = (object, key) => {
    let current = object;
    for (let step = 0; current !== null; step++) {
      if (step === MAX_PROTOTYPES || (step > 0 && isProxy(current))) return OPAQUE;
      const descriptor = getOwnPropertyDescriptor(current, key);
      if (descriptor !== undefined) return descriptor;
      current = getPrototypeOf(current);
    }
    return undefined;
  };

  const shortName = (name) => (name.length > MAX_NAME ? `${slice(name, 0, MAX_NAME)}…` : name);

  /** A function's name as a data property says it; '' for none. */
  const functionName = (callable) => {
    if (isProxy(callable)) return '';
    const name = ownData(callable, 'name');
    return typeof name === 'string' ? shortName(name) : '';
  };

  // --- classes ----------------------------------------------------------------------------------

  /** The name of the class that `prototype` belongs to, or null. */
  const classOfPrototype = (prototype) => {
    const constructor = ownData(prototype, 'constructor');
    if (typeof constructor !== 'function' || isProxy(constructor)) return null;
    if (ownData(constructor, 'prototype') !== prototype) return null;
    return functionName(constructor) || null;
  };

  const tagOf = (descriptor) =>
    isData(descriptor) && typeof descriptor.value === 'string' ? shortName(descriptor.value) : '';

  const hasEnumerable = (object) => {
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) if (isEnumerable(object, keys[i])) return true;
    return false;
  };

  /** The class of what inherits from `prototype`, on a chain without any: what is at its end. */
  const namelessClass = (prototype) => {
    let open = 'Object <';
    let close = '>';
    let current = prototype;
    for (let step = 1; getPrototypeOf(current) !== null; step++) {
      open += 'Object <';
      close += '>';
      if (step === MAX_NAMELESS) return `${open}Complex prototype${close}`;
      current = getPrototypeOf(current);
    }
    return `${open}[Object: null prototype]${hasEnumerable(current) ? '' : ' {}'}${close}`;
  };

  /** { name, tag, isError } of the objects whose prototype is `prototype`. */
  const trace = (prototype) => {
    let name = null;
    let tag = null;
    let current = prototype;
    for (let step = 0; current !== null && step < MAX_PROTOTYPES; step++) {
      const known = mapGet(intrinsics, current);
      if (known !== undefined) return family(name ?? known.name, tag ?? known.tag, known.isError);
      if (isProxy(current)) return family(name ?? 'Object', tag ?? '', false);
      name ??= classOfPrototype(current);
      const descriptor = getOwnPropertyDescriptor(current, toStringTag);
      if (descriptor !== undefined) tag ??= tagOf(descriptor);
      current = getPrototypeOf(current);
    }
    return family(name ?? namelessClass(prototype), tag ?? '', false);
  };

  const NO_PROTOTYPE = Object.freeze(family(null, '', false));

  /**
   * { name, tag, isError } of an object that is no Proxy: its class (null without a prototype), its
   * Symbol.toStringTag ('' for none), and whether it inherits from Error.prototype. `cache` is a Map
   * that lives no longer than one inspection.
   */
  const lineage = (object, cache) => {
    const prototype = getPrototypeOf(object);
    let found = prototype === null ? NO_PROTOTYPE : (mapGet(intrinsics, prototype) ?? mapGet(cache, prototype));
    if (found === undefined) {
      found = trace(prototype);
      mapSet(cache, prototype, found);
    }
    const own = getOwnPropertyDescriptor(object, toStringTag);
    if (own === undefined) return found;
    // An enumerable tag is listed among the properties; once is enough.
    return family(found.name, own.enumerable ? '' : tagOf(own), found.isError);
  };

  /** Whether a prototype (or null) is one of the language's own, as it was before any guest code. */
  const isIntrinsic = (prototype) => mapHas(intrinsics, prototype);

  // --- texts ------------------------------------------------------------------------------------

  /** `text` in at most `limit` characters, ending in '…' where cut, never inside a surrogate pair. */
  const cut = (text, limit) => {
    if (text.length <= limit) return text;
    if (limit < 2) return '…';
    const last = charCodeAt(text, limit - 2);
    const splits = last >= 0xd800 && last <= 0xdbff;
    return `${slice(text, 0, splits ? limit - 2 : limit - 1)}…`;
  };

  base.values = Object.freeze({
    __proto__: null,
    uncurryThis,
    kinds,
    newList,
    isObject,
    kindOf,
    isProxy,
    targetOf,
    isData,
    ownData,
    findProperty,
    functionName,
    lineage,
    isIntrinsic,
    cut,
  });
}
