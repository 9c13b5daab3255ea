// base.toJSON(value, maxChars): plain data as JSON text, or null for anything else.
//
// Like JSON.stringify for what JSON can hold (functions, symbols and undefined are left out), but it
// runs no guest code, and what JSON could only distort or would ask the guest about (NaN, dates,
// class instances, getters, toJSON) makes the whole of it null.
(base) => {
  'use strict';
  const { isData, isObject, kindOf, kinds, uncurryThis } = base.values;
  const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { isArray } = Array;
  const { isFinite } = Number;
  const { stringify } = JSON;
  const { prototype: objectPrototype } = Object;
  const { prototype: arrayPrototype } = Array;

  const MAX_DEPTH = 100; // also where a cycle ends

  // An encoding: text, OMITTED for what JSON leaves out, or null if the value is no plain data.
  const OMITTED = '';

  /** Takes `text` off what may still be written; null if it is too long. */
  const spend = (budget, text) => {
    budget.chars -= text.length;
    return budget.chars < 0 ? null : text;
  };

  const encodePrimitive = (value, budget) => {
    switch (typeof value) {
      // stringify asks for toJSON only where the value is an object or a BigInt
      case 'string': return value.length > budget.chars ? null : spend(budget, stringify(value));
      case 'number': return isFinite(value) ? spend(budget, stringify(value)) : null;
      case 'boolean': return spend(budget, value ? 'true' : 'false');
      case 'bigint': return null;
      default: return value === null ? spend(budget, 'null') : OMITTED; // undefined or a symbol
    }
  };

  const encodeElement = (array, index, budget, depth) => {
    const descriptor = getOwnPropertyDescriptor(array, index);
    if (descriptor === undefined) return spend(budget, 'null'); // a hole
    if (!isData(descriptor)) return null;
    const text = encode(descriptor.value, budget, depth);
    return text === OMITTED ? spend(budget, 'null') : text;
  };

  const encodeArray = (array, budget, depth) => {
    const { length } = array;
    if (spend(budget, '[]') === null || length > budget.chars) return null;
    let json = '[';
    for (let i = 0; i < length; i++) {
      const text = encodeElement(array, i, budget, depth);
      if (text === null || spend(budget, ',') === null) return null;
      json += i === 0 ? text : `,${text}`;
    }
    return `${json}]`;
  };

  /** "key":value of an own property, OMITTED or null. */
  const encodeProperty = (object, key, budget, depth) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (key === 'toJSON' && !(isData(descriptor) && typeof descriptor.value !== 'function')) return null;
    if (!descriptor.enumerable) return OMITTED;
    if (!isData(descriptor)) return null;
    const text = encode(descriptor.value, budget, depth);
    if (text === null || text === OMITTED) return text;
    const name = encodePrimitive(key, budget);
    return name === null || spend(budget, ':,') === null ? null : `${name}:${text}`;
  };

  const encodeObject = (object, budget, depth) => {
    const keys = ownKeys(object);
    budget.keys -= keys.length;
    if (budget.keys < 0 || spend(budget, '{}') === null) return null;
    let json = '{';
    let separator = '';
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === 'symbol') continue;
      const text = encodeProperty(object, keys[i], budget, depth);
      if (text === null) return null;
      if (text === OMITTED) continue;
      json += separator + text;
      separator = ',';
    }
    return `${json}}`;
  };

  function encode(value, budget, depth) {
    if (!isObject(value)) return encodePrimitive(value, budget);
    if (typeof value === 'function') return OMITTED;
    if (depth === MAX_DEPTH || kindOf(value) !== kinds.ORDINARY) return null;
    const prototype = getPrototypeOf(value);
    if (isArray(value)) {
      const isPlain = prototype === arrayPrototype && getOwnPropertyDescriptor(value, 'toJSON') === undefined;
      return isPlain ? encodeArray(value, budget, depth + 1) : null;
    }
    const isPlain = prototype === objectPrototype || prototype === null;
    return isPlain ? encodeObject(value, budget, depth + 1) : null;
  }

  /** JSON text of at most `maxChars` characters; null if `value` is undefined or no plain data. */
  base.toJSON = (value, maxChars) => {
    // keys bound the work on properties that leave no text; those that do take four characters
    const budget = { __proto__: null, chars: maxChars, keys: maxChars / 4 };
    return encode(value, budget, 0) || null;
  };
}
