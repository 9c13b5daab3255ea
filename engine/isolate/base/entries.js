// What objects hold besides properties, as lists of texts: elements, keys and values, bytes.
(base) => {
  'use strict';
  const { native } = base;
  const { newList, uncurryThis } = base.values;
  const { plural, primitiveText } = base.primitives;
  const { add, charge, indented, isSpent, more, propertyValue, textOf } = base.inspection;
  const { getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { hasOwn } = Object;
  const { max, min } = Math;
  const numberToString = uncurryThis(Number.prototype.toString);
  const padStart = uncurryThis(String.prototype.padStart);
  const mapEntries = uncurryThis(Map.prototype.entries);
  const setValues = uncurryThis(Set.prototype.values);
  const nextOfMap = uncurryThis(Object.getPrototypeOf(new Map().entries()).next);
  const nextOfSet = uncurryThis(Object.getPrototypeOf(new Set().values()).next);
  const Bytes = Uint8Array;

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayLength = getterOf(Object.getPrototypeOf(Uint8Array.prototype), 'length');
  const mapSize = getterOf(Map.prototype, 'size');
  const setSize = getterOf(Set.prototype, 'size');
  const bufferLength = getterOf(ArrayBuffer.prototype, 'byteLength');
  const isDetached = getterOf(ArrayBuffer.prototype, 'detached');
  const viewParts = ['byteLength', 'byteOffset', 'buffer'].map((name) => ({
    __proto__: null,
    name,
    read: getterOf(DataView.prototype, name),
  }));

  const MAX_HOLES_STEPPED = 10_000; // longer holes are measured by listing the array's keys

  /** Calls `entry(i)` for 0 ≤ i < length as far as limits allow; says how many are left out. */
  const listed = (ctx, length, entry) => {
    const output = newList();
    const shown = min(length, max(0, ctx.maxArrayLength));
    while (output.length < shown && !isSpent(ctx)) add(output, entry(output.length));
    if (output.length < length) add(output, more(length - output.length));
    return output;
  };

  /**
   * The index at which the hole that begins at `from` ends. `listing` keeps the array's keys once they
   * had to be listed, and how many of them are passed.
   */
  const endOfHole = (array, from, listing) => {
    const { length } = array;
    if (listing.keys === undefined) {
      const limit = min(length, from + MAX_HOLES_STEPPED);
      for (let i = from; i < limit; i++) if (hasOwn(array, i)) return i;
      if (limit === length) return length;
      listing.keys = ownKeys(array); // indices in order, then 'length'
    }
    for (; listing.keys[listing.passed] !== 'length'; listing.passed++) {
      const index = +listing.keys[listing.passed];
      if (index >= from) return index;
    }
    return length;
  };

  const arrayEntries = (ctx, array, level) => {
    const output = newList();
    const { length } = array;
    const listing = { __proto__: null, keys: undefined, passed: 0 };
    let index = 0;
    while (index < length && output.length < ctx.maxArrayLength && !isSpent(ctx)) {
      const descriptor = getOwnPropertyDescriptor(array, index);
      if (descriptor !== undefined) {
        add(output, propertyValue(ctx, descriptor, level));
        index += 1;
      } else {
        const end = endOfHole(array, index, listing);
        add(output, charge(ctx, `<${plural(end - index, 'empty item')}>`));
        index = end;
      }
    }
    if (index < length) add(output, more(length - index));
    return output;
  };

  const typedArrayEntries = (ctx, array) =>
    listed(ctx, typedArrayLength(array), (i) => charge(ctx, primitiveText(ctx, array[i])));

  const setTexts = (ctx, set, level) => {
    const iterator = setValues(set);
    return listed(ctx, setSize(set), () => indented(ctx, nextOfSet(iterator).value, level));
  };

  const mapTexts = (ctx, map, level) => {
    const iterator = mapEntries(map);
    return listed(ctx, mapSize(map), () => {
      const entry = nextOfMap(iterator).value;
      return `${indented(ctx, entry[0], level)} => ${indented(ctx, entry[1], level)}`;
    });
  };

  const iteratorEntries = (ctx, iterator, level) => {
    const rest = native(5, iterator);
    return listed(ctx, rest.length, (i) => indented(ctx, rest[i], level));
  };

  const PAIR = Object.freeze({ __proto__: null, text: '', open: '[', close: ']' });

  const pairEntries = (ctx, iterator, level) => {
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
  };

  const only = (text) => {
    const output = newList();
    add(output, text);
    return output;
  };

  const unknownEntries = () => only('<items unknown>');

  const PENDING = 0;
  const REJECTED = 2;

  const promiseEntries = (ctx, promise, level) => {
    const state = native(3, promise);
    if (state === PENDING) return only('<pending>');
    const result = indented(ctx, native(4, promise), level);
    return only(state === REJECTED ? `<rejected> ${result}` : result);
  };

  const byteTexts = (ctx, buffer) => {
    const length = bufferLength(buffer);
    const shown = min(length, max(0, ctx.maxArrayLength));
    const bytes = new Bytes(buffer, 0, shown);
    let text = '';
    for (let i = 0; i < shown; i++) text += (i === 0 ? '' : ' ') + padStart(numberToString(bytes[i], 16), 2, '0');
    return shown < length ? `${text} ... ${plural(length - shown, 'more byte')}` : text;
  };

  const bufferEntries = (ctx, buffer) => {
    const contents = isDetached(buffer) ? '(detached)' : `[Uint8Contents]: <${byteTexts(ctx, buffer)}>`;
    const output = only(charge(ctx, contents));
    add(output, `byteLength: ${bufferLength(buffer)}`);
    return output;
  };

  const viewPart = (view, part) => {
    try {
      return part.read(view);
    } catch {
      return 0; // its buffer is detached
    }
  };

  const viewEntries = (ctx, view, level) => {
    const output = newList();
    for (let i = 0; i < viewParts.length; i++) {
      add(output, `${viewParts[i].name}: ${indented(ctx, viewPart(view, viewParts[i]), level)}`);
    }
    return output;
  };

  base.entries = Object.freeze({
    __proto__: null,
    arrayEntries,
    bufferEntries,
    iteratorEntries,
    mapTexts,
    pairEntries,
    promiseEntries,
    setTexts,
    typedArrayEntries,
    unknownEntries,
    viewEntries,
  });
}
