// base.inspect(value, options): a value as text, like Node's util.inspect, without running guest code.
//
// What is inspected costs bounded work: a context counts down the characters and objects that may
// still be used, every container stops when they are spent, and nesting is limited. Errors are put
// into words by errors.js, lines are broken by layout.js.
(base) => {
  'use strict';
  const { native, values } = base;
  const {
    cut, functionName, isData, isIntrinsic, isObject, isProxy, kindOf, kinds, lineage, newList, ownData,
    targetOf, uncurryThis,
  } = values;
  const { apply, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { hasOwn } = Object;
  const { isArray } = Array;
  const { max, min } = Math;
  const endsWith = uncurryThis(String.prototype.endsWith);
  const exec = uncurryThis(RegExp.prototype.exec);
  const isEnumerable = uncurryThis(Object.prototype.propertyIsEnumerable);
  const functionToString = uncurryThis(Function.prototype.toString);
  const symbolToString = uncurryThis(Symbol.prototype.toString);
  const numberToString = uncurryThis(Number.prototype.toString);
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const includes = uncurryThis(String.prototype.includes);
  const indexOf = uncurryThis(String.prototype.indexOf);
  const padStart = uncurryThis(String.prototype.padStart);
  const repeat = uncurryThis(String.prototype.repeat);
  const slice = uncurryThis(String.prototype.slice);
  const startsWith = uncurryThis(String.prototype.startsWith);
  const toUpperCase = uncurryThis(String.prototype.toUpperCase);
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapEntries = uncurryThis(Map.prototype.entries);
  const setValues = uncurryThis(Set.prototype.values);
  const nextOfMap = uncurryThis(Object.getPrototypeOf(new Map().entries()).next);
  const nextOfSet = uncurryThis(Object.getPrototypeOf(new Set().values()).next);
  const dateToISO = uncurryThis(Date.prototype.toISOString);
  const dateTime = uncurryThis(Date.prototype.getTime);
  const CapturedMap = Map;
  const Bytes = Uint8Array;

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
  const typedArrayName = getterOf(typedArrayPrototype, Symbol.toStringTag);
  const typedArrayLength = getterOf(typedArrayPrototype, 'length');
  const mapSize = getterOf(Map.prototype, 'size');
  const setSize = getterOf(Set.prototype, 'size');
  const bufferLength = getterOf(ArrayBuffer.prototype, 'byteLength');
  const isDetached = getterOf(ArrayBuffer.prototype, 'detached');
  const regExpSource = getterOf(RegExp.prototype, 'source');
  const viewParts = ['byteLength', 'byteOffset', 'buffer'].map((name) => ({
    __proto__: null,
    name,
    read: getterOf(DataView.prototype, name),
  }));
  const regExpFlags = [
    ['d', 'hasIndices'], ['g', 'global'], ['i', 'ignoreCase'], ['m', 'multiline'], ['s', 'dotAll'],
    ['u', 'unicode'], ['v', 'unicodeSets'], ['y', 'sticky'],
  ].map(([flag, name]) => ({ __proto__: null, flag, isSet: getterOf(RegExp.prototype, name) }));
  const unboxers = [Number, String, Boolean, Symbol, BigInt].map(({ name, prototype }) => ({
    __proto__: null,
    name,
    unbox: uncurryThis(prototype.valueOf),
  }));

  // --- the context of one inspection ------------------------------------------------------------

  const DEFAULTS = Object.freeze({
    __proto__: null,
    depth: 2, // levels below the value itself; null for as many as are allowed
    maxChars: 65_536, // of the whole text
    maxNodes: 10_000, // objects looked at
    maxArrayLength: 100, // entries of an array, Map, Set or buffer
    maxStringLength: 10_000,
    maxKeys: 1_000, // properties of one object
    showHidden: false,
    breakLength: 80,
    compact: 3, // levels that may share a line
  });
  const MAX_DEPTH = 64; // keeps recursion far from the end of the stack
  const MAX_KEYED_LENGTH = 10_000; // of longer arrays only the elements are listed (keys cost time)
  const MAX_HOLES_STEPPED = 10_000; // longer holes are measured by listing the array's keys

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

  const plural = (count, noun) => `${count} ${noun}${count > 1 ? 's' : ''}`;
  const more = (count) => `... ${plural(count, 'more item')}`;

  // --- primitives -------------------------------------------------------------------------------

  const NEEDS_ESCAPE = /[\x00-\x1f'\\\x7f-\x9f\ud800-\udfff]/;
  const NAMED_ESCAPES = Object.freeze({
    __proto__: null, 8: '\\b', 9: '\\t', 10: '\\n', 12: '\\f', 13: '\\r', 92: '\\\\',
  });

  const hex = (code) => padStart(toUpperCase(numberToString(code, 16)), 2, '0');
  const isHighSurrogate = (code) => code >= 0xd800 && code <= 0xdbff;
  const isLowSurrogate = (code) => code >= 0xdc00 && code <= 0xdfff;

  /** The escape of the code unit at `i`, or '' if it stands for itself. */
  const escapeAt = (text, i, code, quoteCode) => {
    if (code === quoteCode) return `\\${text[i]}`;
    if (code < 0x20 || code === 92) return NAMED_ESCAPES[code] ?? `\\x${hex(code)}`;
    if (code >= 0x7f && code <= 0x9f) return `\\x${hex(code)}`;
    const isLone =
      (isHighSurrogate(code) && !(i + 1 < text.length && isLowSurrogate(charCodeAt(text, i + 1)))) ||
      (isLowSurrogate(code) && !(i > 0 && isHighSurrogate(charCodeAt(text, i - 1))));
    return isLone ? `\\u${numberToString(code, 16)}` : '';
  };

  const escape = (text, quoteCode) => {
    let escaped = '';
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const code = charCodeAt(text, i);
      if (code >= 0x20 && code < 0x7f && code !== quoteCode && code !== 92) continue;
      const replacement = escapeAt(text, i, code, quoteCode);
      if (replacement === '') continue;
      escaped += slice(text, from, i) + replacement;
      from = i + 1;
    }
    return from === 0 ? text : escaped + slice(text, from);
  };

  /** A string in the quotes that need the fewest escapes. */
  const quote = (text) => {
    if (exec(NEEDS_ESCAPE, text) === null) return `'${text}'`;
    let mark = "'";
    if (includes(text, "'")) {
      if (!includes(text, '"')) mark = '"';
      else if (!includes(text, '`') && !includes(text, '${')) mark = '`';
    }
    return mark + escape(text, charCodeAt(mark, 0)) + mark;
  };

  const MIN_TO_SPLIT = 17;

  /** A long string with line breaks: a literal for each line, added up. */
  const quoteLines = (ctx, text) => {
    const separator = ` +\n${repeat(' ', ctx.indentation + 2)}`;
    let lines = '';
    for (let from = 0; from < text.length; ) {
      const newline = indexOf(text, '\n', from);
      const end = newline === -1 ? text.length : newline + 1;
      lines += (from === 0 ? '' : separator) + quote(slice(text, from, end));
      from = end;
    }
    return lines;
  };

  const stringText = (ctx, text) => {
    const cutAt = min(ctx.maxStringLength, ctx.maxChars);
    const shown = text.length > cutAt ? slice(text, 0, cutAt) : text;
    const rest = text.length - shown.length;
    const trailer = rest > 0 ? `... ${plural(rest, 'more character')}` : '';
    const splits = shown.length >= MIN_TO_SPLIT && shown.length > ctx.breakLength - ctx.indentation - 4;
    return (splits ? quoteLines(ctx, shown) : quote(shown)) + trailer;
  };

  const numberText = (number) => (number === 0 && 1 / number < 0 ? '-0' : `${number}`);

  // A BigInt may have a million digits, and converting it costs the square of that.
  const BIG = 2n ** 4096n;
  const bigIntText = (number) => (number < BIG && number > -BIG ? `${number}n` : '[BigInt of more than 1233 digits]');

  const symbolText = (ctx, symbol) => cut(symbolToString(symbol), ctx.maxStringLength);

  const primitiveText = (ctx, value) => {
    switch (typeof value) {
      case 'string': return stringText(ctx, value);
      case 'number': return numberText(value);
      case 'bigint': return bigIntText(value);
      case 'symbol': return symbolText(ctx, value);
      default: return `${value}`; // undefined, null, a boolean
    }
  };

  // --- properties -------------------------------------------------------------------------------

  const IDENTIFIER = /^[a-zA-Z_][a-zA-Z_0-9]*$/;

  const keyText = (ctx, key, enumerable) => {
    if (typeof key === 'symbol') return `[${escape(symbolText(ctx, key), -1)}]`;
    const name = cut(key, ctx.maxStringLength);
    if (name === '__proto__') return "['__proto__']";
    if (!enumerable) return `[${escape(name, -1)}]`;
    return exec(IDENTIFIER, name) === null ? quote(name) : name;
  };

  const indented = (ctx, value, level) => {
    ctx.indentation += 2;
    const text = textOf(ctx, value, level);
    ctx.indentation -= 2;
    return text;
  };

  const propertyValue = (ctx, descriptor, level) => {
    if (isData(descriptor)) return indented(ctx, descriptor.value, level);
    if (descriptor.get !== undefined) return descriptor.set === undefined ? '[Getter]' : '[Getter/Setter]';
    return descriptor.set === undefined ? 'undefined' : '[Setter]';
  };

  // A binding of a module namespace that is not initialized yet throws.
  const UNINITIALIZED = Object.freeze({ __proto__: null, enumerable: true, uninitialized: true });
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

  // --- shapes -----------------------------------------------------------------------------------

  // What objectText needs to know of an object: text before the braces, the braces, which keys to
  // list, and a function that lists its other entries. Without entries and keys only text (or empty
  // braces) is shown. `columns` is null unless the entries may be set in columns; then it tells
  // whether to align them right. An atom is shown at any depth, without its properties.

  const shapeOf = (text, open, close, keys, entries) => ({
    __proto__: null, text, open, close, keys, entries, isList: false, isAtom: false,
  });

  const inBraces = (prefix, keys, entries) => shapeOf('', `${prefix}{`, '}', keys, entries);

  /** "Class(size) [tag] " or what stands for it, given the language's own name for such an object. */
  const prefixOf = ({ name, tag }, fallback, size = '') => {
    if (name === null) {
      const start = `[${fallback}${size}: null prototype] `;
      return tag !== '' && tag !== fallback ? `${start}[${tag}] ` : start;
    }
    return tag !== '' && tag !== name ? `${name}${size} [${tag}] ` : `${name}${size} `;
  };

  const plainShape = (ctx, object, family) => {
    const keys = keysOf(ctx, object, 0);
    const isOrdinary = family.name === 'Object' && family.tag === '';
    return inBraces(isOrdinary ? '' : prefixOf(family, 'Object'), keys, null);
  };

  const listShape = (prefix, keys, entries) => {
    const shape = shapeOf('', `${prefix}[`, ']', keys, entries);
    shape.isList = true;
    return shape;
  };

  const arrayShape = (ctx, array, family) => {
    const { length } = array;
    const isOrdinary = family.name === 'Array' && family.tag === '';
    const prefix = isOrdinary ? '' : prefixOf(family, 'Array', `(${length})`);
    return listShape(prefix, extraKeys(ctx, array, length), length === 0 ? null : arrayEntries);
  };

  const typedArrayShape = (ctx, array, family) => {
    const length = typedArrayLength(array);
    const prefix = prefixOf(family, typedArrayName(array), `(${length})`);
    return listShape(prefix, extraKeys(ctx, array, length), length === 0 ? null : typedArrayEntries);
  };

  const collectionShape = (fallback, sizeOf, entries) => (ctx, object, family) => {
    const size = sizeOf(object);
    const prefix = prefixOf(family, fallback, `(${size})`);
    return inBraces(prefix, keysOf(ctx, object, 0), size === 0 ? null : entries);
  };

  const iteratorShape = (what) => (ctx, iterator, { tag }) => {
    const isPairs = native(8, iterator) === 1;
    const own = `${what} Iterator`;
    const title = isPairs ? `${what} Entries` : own;
    const prefix = tag === own || tag === '' ? `[${title}] ` : `[${tag}] [${title}] `;
    return inBraces(prefix, keysOf(ctx, iterator, 0), isPairs ? pairEntries : iteratorEntries);
  };

  const opaqueShape = (fallback, entries) => (ctx, object, family) =>
    inBraces(prefixOf(family, fallback), keysOf(ctx, object, 0), entries);

  const argumentsShape = (ctx, object) => inBraces('[Arguments] ', keysOf(ctx, object, 0), null);

  const functionShape = (ctx, callable, family) => {
    const text = isClass(callable) ? classText(callable, family) : functionText(callable, family);
    return shapeOf(text, '{', '}', keysOf(ctx, callable, 0), null);
  };

  const atomShape = (text, keys) => {
    const shape = shapeOf(text, '{', '}', keys, null);
    shape.isAtom = true;
    return shape;
  };

  const dateShape = (ctx, date, family) => {
    const time = dateTime(date);
    const text = time === time ? dateToISO(date) : 'Invalid Date';
    const prefix = prefixOf(family, 'Date');
    return atomShape(prefix === 'Date ' ? text : prefix + text, keysOf(ctx, date, 0));
  };

  const regExpShape = (ctx, regExp, family) => {
    let text = `/${regExpSource(regExp)}/`;
    for (let i = 0; i < regExpFlags.length; i++) {
      if (regExpFlags[i].isSet(regExp)) text += regExpFlags[i].flag;
    }
    const prefix = prefixOf(family, 'RegExp');
    return atomShape(prefix === 'RegExp ' ? text : prefix + text, keysOf(ctx, regExp, 0));
  };

  const errorShape = (ctx, error, family) => {
    const { text, keys } = base.errorParts(ctx, error, family, keysOf(ctx, error, 0));
    return shapeOf(text, '{', '}', keys, null);
  };

  const unbox = (object) => {
    for (let i = 0; i < unboxers.length; i++) {
      try {
        return { __proto__: null, type: unboxers[i].name, value: unboxers[i].unbox(object) };
      } catch {
        continue; // another kind of box: these functions throw for all but their own
      }
    }
    return { __proto__: null, type: 'Object', value: undefined };
  };

  const boxShape = (ctx, object, { name, tag }) => {
    const { type, value } = unbox(object);
    const keys = extraKeys(ctx, object, type === 'String' ? value.length : 0); // not the characters
    let text = `[${type}`;
    if (name === null) text += ' (null prototype)';
    else if (name !== type) text += ` (${name})`;
    // a string in a box stays on its line
    text += `: ${typeof value === 'string' ? quote(cut(value, ctx.maxStringLength)) : primitiveText(ctx, value)}]`;
    if (tag !== '' && tag !== name) text += ` [${tag}]`;
    return shapeOf(text, '{', '}', keys, null);
  };

  const SHAPES = Object.freeze({
    __proto__: null,
    [kinds.PROMISE]: opaqueShape('Promise', promiseEntries),
    [kinds.MAP]: collectionShape('Map', mapSize, mapTexts),
    [kinds.SET]: collectionShape('Set', setSize, setTexts),
    [kinds.WEAK_MAP]: opaqueShape('WeakMap', unknownEntries),
    [kinds.WEAK_SET]: opaqueShape('WeakSet', unknownEntries),
    [kinds.DATE]: dateShape,
    [kinds.REG_EXP]: regExpShape,
    [kinds.ERROR]: errorShape,
    [kinds.ARRAY_BUFFER]: opaqueShape('ArrayBuffer', bufferEntries),
    [kinds.TYPED_ARRAY]: typedArrayShape,
    [kinds.DATA_VIEW]: opaqueShape('DataView', viewEntries),
    [kinds.MAP_ITERATOR]: iteratorShape('Map'),
    [kinds.SET_ITERATOR]: iteratorShape('Set'),
    [kinds.ARGUMENTS]: argumentsShape,
    [kinds.BOXED]: boxShape,
    [kinds.NAMESPACE]: opaqueShape('Module', null),
  });

  const describe = (ctx, object, kind, family) => {
    if (typeof object === 'function') return functionShape(ctx, object, family);
    const shape = SHAPES[kind];
    if (shape !== undefined) return shape(ctx, object, family);
    return isArray(object) ? arrayShape(ctx, object, family) : plainShape(ctx, object, family);
  };

  // --- functions --------------------------------------------------------------------------------

  // A class has a prototype that cannot be assigned; of the functions that have one too (built-in
  // constructors) none has a source text that begins with "class".
  function isClass(callable) {
    const prototype = getOwnPropertyDescriptor(callable, 'prototype');
    return prototype !== undefined && !prototype.writable && startsWith(functionToString(callable), 'class');
  }

  function classText(constructor, { name, tag }) {
    let text = `[class ${functionName(constructor) || '(anonymous)'}`;
    if (name !== 'Function' && name !== null) text += ` [${name}]`;
    if (tag !== '' && tag !== name) text += ` [${tag}]`;
    if (name === null) return `${text} extends [null prototype]]`;
    const parent = getPrototypeOf(constructor);
    const parentName = typeof parent === 'function' ? functionName(parent) : '';
    return parentName === '' ? `${text}]` : `${text} extends ${parentName}]`;
  }

  /** Function, AsyncFunction, GeneratorFunction or AsyncGeneratorFunction. */
  const functionType = (callable, name) => {
    // what the language's own prototype says is true enough
    if (isIntrinsic(getPrototypeOf(callable)) && endsWith(name, 'Function')) return name;
    const kind = kindOf(callable);
    if (kind === kinds.GENERATOR_FUNCTION) return 'GeneratorFunction';
    if (kind !== kinds.ASYNC_FUNCTION) return 'Function';
    return hasOwn(callable, 'prototype') ? 'AsyncGeneratorFunction' : 'AsyncFunction';
  };

  function functionText(callable, { name, tag }) {
    const type = functionType(callable, name);
    const own = functionName(callable);
    let text = `[${type}${name === null ? ' (null prototype)' : ''}${own === '' ? ' (anonymous)' : `: ${own}`}]`;
    if (name !== type && name !== null) text += ` ${name}`;
    if (tag !== '' && tag !== name) text += ` [${tag}]`;
    return text;
  }

  // --- entries ----------------------------------------------------------------------------------

  /** Calls `entry(i)` for 0 ≤ i < length as far as limits allow; says how many are left out. */
  const listed = (ctx, length, entry) => {
    const output = newList();
    const shown = min(length, max(0, ctx.maxArrayLength));
    while (output.length < shown && !isSpent(ctx)) add(output, entry(output.length));
    if (output.length < length) add(output, more(length - output.length));
    return output;
  };

  /** The index at which the hole that begins at `from` ends. */
  const endOfHole = (array, from) => {
    const { length } = array;
    const limit = min(length, from + MAX_HOLES_STEPPED);
    for (let i = from; i < limit; i++) if (hasOwn(array, i)) return i;
    if (limit === length) return length;
    const keys = ownKeys(array);
    for (let i = 0; i < keys.length && keys[i] !== 'length'; i++) if (+keys[i] >= limit) return +keys[i];
    return length;
  };

  function arrayEntries(ctx, array, level) {
    const output = newList();
    const { length } = array;
    let index = 0;
    while (index < length && output.length < ctx.maxArrayLength && !isSpent(ctx)) {
      const descriptor = getOwnPropertyDescriptor(array, index);
      if (descriptor !== undefined) {
        add(output, propertyValue(ctx, descriptor, level));
        index += 1;
      } else {
        const end = endOfHole(array, index);
        add(output, `<${plural(end - index, 'empty item')}>`);
        index = end;
      }
    }
    if (index < length) add(output, more(length - index));
    return output;
  }

  function typedArrayEntries(ctx, array) {
    return listed(ctx, typedArrayLength(array), (i) => charge(ctx, primitiveText(ctx, array[i])));
  }

  function setTexts(ctx, set, level) {
    const iterator = setValues(set);
    return listed(ctx, setSize(set), () => indented(ctx, nextOfSet(iterator).value, level));
  }

  function mapTexts(ctx, map, level) {
    const iterator = mapEntries(map);
    return listed(ctx, mapSize(map), () => {
      const entry = nextOfMap(iterator).value;
      return `${indented(ctx, entry[0], level)} => ${indented(ctx, entry[1], level)}`;
    });
  }

  function iteratorEntries(ctx, iterator, level) {
    const rest = native(5, iterator);
    return listed(ctx, rest.length, (i) => indented(ctx, rest[i], level));
  }

  const PAIR = Object.freeze({ __proto__: null, text: '', open: '[', close: ']' });

  function pairEntries(ctx, iterator, level) {
    const rest = native(5, iterator);
    return listed(ctx, rest.length / 2, (i) => {
      const pair = newList();
      ctx.indentation += 2;
      add(pair, textOf(ctx, rest[2 * i], level));
      add(pair, textOf(ctx, rest[2 * i + 1], level));
      const text = base.layOut(ctx, PAIR, pair, level, null);
      ctx.indentation -= 2;
      return text;
    });
  }

  const only = (text) => {
    const output = newList();
    add(output, text);
    return output;
  };

  function unknownEntries() {
    return only('<items unknown>');
  }

  const PENDING = 0;
  const REJECTED = 2;

  function promiseEntries(ctx, promise, level) {
    const state = native(3, promise);
    if (state === PENDING) return only('<pending>');
    const result = indented(ctx, native(4, promise), level);
    return only(state === REJECTED ? `<rejected> ${result}` : result);
  }

  const byteTexts = (ctx, buffer) => {
    const length = bufferLength(buffer);
    const shown = min(length, max(0, ctx.maxArrayLength));
    const bytes = new Bytes(buffer, 0, shown);
    let text = '';
    for (let i = 0; i < shown; i++) text += (i === 0 ? '' : ' ') + padStart(numberToString(bytes[i], 16), 2, '0');
    return shown < length ? `${text} ... ${plural(length - shown, 'more byte')}` : text;
  };

  function bufferEntries(ctx, buffer) {
    const contents = isDetached(buffer) ? '(detached)' : `[Uint8Contents]: <${byteTexts(ctx, buffer)}>`;
    const output = only(charge(ctx, contents));
    add(output, `byteLength: ${bufferLength(buffer)}`);
    return output;
  }

  const viewPart = (view, part) => {
    try {
      return part.read(view);
    } catch {
      return 0; // its buffer is detached
    }
  };

  function viewEntries(ctx, view, level) {
    const output = newList();
    for (let i = 0; i < viewParts.length; i++) {
      add(output, `${viewParts[i].name}: ${indented(ctx, viewPart(view, viewParts[i]), level)}`);
    }
    return output;
  }

  // --- objects ----------------------------------------------------------------------------------

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
    const shape = describe(ctx, object, kind, family);
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

  /**
   * `value` as text of at most options.maxChars characters, ending in '…' where it was cut.
   * `options` is an object like DEFAULTS, with any of its fields; never one of the guest's.
   */
  base.inspect = (value, options) => {
    const ctx = newContext(options);
    return cut(textOf(ctx, value, 0), ctx.maxChars);
  };

  base.primitiveText = { __proto__: null, number: numberText, bigint: bigIntText };
}
