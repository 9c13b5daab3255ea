// base.buffers: copies of ArrayBuffers and of views of them, for structuredClone.
(base) => {
  'use strict';
  const { uncurryThis } = base.values;
  const { DOMException } = base;
  const NativeArrayBuffer = ArrayBuffer;
  const NativeDataView = DataView;
  const Bytes = Uint8Array;
  const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
  const includes = uncurryThis(typedArrayPrototype.includes);
  const setBytes = uncurryThis(typedArrayPrototype.set);
  const resize = uncurryThis(ArrayBuffer.prototype.resize);
  const transfer = uncurryThis(ArrayBuffer.prototype.transfer);

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const gettersOf = (prototype, ...names) =>
    Object.freeze({
      __proto__: null,
      ...Object.fromEntries(names.map((name) => [name, getterOf(prototype, name)])),
    });
  const ofBuffer = gettersOf(ArrayBuffer.prototype, 'byteLength', 'maxByteLength', 'resizable', 'detached');
  const ofArray = gettersOf(typedArrayPrototype, 'buffer', 'byteOffset', 'byteLength', 'length');
  const ofView = gettersOf(DataView.prototype, 'buffer', 'byteOffset', 'byteLength');
  const arrayName = getterOf(typedArrayPrototype, Symbol.toStringTag);
  const constructors = Object.freeze({
    __proto__: null, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    BigInt64Array, BigUint64Array, Float16Array, Float32Array, Float64Array,
  });
  const LARGEST_ELEMENT = 8; // bytes

  const fail = (message) => {
    throw new DOMException(message, 'DataCloneError');
  };

  const requireAttached = (buffer) => {
    if (ofBuffer.detached(buffer)) fail('An ArrayBuffer is detached and could not be cloned.');
  };

  // --- buffers ----------------------------------------------------------------------------------

  /** A buffer of zeros, as long as another and as resizable. Throws a DataCloneError if that is detached. */
  const emptyLike = (buffer) => {
    requireAttached(buffer);
    const length = ofBuffer.byteLength(buffer);
    if (!ofBuffer.resizable(buffer)) return new NativeArrayBuffer(length);
    return new NativeArrayBuffer(length, { __proto__: null, maxByteLength: ofBuffer.maxByteLength(buffer) });
  };

  const copyBytes = (source, target) => setBytes(new Bytes(target), new Bytes(source));

  /** Moves a buffer's bytes to one made by `emptyLike`, or nowhere (null), and detaches it. */
  const move = (source, target) => {
    requireAttached(source);
    if (target !== null) {
      // Getters that were called since may have resized it
      if (ofBuffer.resizable(source)) resize(target, ofBuffer.byteLength(source));
      copyBytes(source, target);
    }
    try {
      transfer(source, 0);
    } catch {
      fail('An ArrayBuffer could not be transferred.'); // the memory of a WebAssembly instance
    }
  };

  // --- views ------------------------------------------------------------------------------------

  const partsOf = (view) => (arrayName(view) === undefined ? ofView : ofArray);

  /** The buffer of a typed array or DataView. */
  const bufferOf = (view) => partsOf(view).buffer(view);

  /** The length to make another one with, in its own elements; -1 if it lies beyond the end of its buffer. */
  const lengthOf = (view, parts) => {
    try {
      if (parts === ofView) return ofView.byteLength(view);
      if (ofArray.length(view) === 0) includes(view, 0); // methods throw where `length` does not
      return ofArray.length(view);
    } catch {
      return -1;
    }
  };

  /** Whether a view grows and shrinks with its buffer, which only shows when the buffer is resized. */
  const isTracking = (view, parts) => {
    const buffer = parts.buffer(view);
    if (!ofBuffer.resizable(buffer)) return false;
    const length = ofBuffer.byteLength(buffer);
    const size = parts.byteLength(view);
    if (parts.byteOffset(view) + size + LARGEST_ELEMENT <= length) return false;
    try {
      resize(buffer, length + LARGEST_ELEMENT);
    } catch {
      return true; // no way to find out: it has no room, or is a WebAssembly memory, which grows by pages
    }
    const isLonger = parts.byteLength(view) !== size;
    resize(buffer, length);
    return isLonger;
  };

  /** A view like another, on a copy of its buffer; null if it lies beyond the end. */
  const viewLike = (view, buffer) => {
    const parts = partsOf(view);
    const length = lengthOf(view, parts);
    if (length === -1) return null;
    const constructor = parts === ofView ? NativeDataView : constructors[arrayName(view)];
    const offset = parts.byteOffset(view);
    return isTracking(view, parts) ? new constructor(buffer, offset) : new constructor(buffer, offset, length);
  };

  base.buffers = Object.freeze({ __proto__: null, bufferOf, copyBytes, emptyLike, move, viewLike });
}
