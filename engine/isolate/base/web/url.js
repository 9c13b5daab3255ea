// URL (https://url.spec.whatwg.org/#url-class) over whatwg-url's parser.
//
// The parts of a URL are worked out whenever it changes, not when they are asked for: reading and
// inspecting one then runs no more code than it takes to read a field.
(base) => {
  'use strict';
  const { isObject, newList, uncurryThis } = base.values;
  const { add } = base.inspection;
  const { expose, illegalInvocation, requireArguments, setField, toUSVString, typeError } = base.webidl;
  const { makeSearchParams, replaceSearchParams } = base;
  const {
    basicURLParse, cannotHaveAUsernamePasswordPort, hasAnOpaquePath, serializeHost, serializeInteger,
    serializePath, serializeURL, serializeURLOrigin, setThePassword, setTheUsername,
  } = base.libraries.url;
  const { defineProperty } = Reflect;
  const slice = uncurryThis(String.prototype.slice);

  const partsOf = (record) => {
    const hostname = record.host === null ? '' : serializeHost(record.host);
    const port = record.port === null ? '' : serializeInteger(record.port);
    const { query, fragment } = record;
    return {
      __proto__: null,
      href: serializeURL(record),
      origin: serializeURLOrigin(record),
      protocol: `${record.scheme}:`,
      username: record.username,
      password: record.password,
      host: port === '' ? hostname : `${hostname}:${port}`,
      hostname,
      port,
      pathname: serializePath(record),
      search: query === null || query === '' ? '' : `?${query}`,
      hash: fragment === null || fragment === '' ? '' : `#${fragment}`,
    };
  };

  /** The record of `input`, against `address` unless that is undefined; null if either is invalid. */
  const parse = (input, address) => {
    if (address === undefined) return basicURLParse(input);
    const baseURL = basicURLParse(address);
    return baseURL === null ? null : basicURLParse(input, { __proto__: null, baseURL });
  };

  /** What Node throws. */
  const invalidURL = (input, address) => {
    const error = typeError('Invalid URL');
    setField(error, 'code', 'ERR_INVALID_URL');
    setField(error, 'input', input);
    if (address !== undefined) setField(error, 'base', address);
    return error;
  };

  const withoutFirst = (text, character) => (text[0] === character ? slice(text, 1) : text);

  // What setting an attribute does to a record
  const override = (record, input, stateOverride) =>
    basicURLParse(input, { __proto__: null, url: record, stateOverride });

  const setters = {
    __proto__: null,
    protocol: (record, text) => override(record, `${text}:`, 'scheme start'),
    username(record, text) {
      if (!cannotHaveAUsernamePasswordPort(record)) setTheUsername(record, text);
    },
    password(record, text) {
      if (!cannotHaveAUsernamePasswordPort(record)) setThePassword(record, text);
    },
    host(record, text) {
      if (!hasAnOpaquePath(record)) override(record, text, 'host');
    },
    hostname(record, text) {
      if (!hasAnOpaquePath(record)) override(record, text, 'hostname');
    },
    port(record, text) {
      if (cannotHaveAUsernamePasswordPort(record)) return;
      if (text === '') record.port = null;
      else override(record, text, 'port');
    },
    pathname(record, text) {
      if (hasAnOpaquePath(record)) return;
      record.path = [];
      override(record, text, 'path start');
    },
    search(record, text) {
      record.query = text === '' ? null : '';
      if (text !== '') override(record, withoutFirst(text, '?'), 'query');
    },
    hash(record, text) {
      record.fragment = text === '' ? null : '';
      if (text !== '') override(record, withoutFirst(text, '#'), 'fragment');
    },
  };

  let isURL, make, partOf, paramsOf, setPart, setHref;

  class URL {
    #record;
    #parts;
    #params;

    constructor(url, base = undefined) {
      requireArguments(arguments.length, 1, 'URL constructor');
      const input = toUSVString(url);
      const address = base === undefined ? undefined : toUSVString(base);
      const record = parse(input, address);
      if (record === null) throw invalidURL(input, address);
      this.#assign(record);
      this.#params = makeSearchParams(record.query ?? '', (query) => this.#setQuery(query));
    }

    static {
      isURL = (object) => #record in object;

      const check = (object) => {
        if (!isObject(object) || !isURL(object)) throw illegalInvocation();
        return object;
      };

      make = (record) => {
        const url = new URL('a:');
        url.#assign(record);
        url.#replaceParams();
        return url;
      };

      partOf = (object, name) => check(object).#parts[name];

      paramsOf = (object) => check(object).#params;

      setPart = (object, name, value) => {
        const url = check(object);
        setters[name](url.#record, toUSVString(value));
        url.#assign(url.#record);
        if (name === 'search') url.#replaceParams();
      };

      setHref = (object, value) => {
        const url = check(object);
        const input = toUSVString(value);
        const record = parse(input, undefined);
        if (record === null) throw invalidURL(input, undefined);
        url.#assign(record);
        url.#replaceParams();
      };
    }

    #assign(record) {
      this.#record = record;
      this.#parts = partsOf(record);
    }

    #replaceParams() {
      replaceSearchParams(this.#params, this.#record.query ?? '');
    }

    #setQuery(query) {
      this.#record.query = query === '' ? null : query;
      this.#assign(this.#record);
    }

    static canParse(url, base = undefined) {
      requireArguments(arguments.length, 1, 'URL.canParse');
      return parse(toUSVString(url), base === undefined ? undefined : toUSVString(base)) !== null;
    }

    static parse(url, base = undefined) {
      requireArguments(arguments.length, 1, 'URL.parse');
      const record = parse(toUSVString(url), base === undefined ? undefined : toUSVString(base));
      return record === null ? null : make(record);
    }

    get href() {
      return partOf(this, 'href');
    }

    set href(value) {
      setHref(this, value);
    }

    get origin() {
      return partOf(this, 'origin');
    }

    get searchParams() {
      return paramsOf(this);
    }

    toJSON() {
      return partOf(this, 'href');
    }

    toString() {
      return partOf(this, 'href');
    }
  }

  // In the standard's order, in which they are enumerated and shown
  const ATTRIBUTES = [
    'href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search',
    'searchParams', 'hash',
  ];

  const accessorOf = (name) => ({
    get [name]() {
      return partOf(this, name);
    },
    set [name](value) {
      setPart(this, name, value);
    },
  });

  for (const name of ATTRIBUTES) {
    const source = Object.hasOwn(URL.prototype, name) ? URL.prototype : accessorOf(name);
    const descriptor = Object.getOwnPropertyDescriptor(source, name);
    delete URL.prototype[name];
    defineProperty(URL.prototype, name, descriptor);
  }
  expose(URL, 1);

  add(base.exotics, {
    __proto__: null,
    has: isURL,
    entries: base.fieldEntries((url) => {
      const fields = newList();
      for (let i = 0; i < ATTRIBUTES.length; i += 1) {
        add(fields, ATTRIBUTES[i]);
        add(fields, ATTRIBUTES[i] === 'searchParams' ? paramsOf(url) : partOf(url, ATTRIBUTES[i]));
      }
      return fields;
    }),
  });
}
