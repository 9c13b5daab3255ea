// URLSearchParams (https://url.spec.whatwg.org/#interface-urlsearchparams) over whatwg-url's parser.
(base) => {
  'use strict';
  const { isObject, newList, uncurryThis } = base.values;
  const { quote } = base.primitives;
  const { add, charge, indented, isSpent } = base.inspection;
  const { expose, illegalInvocation, requireArguments, toUSVString, typeError } = base.webidl;
  const { parseUrlencodedString } = base.libraries;
  const { encodeURIComponent } = globalThis;
  const { apply, defineProperty, getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { iterator, toStringTag } = Symbol;
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const replace = uncurryThis(String.prototype.replace);
  const slice = uncurryThis(String.prototype.slice);
  const sort = uncurryThis(Array.prototype.sort);
  const NativeMap = Map;

  const pairOf = (name, value) => ({ __proto__: null, name, value });

  const parse = (text) => {
    if (text === '') return newList();
    const tuples = parseUrlencodedString(text);
    const list = newList();
    // What a library made of built-ins that the guest replaced may be no text: now it is, or throws
    for (let i = 0; i < tuples.length; i += 1) add(list, pairOf(`${tuples[i][0]}`, `${tuples[i][1]}`));
    return list;
  };

  // What encodeURIComponent leaves alone and a query does not; it is a native function, ten times as fast
  // as the library's serializer
  const NOT_IN_QUERIES = /[!'()~]|%20/g;
  const ENCODED = Object.freeze({
    __proto__: null, '!': '%21', "'": '%27', '(': '%28', ')': '%29', '~': '%7E', '%20': '+',
  });
  const encode = (text) => replace(encodeURIComponent(text), NOT_IN_QUERIES, (part) => ENCODED[part]);

  const serialize = (list) => {
    let text = '';
    for (let i = 0; i < list.length; i += 1) {
      if (i > 0) text += '&';
      text += `${encode(list[i].name)}=${encode(list[i].value)}`;
    }
    return text;
  };

  // --- the constructor's argument ---------------------------------------------------------------

  const fromSequence = (sequence) => {
    const list = newList();
    for (const entry of sequence) {
      if (!isObject(entry)) throw typeError('URLSearchParams: each pair must be an iterable [name, value] tuple');
      const pair = [...entry];
      if (pair.length !== 2) throw typeError('URLSearchParams: each pair must have exactly two elements');
      add(list, pairOf(toUSVString(pair[0]), toUSVString(pair[1])));
    }
    return list;
  };

  const fromRecord = (record) => {
    const list = newList();
    const pairs = new NativeMap(); // names may become equal where they have lone surrogates
    const keys = ownKeys(record);
    for (let i = 0; i < keys.length; i += 1) {
      const descriptor = getOwnPropertyDescriptor(record, keys[i]);
      if (descriptor === undefined || !descriptor.enumerable) continue;
      const name = toUSVString(keys[i]);
      const value = toUSVString(record[keys[i]]);
      const known = mapGet(pairs, name);
      if (known !== undefined) {
        known.value = value;
      } else {
        const pair = pairOf(name, value);
        mapSet(pairs, name, pair);
        add(list, pair);
      }
    }
    return list;
  };

  const fromObject = (object) => {
    const method = object[iterator];
    if (method === undefined || method === null) return fromRecord(object);
    if (typeof method !== 'function') throw typeError('URLSearchParams: the argument is not iterable');
    return fromSequence({ __proto__: null, [iterator]: () => apply(method, object, []) });
  };

  const fromText = (text) => parse(text[0] === '?' ? slice(text, 1) : text);

  // --- the interface ----------------------------------------------------------------------------

  let isParams, listOf, makeFor, replaceQuery;

  class URLSearchParams {
    #list;
    #onChange = null; // of the URL that this belongs to: takes the new query

    constructor(init = '') {
      this.#list = isObject(init) ? fromObject(init) : fromText(toUSVString(init));
    }

    static {
      isParams = (object) => #list in object;

      listOf = (params) => {
        if (!isObject(params) || !(#list in params)) throw illegalInvocation();
        return params.#list;
      };

      makeFor = (query, onChange) => {
        const params = new URLSearchParams();
        params.#list = parse(query);
        params.#onChange = onChange;
        return params;
      };

      replaceQuery = (params, query) => {
        params.#list = parse(query);
      };
    }

    #changed() {
      if (this.#onChange !== null) this.#onChange(serialize(this.#list));
    }

    get size() {
      return listOf(this).length;
    }

    append(name, value) {
      const list = listOf(this);
      requireArguments(arguments.length, 2, 'URLSearchParams.append');
      add(list, pairOf(toUSVString(name), toUSVString(value)));
      this.#changed();
    }

    delete(name, value = undefined) {
      listOf(this);
      requireArguments(arguments.length, 1, 'URLSearchParams.delete');
      const isMatch = matcher(name, value);
      const kept = newList();
      for (let i = 0; i < this.#list.length; i += 1) {
        if (!isMatch(this.#list[i])) add(kept, this.#list[i]);
      }
      this.#list = kept;
      this.#changed();
    }

    get(name) {
      const list = listOf(this);
      requireArguments(arguments.length, 1, 'URLSearchParams.get');
      const isMatch = matcher(name, undefined);
      for (let i = 0; i < list.length; i += 1) if (isMatch(list[i])) return list[i].value;
      return null;
    }

    getAll(name) {
      const list = listOf(this);
      requireArguments(arguments.length, 1, 'URLSearchParams.getAll');
      const isMatch = matcher(name, undefined);
      const values = [];
      for (let i = 0; i < list.length; i += 1) if (isMatch(list[i])) append(values, list[i].value);
      return values;
    }

    has(name, value = undefined) {
      const list = listOf(this);
      requireArguments(arguments.length, 1, 'URLSearchParams.has');
      const isMatch = matcher(name, value);
      for (let i = 0; i < list.length; i += 1) if (isMatch(list[i])) return true;
      return false;
    }

    /** Sets the first pair of that name and removes the others. */
    set(name, value) {
      listOf(this);
      requireArguments(arguments.length, 2, 'URLSearchParams.set');
      const isMatch = matcher(name, undefined);
      const text = toUSVString(value);
      const kept = newList();
      let found = null;
      for (let i = 0; i < this.#list.length; i += 1) {
        const pair = this.#list[i];
        if (found !== null && isMatch(pair)) continue;
        if (isMatch(pair)) (found = pair).value = text;
        add(kept, pair);
      }
      if (found === null) add(kept, pairOf(toUSVString(name), text));
      this.#list = kept;
      this.#changed();
    }

    sort() {
      const list = listOf(this);
      sort(list, (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
      this.#changed();
    }

    toString() {
      return serialize(listOf(this));
    }

    forEach(callback, thisArgument = undefined) {
      listOf(this);
      requireArguments(arguments.length, 1, 'URLSearchParams.forEach');
      if (typeof callback !== 'function') throw typeError('URLSearchParams.forEach: the callback must be a function');
      for (let i = 0; i < this.#list.length; i += 1) { // as it is by then
        const { name, value } = this.#list[i];
        apply(callback, thisArgument, [value, name, this]);
      }
    }

    entries() {
      listOf(this);
      return new PairIterator(this, ENTRIES);
    }

    keys() {
      listOf(this);
      return new PairIterator(this, KEYS);
    }

    values() {
      listOf(this);
      return new PairIterator(this, VALUES);
    }
  }

  const append = (array, value) =>
    defineProperty(array, array.length, {
      __proto__: null, value, writable: true, enumerable: true, configurable: true,
    });

  const matcher = (name, value) => {
    const wantedName = toUSVString(name);
    const wantedValue = value === undefined ? undefined : toUSVString(value);
    return (pair) => pair.name === wantedName && (wantedValue === undefined || pair.value === wantedValue);
  };

  // --- iteration --------------------------------------------------------------------------------

  const ENTRIES = ({ name, value }) => [name, value];
  const KEYS = ({ name }) => name;
  const VALUES = ({ value }) => value;

  let isIterator, restOf;

  class PairIterator {
    #params;
    #select;
    #index = 0;

    constructor(params, select) {
      this.#params = params;
      this.#select = select;
    }

    static {
      isIterator = (object) => #select in object;

      restOf = (pairs) => {
        const rest = newList();
        const list = listOf(pairs.#params);
        for (let i = pairs.#index; i < list.length; i += 1) add(rest, pairs.#select(list[i]));
        return rest;
      };
    }

    next() {
      if (!isObject(this) || !isIterator(this)) throw illegalInvocation();
      const list = listOf(this.#params);
      if (this.#index >= list.length) return { value: undefined, done: true };
      const value = this.#select(list[this.#index]);
      this.#index += 1;
      return { value, done: false };
    }
  }

  const iteratorPrototype = PairIterator.prototype;
  Object.setPrototypeOf(iteratorPrototype, Iterator.prototype);
  delete iteratorPrototype.constructor;
  defineProperty(iteratorPrototype, 'next', { enumerable: true });
  defineProperty(iteratorPrototype, toStringTag, { value: 'URLSearchParams Iterator', configurable: true });

  expose(URLSearchParams, 0);
  defineProperty(URLSearchParams.prototype, iterator, {
    value: URLSearchParams.prototype.entries, writable: true, enumerable: false, configurable: true,
  });

  // --- for URL, and for inspection --------------------------------------------------------------

  /** The parameters of a URL with that query; `onChange` gets the query that they make, '' for none. */
  base.makeSearchParams = makeFor;
  /** Gives parameters those of another query. */
  base.replaceSearchParams = replaceQuery;

  add(base.exotics, {
    __proto__: null,
    has: isParams,
    isEmpty: (params) => listOf(params).length === 0,
    entries(ctx, params, level) {
      const list = listOf(params);
      const output = newList();
      for (let i = 0; i < list.length && !isSpent(ctx); i += 1) {
        const name = charge(ctx, quote(base.values.cut(list[i].name, ctx.maxStringLength)));
        add(output, `${name} => ${indented(ctx, list[i].value, level)}`);
      }
      return output;
    },
  });

  add(base.exotics, {
    __proto__: null,
    has: isIterator,
    isEmpty: (pairs) => restOf(pairs).length === 0,
    entries(ctx, pairs, level) {
      const rest = restOf(pairs);
      const output = newList();
      for (let i = 0; i < rest.length && !isSpent(ctx); i += 1) add(output, indented(ctx, rest[i], level));
      return output;
    },
  });
}
