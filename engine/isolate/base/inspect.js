// base.inspect(value, options): a value as text, like Node's util.inspect, without running guest code.
//
// What is inspected costs bounded work: a context counts down the characters and objects that may
// still be used, every container stops when they are spent, and nesting is limited. shapes.js says
// what there is to show of an object, entries.js and errors.js put its contents into words, layout.js
// breaks the lines.
(base) => {
  'use strict';
  const { cut, isData, isObject, kindOf, kinds, lineage, newList, ownData, targetOf, uncurryThis } = base.values;
  const { escape, isIdentifier, plural, primitiveText, quote, symbolText } = base.primitives;
  const { getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { isArray } = Array;
  const { floor, min } = Math;
  const isEnumerable = uncurryThis(Object.prototype.propertyIsEnumerable);
  const sort = uncurryThis(Array.prototype.sort);
  const slice = uncurryThis(String.prototype.slice);
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapSize = uncurryThis(Object.getOwnPropertyDescriptor(Map.prototype, 'size').get);
  const CapturedMap = Map;

  // --- the context of one inspection ------------------------------------------------------------

  const DEFAULTS = Object.freeze({
    __proto__: null,
    depth: 2, // levels below the value itself; null for as many as are allowed
    maxChars: 65_536, // of the whole text
    maxNodes: 10_000, // objects looked at
    maxArrayLength: 100, // entries of an array, Map, Set or buffer
    maxStringLength: 10_000,
    maxNameLength: 10_000, // of keys and symbols
    maxKeys: 1_000, // properties of one object
    sorted: false, // the properties, by their texts
    showHidden: false,
    breakLength: 80,
    compact: 3, // levels that may share a line; true: all is one line, if breakLength allows
    stacks: true, // of errors; reading one for the first time is something that the guest can notice
  });
  const MAX_DEPTH = 64; // keeps recursion far from the end of the stack
  const KEYS_PER_NODE = 100; // keys that take as long to list as an object to look at
  const MAX_KEYED_LENGTH = 10_000; // of longer arrays only the elements are listed (keys cost time)

  const newContext = (options) => {
    const ctx = {
      ...DEFAULTS,
      ...options,
      __proto__: null,
      indentation: 0,
      innermost: 0, // level of the object last looked at
      seen: newList(), // the objects that hold the current one
      circular: undefined, // Map of objects that are referred to from within → number
      lineages: new CapturedMap(),
    };
    if (!(ctx.depth <= MAX_DEPTH) || ctx.depth === null) ctx.depth = MAX_DEPTH; // NaN too
    ctx.chars = ctx.maxChars; // left
    ctx.nodes = ctx.maxNodes; // left
    return ctx;
  };

  const isSpent = (ctx) => ctx.chars <= 0 || ctx.nodes <= 0;

  /** Takes `text` off what may still be written. */
  const charge = (ctx, text) => {
    ctx.chars -= text.length + 2; // and a separator
    return text;
  };

  const add = (list, item) => {
    list[list.length] = item;
  };

  const more = (count) => `... ${plural(count, 'more item')}`;

  // --- properties -------------------------------------------------------------------------------

  const keyText = (ctx, key, enumerable) => {
    if (typeof key === 'symbol') return `[${escape(symbolText(ctx, key), -1)}]`;
    const name = cut(key, ctx.maxNameLength);
    if (name === '__proto__') return "['__proto__']";
    if (!enumerable) return `[${escape(name, -1)}]`;
    return isIdentifier(name) ? name : quote(name);
  };

  const indented = (ctx, value, level) => {
    ctx.indentation += 2;
    const text = textOf(ctx, value, level);
    ctx.indentation -= 2;
    return text;
  };

  const accessorText = (descriptor) => {
    if (descriptor.get !== undefined) return descriptor.set === undefined ? '[Getter]' : '[Getter/Setter]';
    return descriptor.set === undefined ? 'undefined' : '[Setter]';
  };

  const propertyValue = (ctx, descriptor, level) =>
    isData(descriptor) ? indented(ctx, descriptor.value, level) : accessorText(descriptor);

  // A binding of a module namespace that is not initialized yet throws.
  const UNINITIALIZED = Object.freeze({ __proto__: null, enumerable: true });
  const describeProperty = (object, key) => {
    try {
      return getOwnPropertyDescriptor(object, key);
    } catch {
      return UNINITIALIZED;
    }
  };

  const property = (ctx, object, key, level) => {
    const descriptor = describeProperty(object, key);
    const name = charge(ctx, keyText(ctx, key, descriptor.enumerable));
    const text = descriptor === UNINITIALIZED ? '<uninitialized>' : propertyValue(ctx, descriptor, level);
    return `${name}: ${text}`;
  };

  const noKeys = () => {
    const keys = newList();
    keys.unlisted = 0;
    return keys;
  };

  /** The keys to list: own, enumerable unless hidden ones are wanted, from position `first` on. */
  const keysOf = (ctx, object, first) => {
    const all = ownKeys(object);
    ctx.nodes -= floor(all.length / KEYS_PER_NODE);
    const keys = noKeys();
    for (let i = first; i < all.length; i++) {
      if (keys.length === ctx.maxKeys) {
        keys.unlisted = all.length - i; // hidden ones are counted too: looking at each would take long
        break;
      }
      if (ctx.showHidden || isShown(object, all[i])) add(keys, all[i]);
    }
    return keys;
  };

  const isShown = (object, key) => {
    try {
      return isEnumerable(object, key);
    } catch {
      return true; // uninitialized binding of a module namespace
    }
  };

  /** The keys of an array, typed array or boxed string that are no indices below `length`. */
  const extraKeys = (ctx, array, length) => {
    if (length > MAX_KEYED_LENGTH) return noKeys();
    if (!isArray(array)) return keysOf(ctx, array, length);
    const all = ownKeys(array);
    // The indices come first, fewer than `length` where there are holes; then 'length'.
    let first = min(length, all.length - 1);
    while (all[first] !== 'length') first -= 1;
    return keysOf(ctx, array, first);
  };

  // --- objects ----------------------------------------------------------------------------------

  /** "Class(size) [tag] " or what stands for it, given the language's own name for such an object. */
  const prefixOf = ({ name, tag }, fallback, size = '') => {
    if (name === null) {
      const start = `[${fallback}${size}: null prototype] `;
      return tag !== '' && tag !== fallback ? `${start}[${tag}] ` : start;
    }
    return tag !== '' && tag !== name ? `${name}${size} [${tag}] ` : `${name}${size} `;
  };

  /** Whether the first `count` elements are all numbers: their columns are aligned right. */
  const isNumeric = (array, count) => {
    for (let i = 0; i < count; i++) {
      const type = typeof ownData(array, i);
      if (type !== 'number' && type !== 'bigint') return false;
    }
    return true;
  };

  const nestedEntries = (ctx, object, shape, level) => {
    const output = shape.entries === null ? newList() : shape.entries(ctx, object, level);
    const { keys } = shape;
    for (let i = 0; i < keys.length; i++) {
      if (isSpent(ctx)) {
        add(output, more(keys.length - i + keys.unlisted));
        return output;
      }
      add(output, property(ctx, object, keys[i], level));
    }
    if (ctx.sorted && !shape.isList) sort(output);
    if (keys.unlisted > 0) add(output, more(keys.unlisted));
    return output;
  };

  const isHolder = (ctx, object) => {
    for (let i = 0; i < ctx.seen.length; i++) if (ctx.seen[i] === object) return true;
    return false;
  };

  const circularText = (ctx, object) => {
    ctx.circular ??= new CapturedMap();
    let number = mapGet(ctx.circular, object);
    if (number === undefined) {
      number = mapSize(ctx.circular) + 1;
      mapSet(ctx.circular, object, number);
    }
    return `[Circular *${number}]`;
  };

  /** Marks an object that was referred to from within. */
  const markReference = (ctx, object, shape) => {
    const number = ctx.circular === undefined ? undefined : mapGet(ctx.circular, object);
    if (number === undefined) return;
    shape.text = shape.text === '' ? `<ref *${number}>` : `<ref *${number}> ${shape.text}`;
  };

  /** An object that is too deep to look into. */
  const closedText = (family) => {
    const prefix = slice(prefixOf(family, 'Object'), 0, -1);
    return family.name === null ? prefix : `[${prefix}]`;
  };

  const objectText = (ctx, object, kind, level) => {
    const family = lineage(object, ctx.lineages);
    const shape = base.describe(ctx, object, kind, family);
    const { keys, entries, isAtom, isList } = shape;
    if (keys.length === 0 && entries === null) {
      return charge(ctx, shape.text === '' ? shape.open + shape.close : shape.text);
    }
    if (level > ctx.depth) return charge(ctx, isAtom ? shape.text : closedText(family));
    charge(ctx, shape.text);
    charge(ctx, shape.open);
    add(ctx.seen, object);
    ctx.innermost = level + 1;
    const output = nestedEntries(ctx, object, shape, level + 1);
    ctx.seen.length -= 1;
    markReference(ctx, object, shape);
    const columns = isList ? isNumeric(object, output.length) : null;
    return base.layOut(ctx, shape, output, level + 1, columns);
  };

  function textOf(ctx, value, level) {
    if (!isObject(value)) return charge(ctx, primitiveText(ctx, value));
    if (isSpent(ctx)) return '…';
    ctx.nodes -= 1;
    let object = value;
    let kind = kindOf(object);
    if (kind === kinds.PROXY) {
      object = targetOf(value);
      if (object === null) return charge(ctx, '<Revoked Proxy>');
      kind = kindOf(object);
      if (kind === kinds.PROXY) return charge(ctx, '[Proxy]');
    }
    return isHolder(ctx, object) ? circularText(ctx, object) : objectText(ctx, object, kind, level);
  }

  base.inspection = Object.freeze({
    __proto__: null,
    accessorText,
    add,
    charge,
    extraKeys,
    indented,
    isSpent,
    keysOf,
    more,
    prefixOf,
    propertyValue,
    textOf,
  });

  /**
   * `value` as text of at most options.maxChars characters, ending in '…' where it was cut.
   * `options` is an object like DEFAULTS, with any of its fields; never one of the guest's.
   */
  base.inspect = (value, options) => {
    const ctx = newContext(options);
    return cut(textOf(ctx, value, 0), ctx.maxChars);
  };

  /** Makes a function (value, depth) => text: the texts of several values, all within the same limits. */
  base.inspector = (options) => {
    const ctx = newContext(options);
    return (value, depth) => {
      ctx.depth = depth;
      ctx.innermost = 0;
      ctx.circular = undefined;
      return textOf(ctx, value, 0);
    };
  };
}
