// What there is to show of an object: base.describe(ctx, object, kind, family) gives its shape.
//
// A shape has the text before the braces, the braces, the keys to list and a function that lists
// what else the object holds, or null. Without keys and such a function, only the text (or empty
// braces) is shown. A list's entries may be set in columns. An atom is shown without
// its properties where it is too deep.
(base) => {
  'use strict';
  const { native } = base;
  const { cut, functionName, isIntrinsic, kindOf, kinds, newList, uncurryThis } = base.values;
  const { primitiveText, quote } = base.primitives;
  const { extraKeys, keysOf, prefixOf } = base.inspection;
  const {
    arrayEntries, bufferEntries, iteratorEntries, mapTexts, pairEntries, promiseEntries, setTexts,
    typedArrayEntries, unknownEntries, viewEntries,
  } = base.entries;
  const { getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { hasOwn } = Object;
  const { isArray } = Array;
  const endsWith = uncurryThis(String.prototype.endsWith);
  const setHas = uncurryThis(Set.prototype.has);
  const startsWith = uncurryThis(String.prototype.startsWith);
  const functionToString = uncurryThis(Function.prototype.toString);
  const dateToISO = uncurryThis(Date.prototype.toISOString);
  const dateTime = uncurryThis(Date.prototype.getTime);

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
  const typedArrayName = getterOf(typedArrayPrototype, Symbol.toStringTag);
  const typedArrayLength = getterOf(typedArrayPrototype, 'length');
  const mapSize = getterOf(Map.prototype, 'size');
  const setSize = getterOf(Set.prototype, 'size');
  const regExpSource = getterOf(RegExp.prototype, 'source');
  const regExpFlags = [
    ['d', 'hasIndices'], ['g', 'global'], ['i', 'ignoreCase'], ['m', 'multiline'], ['s', 'dotAll'],
    ['u', 'unicode'], ['v', 'unicodeSets'], ['y', 'sticky'],
  ].map(([flag, name]) => ({ __proto__: null, flag, isSet: getterOf(RegExp.prototype, name) }));
  const unboxers = [Number, String, Boolean, Symbol, BigInt].map(({ name, prototype }) => ({
    __proto__: null,
    name,
    unbox: uncurryThis(prototype.valueOf),
  }));

  // --- functions --------------------------------------------------------------------------------

  const ownClasses = new Set(); // the web's interfaces: Node has them as classes, too
  base.addClass = (constructor) => ownClasses.add(constructor);

  // A class has a prototype that cannot be assigned; of the functions that have one too (built-in
  // constructors) none has a source text that begins with "class".
  const isClass = (callable) => {
    if (setHas(ownClasses, callable)) return true;
    const prototype = getOwnPropertyDescriptor(callable, 'prototype');
    return prototype !== undefined && !prototype.writable && startsWith(functionToString(callable), 'class');
  };

  base.isClass = isClass;

  const classText = (constructor, { name, tag }) => {
    let text = `[class ${functionName(constructor) || '(anonymous)'}`;
    if (name !== 'Function' && name !== null) text += ` [${name}]`;
    if (tag !== '' && tag !== name) text += ` [${tag}]`;
    if (name === null) return `${text} extends [null prototype]]`;
    const parent = getPrototypeOf(constructor);
    const parentName = typeof parent === 'function' ? functionName(parent) : '';
    return parentName === '' ? `${text}]` : `${text} extends ${parentName}]`;
  };

  /** Function, AsyncFunction, GeneratorFunction or AsyncGeneratorFunction. */
  const functionType = (callable, name) => {
    // what the language's own prototype says is true enough
    if (isIntrinsic(getPrototypeOf(callable)) && endsWith(name, 'Function')) return name;
    const kind = kindOf(callable);
    if (kind === kinds.GENERATOR_FUNCTION) return 'GeneratorFunction';
    if (kind !== kinds.ASYNC_FUNCTION) return 'Function';
    return hasOwn(callable, 'prototype') ? 'AsyncGeneratorFunction' : 'AsyncFunction';
  };

  const functionText = (callable, { name, tag }) => {
    const type = functionType(callable, name);
    const own = functionName(callable);
    let text = `[${type}${name === null ? ' (null prototype)' : ''}${own === '' ? ' (anonymous)' : `: ${own}`}]`;
    if (name !== type && name !== null) text += ` ${name}`;
    if (tag !== '' && tag !== name) text += ` [${tag}]`;
    return text;
  };

  // --- shapes -----------------------------------------------------------------------------------

  const shapeOf = (text, open, close, keys, entries) => ({
    __proto__: null, text, open, close, keys, entries, isList: false, isAtom: false,
  });

  const inBraces = (prefix, keys, entries) => shapeOf('', `${prefix}{`, '}', keys, entries);

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

  const without = (keys, omitted) => {
    const kept = newList();
    kept.unlisted = keys.unlisted;
    for (let i = 0; i < keys.length; i++) if (keys[i] !== omitted) kept[kept.length] = keys[i];
    return kept;
  };

  const exoticShape = (ctx, object, family, exotic) => {
    const keys = without(keysOf(ctx, object, 0), exotic.omits);
    return inBraces(prefixOf(family, 'Object'), keys, exotic.isEmpty?.(object) ? null : exotic.entries);
  };

  const argumentsShape = (ctx, object) => inBraces('[Arguments] ', keysOf(ctx, object, 0), null);

  const functionShape = (ctx, callable, family) => {
    const text = isClass(callable) ? classText(callable, family) : functionText(callable, family);
    return shapeOf(text, '{', '}', keysOf(ctx, callable, 0), null);
  };

  const dateShape = (ctx, date, family) => {
    const time = dateTime(date);
    const text = time === time ? dateToISO(date) : 'Invalid Date';
    const prefix = prefixOf(family, 'Date');
    return shapeOf(prefix === 'Date ' ? text : prefix + text, '{', '}', keysOf(ctx, date, 0), null);
  };

  const regExpShape = (ctx, regExp, family) => {
    let text = `/${regExpSource(regExp)}/`;
    for (let i = 0; i < regExpFlags.length; i++) {
      if (regExpFlags[i].isSet(regExp)) text += regExpFlags[i].flag;
    }
    const prefix = prefixOf(family, 'RegExp');
    const shape = shapeOf(prefix === 'RegExp ' ? text : prefix + text, '{', '}', keysOf(ctx, regExp, 0), null);
    shape.isAtom = true;
    return shape;
  };

  const errorShape = (ctx, error, family) => {
    const { text, keys } = base.errorParts(ctx, error, family, keysOf(ctx, error, 0));
    return shapeOf(text, '{', '}', keys, null);
  };

  // what a Temporal object is as text, by its tag
  const temporalTexts = { __proto__: null };
  for (const name of Object.getOwnPropertyNames(Temporal)) {
    const { prototype } = Temporal[name];
    if (prototype !== undefined) temporalTexts[prototype[Symbol.toStringTag]] = uncurryThis(prototype.toString);
  }

  /** An object with that tag: if it is none of Temporal's, it is shown as any other. */
  const temporalShape = (ctx, object, family) => {
    try {
      const text = prefixOf(family, 'Object') + temporalTexts[family.tag](object);
      return shapeOf(text, '{', '}', keysOf(ctx, object, 0), null);
    } catch {
      return plainShape(ctx, object, family);
    }
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

  const boxShape = (ctx, object, family) => {
    const { name, tag } = family;
    if (name === 'Object') return plainShape(ctx, object, family);
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

  /** The shape of an object of that kind and family (see `lineage`) that is no Proxy. */
  base.describe = (ctx, object, kind, family) => {
    if (typeof object === 'function') return functionShape(ctx, object, family);
    const shape = SHAPES[kind];
    if (shape !== undefined) return shape(ctx, object, family);
    const exotic = base.exoticOf(object);
    if (exotic !== undefined) return exoticShape(ctx, object, family, exotic);
    if (isArray(object)) return arrayShape(ctx, object, family);
    if (temporalTexts[family.tag] !== undefined) return temporalShape(ctx, object, family);
    return family.isError ? errorShape(ctx, object, family) : plainShape(ctx, object, family);
  };
}
