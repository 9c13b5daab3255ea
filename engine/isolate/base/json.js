// base.toJSON(value, maxChars): plain data as JSON text, or the reason why it is not given as JSON.
//
// Like JSON.stringify for what JSON can hold (functions, symbols and undefined are left out, -0 is 0,
// dates are ISO strings), but it runs no guest code, and one thing that JSON could only distort or
// would ask the guest about (NaN, a BigInt, a class instance, a getter, a toJSON) means no JSON at all.
(base) => {
  'use strict';
  const { cut, isData, isObject, kindOf, kinds, lineage, ownData, uncurryThis } = base.values;
  const { escape } = base.primitives;
  const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { isArray } = Array;
  const { isFinite } = Number;
  const { floor } = Math;
  const { isRawJSON, stringify } = JSON;
  const CapturedMap = Map;
  const { prototype: objectPrototype } = Object;
  const { prototype: arrayPrototype } = Array;
  const { prototype: datePrototype } = Date;
  const { toISOString, toJSON: dateToJSON } = datePrototype;
  const dateTime = uncurryThis(datePrototype.getTime);
  const dateText = uncurryThis(toISOString);
  const exec = uncurryThis(RegExp.prototype.exec);
  const isWellFormed = uncurryThis(String.prototype.isWellFormed);
  const padStart = uncurryThis(String.prototype.padStart);

  const MAX_DEPTH = 100; // also where a cycle ends
  const MAX_PATH = 100; // characters of the path in a reason, and of a class name

  // An encoding: text, OMITTED for what JSON leaves out, or null where the whole is not given as JSON.
  // Then the budget says why (`reason`) and, as the recursion returns, where (`path`, if it matters).
  const OMITTED = '';

  // --- reasons ----------------------------------------------------------------------------------

  const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

  const within = (budget, segment) => {
    budget.path = cut(segment + budget.path, MAX_PATH);
    return null;
  };

  const withinKey = (budget, key) => {
    const name = cut(key, MAX_PATH);
    return within(budget, exec(IDENTIFIER, name) === null ? `[${stringify(name)}]` : `.${name}`);
  };

  /** Says that the value here is no JSON. */
  const refuse = (budget, what) => {
    budget.reason = what;
    return null;
  };

  /** Says that the whole is too much. */
  const exceed = (budget, what) => {
    budget.isTooMuch = true;
    return refuse(budget, what);
  };

  const grouped = (count) =>
    count < 1_000 ? `${count}` : `${grouped(floor(count / 1_000))},${padStart(`${count % 1_000}`, 3, '0')}`;

  const tooLong = (budget) => exceed(budget, `longer than ${grouped(budget.maxChars)} characters`);

  const sentence = ({ reason, path, isTooMuch }) => {
    if (isTooMuch) return reason;
    return path === '' ? `${reason} is not JSON` : `${reason} at ${cut(`$${path}`, MAX_PATH)} is not JSON`;
  };

  const VOWEL = /^[AEIO]/;

  /** The class of an object as a noun. */
  const classNoun = (object) => {
    const { name, tag } = lineage(object, new CapturedMap());
    const known = name === 'Object' ? tag : name;
    if (!known) return 'an object that is not plain';
    const text = escape(cut(known, MAX_PATH), -1);
    return `${exec(VOWEL, text) === null ? 'a' : 'an'} ${text}`;
  };

  // --- encoding ---------------------------------------------------------------------------------

  /** Takes `text` off what may still be written; null if it is too long. */
  const spend = (budget, text) => {
    budget.chars -= text.length;
    return budget.chars < 0 ? tooLong(budget) : text;
  };

  const encodeString = (text, budget) => {
    if (text.length > budget.chars) return tooLong(budget);
    return isWellFormed(text) ? spend(budget, stringify(text)) : refuse(budget, 'a string with a lone surrogate');
  };

  const encodePrimitive = (value, budget) => {
    switch (typeof value) {
      // stringify asks for toJSON only where the value is an object or a BigInt
      case 'string': return encodeString(value, budget);
      case 'number': return isFinite(value) ? spend(budget, stringify(value)) : refuse(budget, `${value}`);
      case 'boolean': return spend(budget, value ? 'true' : 'false');
      case 'bigint': return refuse(budget, 'a BigInt');
      default: return value === null ? spend(budget, 'null') : OMITTED; // undefined or a symbol
    }
  };

  const encodeElement = (array, index, budget, depth) => {
    const descriptor = getOwnPropertyDescriptor(array, index);
    if (descriptor === undefined) return spend(budget, 'null'); // a hole
    const text = isData(descriptor) ? encode(descriptor.value, budget, depth) : refuse(budget, 'a getter');
    if (text === null) return within(budget, `[${index}]`);
    return text === OMITTED ? spend(budget, 'null') : text;
  };

  const encodeArray = (array, budget, depth) => {
    const { length } = array;
    if (spend(budget, '[]') === null || length > budget.chars) return tooLong(budget);
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
    if (!descriptor.enumerable) return OMITTED;
    const text = isData(descriptor) ? encode(descriptor.value, budget, depth) : refuse(budget, 'a getter');
    if (text === null) return withinKey(budget, key);
    if (text === OMITTED) return OMITTED;
    const name = encodeString(key, budget);
    return name === null || spend(budget, ':,') === null ? null : `${name}:${text}`;
  };

  const encodeObject = (object, budget, depth) => {
    const keys = ownKeys(object);
    budget.keys -= keys.length;
    if (budget.keys < 0) return exceed(budget, `more than ${grouped(budget.maxKeys)} properties`);
    if (spend(budget, '{}') === null) return null;
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

  /** Whether a date would be written by the language's own functions. */
  const isPlainDate = (date) =>
    getPrototypeOf(date) === datePrototype &&
    getOwnPropertyDescriptor(date, 'toISOString') === undefined &&
    ownData(datePrototype, 'toJSON') === dateToJSON &&
    ownData(datePrototype, 'toISOString') === toISOString;

  const encodeDate = (date, budget) => {
    if (!isPlainDate(date)) return refuse(budget, 'a Date with methods of its own');
    const time = dateTime(date);
    return time === time ? spend(budget, `"${dateText(date)}"`) : refuse(budget, 'an invalid Date');
  };

  /** Whether JSON.stringify would call a function that the object itself brings. */
  const hasToJSON = (object) => {
    const descriptor = getOwnPropertyDescriptor(object, 'toJSON');
    return descriptor !== undefined && !(isData(descriptor) && typeof descriptor.value !== 'function');
  };

  function encode(value, budget, depth) {
    if (!isObject(value)) return encodePrimitive(value, budget);
    if (typeof value === 'function') return OMITTED;
    const kind = kindOf(value);
    if (kind === kinds.PROXY) return refuse(budget, 'a Proxy');
    if (hasToJSON(value)) return refuse(budget, 'an object with a toJSON');
    if (kind === kinds.DATE) return encodeDate(value, budget);
    if (kind !== kinds.ORDINARY) return refuse(budget, classNoun(value));
    if (depth === MAX_DEPTH) return refuse(budget, `a cycle, or more than ${MAX_DEPTH} levels,`);
    const prototype = getPrototypeOf(value);
    if (isArray(value)) {
      return prototype === arrayPrototype ? encodeArray(value, budget, depth + 1) : refuse(budget, classNoun(value));
    }
    // stringify would write its text, and not its one property
    if (prototype === null && isRawJSON(value)) return refuse(budget, 'an object of JSON.rawJSON');
    const isPlain = prototype === objectPrototype || prototype === null;
    return isPlain ? encodeObject(value, budget, depth + 1) : refuse(budget, classNoun(value));
  }

  /**
   * { json, omitted }: JSON text of at most `maxChars` characters, or null and the reason. For
   * undefined, which is no value to speak of, both are null.
   */
  base.toJSON = (value, maxChars) => {
    // keys bound the work on properties that leave no text; those that do take four characters
    const maxKeys = floor(maxChars / 4);
    const budget = {
      __proto__: null, chars: maxChars, keys: maxKeys, maxChars, maxKeys, reason: null, path: '', isTooMuch: false,
    };
    const json = encode(value, budget, 0);
    if (json === null) return { __proto__: null, json, omitted: sentence(budget) };
    if (json !== OMITTED) return { __proto__: null, json, omitted: null };
    return { __proto__: null, json: null, omitted: value === undefined ? null : `a ${typeof value} is not JSON` };
  };
}
