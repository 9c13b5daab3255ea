// Blob and File (https://w3c.github.io/FileAPI/), without stream(): a session has no streams.
(base) => {
  'use strict';
  const { isObject, kindOf, kinds, newList, uncurryThis } = base.values;
  const { add } = base.inspection;
  const { viewOf } = base;
  const { TextDecoder: Decoder, TextEncoder: Encoder } = base.libraries;
  const { expose, illegalInvocation, requireArguments, toDictionary, toUSVString, typeError } = base.webidl;
  const { construct } = Reflect;
  const { isFinite } = Number;
  const { floor, max, min, trunc } = Math;
  const { now } = Date; // of the recorded clock
  const { isView } = ArrayBuffer;
  const Bytes = Uint8Array;
  const exec = uncurryThis(RegExp.prototype.exec);
  const sliceText = uncurryThis(String.prototype.slice);
  const toLowerCase = uncurryThis(String.prototype.toLowerCase);
  const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const bufferOf = getterOf(typedArrayPrototype, 'buffer');
  const offsetOf = getterOf(typedArrayPrototype, 'byteOffset');
  const lengthOf = getterOf(typedArrayPrototype, 'byteLength');
  const setBytes = uncurryThis(typedArrayPrototype.set);

  // A blob's bytes never change: slices and clones share them, whoever asks for them gets a copy.
  const encoder = new Encoder();
  const decoder = new Decoder();

  // --- parts ------------------------------------------------------------------------------------

  const isBuffer = (value) => isView(value) || kindOf(value) === kinds.ARRAY_BUFFER;

  const withNativeBreaks = (text) => {
    let lines = '';
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      if (text[i] !== '\r') continue;
      lines += `${sliceText(text, from, i)}\n`;
      if (text[i + 1] === '\n') i += 1;
      from = i + 1;
    }
    return lines + sliceText(text, from);
  };

  const partBytes = (part, endings, what) => {
    if (typeof part === 'string') return encoder.encode(endings === 'native' ? withNativeBreaks(part) : part);
    return isBlob(part) ? stateOf(part).bytes : viewOf(part, what);
  };

  /** The parts, objects other than blobs and buffers as the strings that they are converted to. */
  const toParts = (parts, what) => {
    if (!isObject(parts)) throw typeError(`${what}: the parts must be iterable`);
    const list = newList();
    for (const part of parts) { // by the guest's own iterator, as a sequence is converted
      const isKept = isObject(part) && (isBlob(part) || isBuffer(part));
      add(list, isKept ? part : toUSVString(part));
    }
    return list;
  };

  const join = (parts, endings, what) => {
    const chunks = newList();
    let size = 0;
    for (let i = 0; i < parts.length; i++) {
      add(chunks, partBytes(parts[i], endings, what));
      size += lengthOf(chunks[i]);
    }
    const bytes = new Bytes(size);
    let at = 0;
    for (let i = 0; i < chunks.length; i++) {
      setBytes(bytes, chunks[i], at);
      at += lengthOf(chunks[i]);
    }
    return bytes;
  };

  const OUTSIDE_TYPE = /[^\x20-\x7e]/;

  const toType = (text) => (exec(OUTSIDE_TYPE, text) === null ? toLowerCase(text) : '');

  const toEndings = (value, what) => {
    const endings = value === undefined ? 'transparent' : `${value}`;
    if (endings === 'transparent' || endings === 'native') return endings;
    throw typeError(`${what}: endings must be 'transparent' or 'native'`);
  };

  /** { bytes, type } of the constructor's arguments. */
  const newState = (parts, options, what) => {
    const list = parts === undefined ? newList() : toParts(parts, what);
    const init = toDictionary(options, what);
    const endings = toEndings(init?.endings, what);
    const type = init?.type;
    return {
      __proto__: null,
      bytes: join(list, endings, what),
      type: type === undefined ? '' : toType(`${type}`),
    };
  };

  // --- Blob -------------------------------------------------------------------------------------

  const KEY = Object.freeze({ __proto__: null }); // who has it may give a new blob its state

  let isBlob;
  let stateOf; // of a blob: its state; throws for anything else

  const part = (bytes, start, end) => new Bytes(bufferOf(bytes), offsetOf(bytes) + start, end - start);

  /** The nearest integer, the even one of two as near. */
  const toNearest = (number) => {
    const below = floor(number);
    const rest = number - below;
    return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
  };

  /** [Clamp] long long, counted from the end where it is negative, as a position in `size` bytes. */
  const toPosition = (value, size, otherwise) => {
    if (value === undefined) return otherwise;
    const number = +value;
    const position = number === number ? toNearest(number) : 0;
    return position < 0 ? max(size + position, 0) : min(position, size);
  };

  const copy = (bytes) => {
    const copied = new Bytes(lengthOf(bytes));
    setBytes(copied, bytes);
    return copied;
  };

  class Blob {
    #state;

    static {
      isBlob = (value) => isObject(value) && #state in value;
      stateOf = (blob) => {
        if (!isBlob(blob)) throw illegalInvocation();
        return blob.#state;
      };
    }

    constructor(parts = undefined, options = undefined) {
      this.#state = parts === KEY ? options : newState(parts, options, "Failed to construct 'Blob'");
    }

    get size() {
      return lengthOf(stateOf(this).bytes);
    }

    get type() {
      return stateOf(this).type;
    }

    slice(start = undefined, end = undefined, type = undefined) {
      const { bytes } = stateOf(this);
      const size = lengthOf(bytes);
      const from = toPosition(start, size, 0);
      const to = toPosition(end, size, size);
      return new Blob(KEY, {
        __proto__: null,
        bytes: part(bytes, from, max(from, to)),
        type: type === undefined ? '' : toType(`${type}`),
      });
    }

    async text() {
      return decoder.decode(stateOf(this).bytes);
    }

    async arrayBuffer() {
      return bufferOf(copy(stateOf(this).bytes));
    }

    async bytes() {
      return copy(stateOf(this).bytes);
    }
  }

  expose(Blob, 0);

  // --- File -------------------------------------------------------------------------------------

  // A file is a blob whose state has a name and a time, too

  const isFile = (value) => isBlob(value) && stateOf(value).name !== undefined;

  const fileOf = (value) => {
    if (!isFile(value)) throw illegalInvocation();
    return stateOf(value);
  };

  const FILE = "Failed to construct 'File'";

  /** long long: milliseconds since the Unix epoch. */
  const toTime = (value) => {
    const time = trunc(+value);
    return isFinite(time) ? time + 0 : 0;
  };

  // Not by `super`: the guest may have put a function of its own there, and it would be given the key
  const makeFile = (newTarget, state) => construct(Blob, [KEY, state], newTarget);

  class File extends Blob {
    constructor(parts, name, options = undefined) {
      requireArguments(arguments.length, 2, FILE);
      if (parts === undefined) throw typeError(`${FILE}: the parts must be iterable`);
      const text = toUSVString(name);
      const state = newState(parts, options, FILE);
      const time = options?.lastModified;
      state.name = text;
      state.lastModified = time === undefined ? now() : toTime(time);
      return makeFile(new.target, state);
    }

    get name() {
      return fileOf(this).name;
    }

    get lastModified() {
      return fileOf(this).lastModified;
    }
  }

  expose(File, 2);

  // --- for the other files of the base image ----------------------------------------------------

  /** The clone of a blob or file; undefined for anything else. */
  base.cloneBlob = (value) => {
    if (isFile(value)) return makeFile(File, stateOf(value));
    return isBlob(value) ? new Blob(KEY, stateOf(value)) : undefined;
  };

  const fields = (blob) => {
    const { bytes, type, name, lastModified } = stateOf(blob);
    if (!isFile(blob)) return ['size', lengthOf(bytes), 'type', type];
    return ['size', lengthOf(bytes), 'type', type, 'name', name, 'lastModified', lastModified];
  };

  add(base.exotics, { __proto__: null, has: isBlob, entries: base.fieldEntries(fields) });
}
