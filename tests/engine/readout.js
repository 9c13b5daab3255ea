// Reads out all that a session holds, to the last property, so that two states can be compared: see readout.py.
//
// It is run before any code of the session and keeps its own copies of the built-ins, since scripts break
// theirs; lists have no prototype, so that no setter can see what is put into them. Unlike the engine's own
// inspection it calls getters, that of `stack` too, and Proxy traps: what they answer is part of the state.
(() => {
  'use strict';
  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const { apply, getOwnPropertyDescriptor, getPrototypeOf, isExtensible, ownKeys } = Reflect;
  const { defineProperty, is, setPrototypeOf } = Object;
  const { imul } = Math;
  const { isArray } = Array;
  const { stringify } = JSON;
  const { log } = console;
  const global = globalThis; // no key of a Map: a restored isolate does not find it there again
  const CapturedMap = Map;
  const regExp = RegExp;
  const CapturedUint8Array = Uint8Array;
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const includes = uncurryThis(String.prototype.includes);
  const slice = uncurryThis(String.prototype.slice);
  const bigIntToString = uncurryThis(BigInt.prototype.toString);
  const symbolToString = uncurryThis(Symbol.prototype.toString);
  const { keyFor } = Symbol;
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const typedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
  const lengthOf = uncurryThis(getOwnPropertyDescriptor(typedArrayPrototype, 'length').get);

  const MAX_OBJECTS = 400_000;
  const MAX_TEXT = 60_000; // characters that are logged; what comes after is only in the hash
  const MAX_STRING = 300; // of longer strings there is a hash
  const MAX_BYTES = 100;

  const newList = () => setPrototypeOf([], null);
  const add = (list, item) => {
    list[list.length] = item;
  };
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

  // --- what was there before: named, and described at the end ------------------------------------

  const roots = newList();
  const rootNames = new Map();
  const root = (object, name) => {
    if (!isObject(object) || object === global || rootNames.has(object)) return;
    rootNames.set(object, name);
    add(roots, object);
  };
  const rootAll = (namespace, prefix) => {
    for (const key of ownKeys(namespace)) {
      const { value } = getOwnPropertyDescriptor(namespace, key);
      if (typeof key === 'symbol' || !isObject(value)) continue;
      root(value, prefix + key);
      if (typeof value === 'function') root(getOwnPropertyDescriptor(value, 'prototype')?.value, `${prefix}${key}.prototype`);
    }
  };
  rootAll(globalThis, '');
  for (const name of ['Intl', 'Temporal', 'WebAssembly']) rootAll(globalThis[name], `${name}.`);
  const examples = {
    TypedArray: new Uint8Array(), ArrayIterator: [].values(), MapIterator: new Map().values(), SetIterator: new Set().values(),
    StringIterator: ''[Symbol.iterator](), RegExpIterator: ''.matchAll(/a/g), IteratorHelper: [].values().map((x) => x),
    WrapForValidIterator: Iterator.from({ next() {} }), Generator: (function* () {})(), AsyncGenerator: (async function* () {})(),
    GeneratorFunction: function* () {}, AsyncFunction: async () => {}, AsyncGeneratorFunction: async function* () {},
  };
  for (const name of ownKeys(examples)) {
    for (let object = getPrototypeOf(examples[name]), up = 1; object !== null; object = getPrototypeOf(object), up++) {
      root(object, `${name}^${up}`);
      root(getOwnPropertyDescriptor(object, 'constructor')?.value, `${name}^${up}.constructor`);
    }
  }

  // What an object of that kind holds besides properties and what getters of its prototype tell.
  const inside = new Map();
  const hold = (constructor, read) => inside.set(constructor.prototype, read);
  const mapForEach = uncurryThis(Map.prototype.forEach);
  const setForEach = uncurryThis(Set.prototype.forEach);
  const getTime = uncurryThis(Date.prototype.getTime);
  const deref = uncurryThis(WeakRef.prototype.deref);
  const queryText = uncurryThis(URLSearchParams.prototype.toString);
  hold(Map, (out, map) => mapForEach(map, (value, key) => out.put(`<${out.name(key)} => ${out.name(value)}>`)));
  hold(Set, (out, set) => setForEach(set, (value) => out.put(`<${out.name(value)}>`)));
  hold(Date, (out, date) => out.put(`<${getTime(date)}>`));
  hold(WeakRef, (out, ref) => out.put(`<${out.name(deref(ref))}>`));
  hold(URLSearchParams, (out, query) => out.put(`<${queryText(query)}>`));
  hold(ArrayBuffer, (out, buffer) => bytes(out, new CapturedUint8Array(buffer)));
  for (const constructor of [Number, String, Boolean, Symbol, BigInt]) {
    const valueOf = uncurryThis(constructor.prototype.valueOf);
    hold(constructor, (out, boxed) => out.put(`<${out.name(valueOf(boxed))}>`));
  }
  const promisePrototype = Promise.prototype;
  const weak = new Map(
    [WeakMap, WeakSet].map(({ prototype }) => [prototype, { has: uncurryThis(prototype.has), get: prototype.get && uncurryThis(prototype.get) }]),
  );
  const functionPrototype = Function.prototype;
  const isUseless = (prototype, key) => key === '__proto__' || (prototype === functionPrototype && typeof key === 'string');
  const functionText = uncurryThis(Function.prototype.toString);
  const isNative = (object) => typeof object === 'function' && includes(functionText(object), '[native code]');
  const isAsMade = (object) =>
    isExtensible(object) && ownKeys(object).length === (getOwnPropertyDescriptor(object, 'prototype') === undefined ? 2 : 3);

  // --- the hash ----------------------------------------------------------------------------------

  class Hash {
    #a = 0x811c9dc5;
    #b = 0x9747b28c;

    unit(code) {
      this.#a = imul(this.#a ^ code, 0x01000193);
      this.#b = imul(this.#b ^ code ^ (this.#b >>> 15), 0x85ebca6b);
    }

    text(text) {
      for (let i = 0; i < text.length; i++) this.unit(charCodeAt(text, i));
      this.unit(-1);
    }

    bytes(array, length) {
      for (let i = 0; i < length; i++) this.unit(array[i]);
      this.unit(-1);
    }

    get value() {
      return `${this.#a >>> 0}.${this.#b >>> 0}`;
    }
  }

  const hashOf = (text) => {
    const hash = new Hash();
    hash.text(text);
    return hash.value;
  };

  const bytes = (out, array) => {
    const length = lengthOf(array);
    const hash = new Hash();
    hash.bytes(array, length);
    let shown = '';
    for (let i = 0; i < length && i < MAX_BYTES; i++) shown += ` ${array[i]}`;
    out.put(`<${length}:${shown} ${hash.value}>`);
  };

  // --- one readout -------------------------------------------------------------------------------

  class Readout {
    #hash = new Hash();
    #line = ''; // what is being written
    #logged = 0;
    #names = new CapturedMap(); // object or symbol -> what it is called
    #found = newList(); // objects in the order in which they were met
    #described = 0;
    #symbols = 0;
    #getters = new CapturedMap(); // prototype -> keys and getters
    #weak = newList();
    promises = newList();

    constructor() {
      mapForEach(rootNames, (name, object) => mapSet(this.#names, object, `%${name}%`));
    }

    put(text) {
      this.#hash.text(text);
      if (this.#line.length < MAX_TEXT) this.#line += `${text} `;
    }

    /** Ends a line; `isShown`: it is logged, as far as there is room. */
    end(isShown) {
      if (isShown && this.#logged < MAX_TEXT) {
        log(this.#line);
        this.#logged += this.#line.length;
      }
      this.#line = '';
    }

    /** A value in a word. An object's is its number; it is described later. */
    name(value) {
      if (isObject(value)) return this.#objectName(value);
      switch (typeof value) {
        case 'string': return value.length <= MAX_STRING ? stringify(value) : `"${slice(value, 0, 40)}…"(${value.length} ${hashOf(value)})`;
        case 'bigint': return `${this.name(bigIntToString(value, 16))}n`;
        case 'symbol': return this.#symbolName(value);
        default: return is(value, -0) ? '-0' : `${value}`;
      }
    }

    #objectName(object) {
      if (object === global) return '%globalThis%';
      let name = mapGet(this.#names, object);
      if (name === undefined) {
        add(this.#found, object);
        name = `#${this.#found.length}`;
        mapSet(this.#names, object, name);
      }
      return name;
    }

    #symbolName(symbol) {
      const key = keyFor(symbol);
      if (key !== undefined) return `for(${stringify(key)})`;
      let name = mapGet(this.#names, symbol);
      if (name === undefined) {
        name = `${symbolToString(symbol)}@${(this.#symbols += 1)}`;
        mapSet(this.#names, symbol, name);
      }
      return name;
    }

    /** What `read` answers, in a word; or that it threw. */
    #answer(read, receiver) {
      try {
        return this.name(apply(read, receiver, []));
      } catch (error) {
        return isObject(error) ? 'threw' : `threw ${this.name(error)}`;
      }
    }

    #property(object, key) {
      const descriptor = getOwnPropertyDescriptor(object, key);
      const { writable, enumerable, configurable, get, set } = setPrototypeOf(descriptor, null);
      const attributes = (writable ? 'w' : '') + (enumerable ? 'e' : '') + (configurable ? 'c' : '');
      let text = `${this.name(key)}:${attributes === 'wec' ? '' : attributes} `;
      if (get === undefined && set === undefined) text += this.name(descriptor.value);
      else text += `get ${this.name(get)} set ${this.name(set)}`;
      if (get !== undefined) text += ` = ${this.#answer(get, object)}`;
      this.put(`${text},`);
    }

    #gettersOf(prototype) {
      let getters = mapGet(this.#getters, prototype);
      if (getters === undefined) {
        getters = newList();
        const keys = ownKeys(prototype);
        for (let i = 0; i < keys.length; i++) {
          const { get } = setPrototypeOf(getOwnPropertyDescriptor(prototype, keys[i]), null);
          if (get !== undefined && !isUseless(prototype, keys[i])) add(getters, { __proto__: null, key: keys[i], get });
        }
        mapSet(this.#getters, prototype, getters);
      }
      return getters;
    }

    /** What an object has from a prototype: its internal state, and what getters tell of it. */
    #inherited(object, prototype) {
      const read = mapGet(inside, prototype);
      if (read !== undefined) read(this, object);
      if (prototype === promisePrototype) add(this.promises, object);
      const probe = mapGet(weak, prototype);
      if (probe !== undefined) add(this.#weak, { __proto__: null, object, probe, tried: 0 });
      const getters = this.#gettersOf(prototype);
      for (let i = 0; i < getters.length; i++) {
        this.put(`${this.name(getters[i].key)}= ${this.#answer(getters[i].get, object)},`);
      }
    }

    #contents(object, isRoot) {
      const prototype = getPrototypeOf(object);
      if (!isRoot && isNative(object) && isAsMade(object)) {
        this.put(`native of ${this.name(prototype)}`);
        this.#property(object, 'name');
        return;
      }
      this.put(`${isArray(object) ? 'array' : typeof object}${isExtensible(object) ? '' : ' fixed'} of ${this.name(prototype)}`);
      if (typeof object === 'function') this.put(this.name(functionText(object)));
      let isTyped = false;
      for (let above = prototype; above !== null && !isRoot; above = getPrototypeOf(above)) {
        isTyped ||= above === typedArrayPrototype;
        this.#inherited(object, above);
      }
      if (isTyped) return; // its elements are in its buffer
      const keys = ownKeys(object);
      for (let i = 0; i < keys.length; i++) this.#property(object, keys[i]);
    }

    #describe(object, isRoot) {
      this.put(`${this.name(object)}:`);
      try {
        this.#contents(object, isRoot);
      } catch (error) {
        this.put('threw'); // a Proxy's trap, or an object that is not what its prototype says
      }
    }

    #describeFound() {
      for (; this.#described < this.#found.length && this.#described < MAX_OBJECTS; this.#described++) {
        const object = this.#found[this.#described];
        this.#describe(object, false);
        this.end(!isNative(object));
      }
    }

    /** What the weak collections hold of all that was found; it may lead to more. */
    #describeWeak() {
      for (let i = 0; i < this.#weak.length; i++) {
        const one = this.#weak[i];
        for (; one.tried < this.#found.length; one.tried++) {
          const key = this.#found[one.tried];
          if (!one.probe.has(one.object, key)) continue;
          this.put(`${this.name(one.object)} has ${this.name(key)}: ${this.name(one.probe.get?.(one.object, key))}`);
          this.end(true);
        }
      }
    }

    /** What RegExp remembers of the last match: first of all, since putting values into words matches, too. */
    #lastMatch() {
      const keys = ownKeys(regExp);
      for (let i = 0; i < keys.length; i++) {
        if (getOwnPropertyDescriptor(regExp, keys[i]).get !== undefined) this.#property(regExp, keys[i]);
      }
      this.end(true);
    }

    all(names, readers) {
      this.#lastMatch();
      for (let i = 0; i < names.length; i++) {
        this.put(`${names[i]} = ${this.#answer(readers[i])}`);
        this.end(true);
      }
      this.#describe(global, true);
      this.end(true);
      for (let tried = -1; tried !== this.#found.length; ) {
        tried = this.#found.length;
        this.#describeFound();
        this.#describeWeak();
      }
      for (let i = 0; i < roots.length; i++) {
        const before = this.#hash;
        this.#hash = new Hash();
        this.#describe(roots[i], true);
        this.#line = `${mapGet(rootNames, roots[i])} ${this.#hash.value}`;
        before.text(this.#hash.value);
        this.#hash = before;
        log(this.#line);
        this.end(false);
      }
      this.#describeFound();
      if (this.#described === MAX_OBJECTS) log('too many objects');
      log(this.#hash.value);
    }
  }

  defineProperty(global, 'readout$', {
    value: (names, readers) => {
      const readout = new Readout();
      readout.all(names, readers);
      return setPrototypeOf(readout.promises, Array.prototype); // their states are for the engine to tell
    },
  });
})()
