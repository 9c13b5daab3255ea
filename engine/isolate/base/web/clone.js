// structuredClone (https://html.spec.whatwg.org/#structured-cloning): for the guest, and as
// base.structuredClone for the other interfaces. Getters of what is cloned are called, as specified.
//
// Cloning keeps its own stack of what is left to do, so that depth does not matter. Each value is made
// first and filled later, in the order in which the standard reads it; nobody sees it before the end.
(base) => {
  'use strict';
  const { cut, isObject, isProxy, kindOf, kinds, lineage, newList, uncurryThis } = base.values;
  const { bufferOf, copyBytes, emptyLike, move, viewLike } = base.buffers;
  const { DOMException } = base;
  const { requireArguments, toDictionary, typeError } = base.webidl;
  const { construct, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { hasOwn, keys: enumerableKeys } = Object;
  const { isArray } = Array;
  const NativeArray = Array;
  const NativeDate = Date;
  const NativeMap = Map;
  const NativeObject = Object;
  const NativeRegExp = RegExp;
  const NativeSet = Set;
  const ObjectPrototype = Object.prototype;
  const realm = globalThis; // an object of the platform, too
  const mapGet = uncurryThis(Map.prototype.get);
  const mapHas = uncurryThis(Map.prototype.has);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapForEach = uncurryThis(Map.prototype.forEach);
  const setAdd = uncurryThis(Set.prototype.add);
  const setHas = uncurryThis(Set.prototype.has);
  const setForEach = uncurryThis(Set.prototype.forEach);
  const dateTime = uncurryThis(Date.prototype.getTime);
  const sourceOf = uncurryThis(Function.prototype.toString);
  const symbolToString = uncurryThis(Symbol.prototype.toString);

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const regExpSource = getterOf(RegExp.prototype, 'source');
  const regExpFlags = [
    ['d', 'hasIndices'], ['g', 'global'], ['i', 'ignoreCase'], ['m', 'multiline'], ['s', 'dotAll'],
    ['u', 'unicode'], ['v', 'unicodeSets'], ['y', 'sticky'],
  ].map(([flag, name]) => ({ __proto__: null, flag, isSet: getterOf(RegExp.prototype, name) }));
  const unboxers = [Number, String, Boolean, BigInt].map(({ prototype }) => uncurryThis(prototype.valueOf));
  const errors = Object.freeze({
    __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
  });

  const dataCloneError = (message) => new DOMException(message, 'DataCloneError');

  // --- what cannot be cloned --------------------------------------------------------------------

  const MAX_SOURCE = 200; // characters of a function's source in a message

  const label = (value, kind) => {
    if (typeof value === 'symbol') return symbolToString(value);
    if (kind === kinds.PROXY) return '#<Object>';
    if (typeof value === 'function') return cut(sourceOf(value), MAX_SOURCE);
    return `#<${lineage(value, new NativeMap()).name ?? 'Object'}>`;
  };

  const refuse = (value, kind) => {
    throw dataCloneError(`${label(value, kind)} could not be cloned.`);
  };

  // Objects below these prototypes hold what no kind tells of.
  const opaque = new Set([
    WeakRef, FinalizationRegistry, DisposableStack, AsyncDisposableStack,
    ...[Intl, Temporal, WebAssembly].flatMap((namespace) =>
      Object.getOwnPropertyNames(namespace).map((name) => namespace[name])),
  ].map((constructor) => constructor.prototype).filter(isObject));
  const segments = new Intl.Segmenter().segment('');
  for (const iterator of [
    [].values(), ''[Symbol.iterator](), ''.matchAll(/x/g), [].values().map((x) => x), Iterator.from({ next() {} }),
    segments, segments[Symbol.iterator](),
  ]) {
    opaque.add(Object.getPrototypeOf(iterator));
  }

  const isBelowOpaque = (prototype) => {
    for (let current = prototype; current !== null && current !== ObjectPrototype; ) {
      if (setHas(opaque, current)) return true;
      if (isProxy(current)) return false;
      current = getPrototypeOf(current);
    }
    return false;
  };

  const isOpaque = (job, object) => {
    const prototype = getPrototypeOf(object);
    if (prototype === null || prototype === ObjectPrototype) return false;
    let answer = mapGet(job.prototypes, prototype);
    if (answer === undefined) {
      answer = isBelowOpaque(prototype);
      mapSet(job.prototypes, prototype, answer);
    }
    return answer;
  };

  // --- filling ----------------------------------------------------------------------------------

  // What is left to do is a stack of frames; `step` does one thing and says whether more is left.

  const push = (job, frame) => {
    frame.below = job.top;
    job.top = frame;
  };

  const define = (target, key, value) =>
    defineProperty(target, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

  const stepProperties = (job, frame) => {
    const { source, keys } = frame;
    if (frame.index === keys.length) return false;
    const key = keys[frame.index];
    frame.index += 1;
    if (hasOwn(source, key)) define(frame.target, key, begin(job, source[key]));
    return true;
  };

  const fillProperties = (job, source, target) => {
    const keys = enumerableKeys(source);
    if (keys.length > 0) {
      push(job, { __proto__: null, step: stepProperties, source, target, keys, index: 0, below: null });
    }
    return target;
  };

  const stepItems = (job, frame) => {
    const { items, made } = frame;
    if (frame.index === items.length) {
      frame.put(made);
      return false;
    }
    made[frame.index] = begin(job, items[frame.index]);
    frame.index += 1;
    return true;
  };

  /** Clones items one after the other, each with all that it holds, then calls `put` with the clones. */
  const fillItems = (job, items, put) =>
    push(job, { __proto__: null, step: stepItems, items, made: newList(), index: 0, put, below: null });

  // --- making -----------------------------------------------------------------------------------

  const makeMap = (job, source) => {
    const target = new NativeMap();
    const items = newList();
    mapForEach(source, (value, key) => {
      items[items.length] = key;
      items[items.length] = value;
    });
    fillItems(job, items, (made) => {
      for (let i = 0; i < made.length; i += 2) mapSet(target, made[i], made[i + 1]);
    });
    return target;
  };

  const makeSet = (job, source) => {
    const target = new NativeSet();
    const items = newList();
    setForEach(source, (value) => {
      items[items.length] = value;
    });
    fillItems(job, items, (made) => {
      for (let i = 0; i < made.length; i++) setAdd(target, made[i]);
    });
    return target;
  };

  const makeDate = (job, source) => new NativeDate(dateTime(source));

  const makeRegExp = (job, source) => {
    let flags = '';
    for (let i = 0; i < regExpFlags.length; i++) if (regExpFlags[i].isSet(source)) flags += regExpFlags[i].flag;
    return new NativeRegExp(regExpSource(source), flags);
  };

  const makeBox = (job, source) => {
    for (let i = 0; i < unboxers.length; i++) {
      try {
        return NativeObject(unboxers[i](source));
      } catch {
        continue; // another kind of box: these functions throw for all but their own
      }
    }
    return refuse(source, kinds.BOXED); // a symbol
  };

  const makeBuffer = (job, source) => {
    const target = emptyLike(source);
    if (!mapHas(job.transferred, source)) copyBytes(source, target);
    else mapSet(job.transferred, source, target); // its bytes come at the end
    return target;
  };

  const makeView = (kind) => (job, source) => viewLike(source, begin(job, bufferOf(source))) ?? refuse(source, kind);

  const setStack = (target, stack) => {
    if (typeof stack === 'string') base.setStack(target, stack);
  };

  const hide = (target, key, value) =>
    defineProperty(target, key, { __proto__: null, value, writable: true, enumerable: false, configurable: true });

  const makeError = (job, source) => {
    const parts = base.domExceptionParts(source);
    if (parts !== undefined) {
      const target = new DOMException(parts.message, parts.name);
      setStack(target, source.stack);
      return target;
    }
    const name = source.name;
    const constructor = errors[name === undefined ? 'Error' : `${name}`] ?? errors.Error;
    const message = getOwnPropertyDescriptor(source, 'message');
    const hasMessage = message !== undefined && hasOwn(message, 'value');
    const target = construct(constructor, hasMessage ? [`${message.value}`] : []);
    setStack(target, source.stack);
    const cause = getOwnPropertyDescriptor(source, 'cause');
    if (cause !== undefined && hasOwn(cause, 'value')) {
      const items = newList();
      items[0] = cause.value;
      fillItems(job, items, (made) => hide(target, 'cause', made[0]));
    }
    return target;
  };

  const makeOrdinary = (job, source) => {
    if (isArray(source)) return fillProperties(job, source, new NativeArray(source.length));
    const blob = base.cloneBlob(source);
    if (blob !== undefined) return blob;
    const isPlatforms = source === realm || base.exoticOf(source) !== undefined;
    if (isPlatforms || isOpaque(job, source)) refuse(source, kinds.ORDINARY);
    return fillProperties(job, source, {});
  };

  const makers = Object.freeze({
    __proto__: null,
    [kinds.ORDINARY]: makeOrdinary,
    [kinds.MAP]: makeMap,
    [kinds.SET]: makeSet,
    [kinds.DATE]: makeDate,
    [kinds.REG_EXP]: makeRegExp,
    [kinds.ERROR]: makeError,
    [kinds.ARRAY_BUFFER]: makeBuffer,
    [kinds.TYPED_ARRAY]: makeView(kinds.TYPED_ARRAY),
    [kinds.DATA_VIEW]: makeView(kinds.DATA_VIEW),
    [kinds.BOXED]: makeBox,
  });

  /** The clone of a value; what it holds is left to do. */
  const begin = (job, value) => {
    if (!isObject(value)) return typeof value === 'symbol' ? refuse(value) : value;
    const known = mapGet(job.memory, value);
    if (known !== undefined) return known;
    const kind = kindOf(value);
    const make = typeof value === 'function' ? undefined : makers[kind];
    if (make === undefined) refuse(value, kind);
    // What a maker begins itself (a view its buffer) holds nothing, so nothing can lead back here
    const made = make(job, value);
    mapSet(job.memory, value, made);
    return made;
  };

  // --- the whole --------------------------------------------------------------------------------

  const toTransferred = (options) => {
    const what = "Failed to execute 'structuredClone'";
    const transferred = new NativeMap();
    const list = toDictionary(options, what)?.transfer;
    if (list === undefined) return transferred;
    if (!isObject(list)) throw typeError(`${what}: the transfer list must be iterable`);
    for (const item of list) { // by the guest's own iterator, as a sequence is converted
      if (!isObject(item)) throw typeError(`${what}: the transfer list must hold objects`);
      if (kindOf(item) !== kinds.ARRAY_BUFFER) throw dataCloneError('Found invalid object in transferList');
      if (mapHas(transferred, item)) throw dataCloneError('Transfer list contains duplicate ArrayBuffer');
      mapSet(transferred, item, null);
    }
    return transferred;
  };

  const clone = (value, transferred) => {
    const job = {
      __proto__: null,
      memory: new NativeMap(), // object → its clone
      prototypes: new NativeMap(), // prototype → whether its objects are opaque
      transferred, // buffer → its clone, null before it is met
      top: null, // of the stack of frames
    };
    const made = begin(job, value);
    while (job.top !== null) {
      const frame = job.top;
      if (frame.step(job, frame)) continue;
      job.top = job.top.below;
    }
    mapForEach(transferred, (target, source) => move(source, target));
    return made;
  };

  const { structuredClone } = {
    structuredClone(value, options = undefined) {
      requireArguments(arguments.length, 1, "Failed to execute 'structuredClone'");
      return clone(value, toTransferred(options));
    },
  };

  base.structuredClone = (value) => clone(value, new NativeMap());
  Object.defineProperty(globalThis, 'structuredClone', {
    value: structuredClone, writable: true, enumerable: false, configurable: true,
  });
}
