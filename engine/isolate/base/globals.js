// What a session has made, for whoever looks at it from outside: base.look.
//
// A look leaves no trace: it runs nothing of the guest's, and does not read the stack of an error,
// since the guest could tell afterwards.
(base) => {
  'use strict';
  const { inspect, isClass, native } = base;
  const { cut, isData, isObject, isProxy, lineage, uncurryThis } = base.values;
  const { symbolText } = base.primitives;
  const { getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { is } = Object;
  const { parse, stringify } = JSON;
  const CapturedMap = Map;
  const indexOf = uncurryThis(String.prototype.indexOf);
  const mapGet = uncurryThis(Map.prototype.get);
  const mapHas = uncurryThis(Map.prototype.has);
  const slice = uncurryThis(String.prototype.slice);
  const toWellFormed = uncurryThis(String.prototype.toWellFormed);

  const MAX_NAME = 256; // characters
  const MAX_TIME = 5_000; // ticks of 0.1 ms, for all previews together
  const UNSEEN = '…';
  const NAME = Object.freeze({ __proto__: null, maxNameLength: MAX_NAME });
  const PREVIEW = Object.freeze({
    __proto__: null,
    depth: 1,
    maxNodes: 50,
    maxArrayLength: 50,
    maxKeys: 50,
    breakLength: Infinity,
    compact: true,
    stacks: false,
  });

  // --- what was there before any guest code ----------------------------------------------------

  const identity = (descriptor) => (isData(descriptor) ? descriptor.value : descriptor.get);

  const realm = globalThis; // the property of that name is the guest's to change
  const installed = new Map();
  for (const key of ownKeys(realm)) {
    installed.set(key, identity(getOwnPropertyDescriptor(realm, key)));
  }

  const isInstalled = (key, descriptor) =>
    mapHas(installed, key) && is(mapGet(installed, key), identity(descriptor));

  // --- one of them ------------------------------------------------------------------------------

  const typeOf = (value) => {
    if (value === null) return 'null';
    if (!isObject(value)) return typeof value;
    if (isProxy(value)) return 'Proxy';
    if (typeof value === 'function') return isClass(value) ? 'class' : 'function';
    const { name, tag } = lineage(value, new CapturedMap());
    return (name === null || name === 'Object') && tag !== '' ? tag : (name ?? 'Object');
  };

  const onOneLine = (text) => {
    let line = '';
    let from = 0;
    for (let at = indexOf(text, '\n'); at !== -1; at = indexOf(text, '\n', from)) {
      line += `${slice(text, from, at)} `;
      from = at + 1;
    }
    return line + slice(text, from);
  };

  const jsonText = (text) => stringify(toWellFormed(text));

  const entry = (name, scope, type, preview) =>
    `{"name":${jsonText(name)},"scope":"${scope}","type":${jsonText(type)},"preview":${jsonText(preview)}}`;

  // `room` is { chars, end }: of one preview, and of the time for all; real time, since no look is replayed

  const valueEntry = (name, scope, value, { chars, end }) => {
    if (native(2) > end) return entry(name, scope, value === null ? 'null' : typeof value, UNSEEN);
    const preview = onOneLine(inspect(value, { ...PREVIEW, __proto__: null, maxChars: chars }));
    return entry(name, scope, typeOf(value), preview);
  };

  const lexicalEntry = (name, read, room) => {
    let value;
    try {
      value = read();
    } catch {
      return entry(name, 'lexical', 'uninitialized', '<uninitialized>');
    }
    return valueEntry(name, 'lexical', value, room);
  };

  const accessorText = ({ get, set }) => {
    if (get === undefined) return '[Setter]';
    return set === undefined ? '[Getter]' : '[Getter/Setter]';
  };

  const globalEntry = (key, descriptor, room) => {
    const name = typeof key === 'symbol' ? symbolText(NAME, key) : cut(key, MAX_NAME);
    if (isData(descriptor)) return valueEntry(name, 'global', descriptor.value, room);
    return entry(name, 'global', 'accessor', accessorText(descriptor));
  };

  // --- all of them ------------------------------------------------------------------------------

  /**
   * JSON of { globals, more }: at most `max` variables with previews of at most `chars` characters,
   * and how many more there are. The host names the lexical ones: `readers` has a function for each
   * of `names` that returns its value, or throws where it has none yet. Where the values are very
   * large, previews end with the time for them.
   */
  base.look = (json, readers) => {
    const { names, max, chars } = parse(json);
    const room = { __proto__: null, chars, end: native(2) + MAX_TIME };
    let text = '';
    let shown = 0;
    let more = 0;
    const show = (one) => {
      text += shown === 0 ? one : `,${one}`;
      shown += 1;
    };
    for (let i = 0; i < names.length; i++) show(lexicalEntry(cut(names[i], MAX_NAME), readers[i], room));
    const keys = ownKeys(realm);
    for (let i = 0; i < keys.length; i++) {
      const descriptor = getOwnPropertyDescriptor(realm, keys[i]);
      if (isInstalled(keys[i], descriptor)) continue;
      if (shown < max) show(globalEntry(keys[i], descriptor, room));
      else more += 1;
    }
    return `{"globals":[${text}],"more":${more}}`;
  };
}
