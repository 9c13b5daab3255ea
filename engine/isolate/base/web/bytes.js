// base.viewOf(value): the bytes of a BufferSource argument, whatever its class.
(base) => {
  'use strict';
  const { isObject, uncurryThis } = base.values;
  const { typeError } = base.webidl;
  const { isView } = ArrayBuffer;
  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const partsOf = (prototype) => ({
    __proto__: null,
    buffer: getterOf(prototype, 'buffer'),
    offset: getterOf(prototype, 'byteOffset'),
    length: getterOf(prototype, 'byteLength'),
  });
  const typedArray = partsOf(Object.getPrototypeOf(Uint8Array.prototype));
  const dataView = partsOf(DataView.prototype);
  const typedArrayName = getterOf(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);
  const isDetached = getterOf(ArrayBuffer.prototype, 'detached');
  const bufferLength = getterOf(ArrayBuffer.prototype, 'byteLength');
  const Bytes = Uint8Array;

  const isBuffer = (value) => {
    try {
      bufferLength(value);
      return true;
    } catch {
      return false; // throws for whatever is no ArrayBuffer
    }
  };

  const bytesOf = (view, { buffer, offset, length }) => {
    const memory = buffer(view);
    return isDetached(memory) ? new Bytes(0) : new Bytes(memory, offset(view), length(view));
  };

  /** The name of a typed array's class; undefined for anything else. */
  base.typedArrayName = typedArrayName;

  /**
   * A Uint8Array over the memory of an ArrayBuffer, typed array or DataView; empty if it is detached.
   * Throws a TypeError for anything else; `what` says where.
   */
  base.viewOf = (value, what) => {
    if (isView(value)) {
      if (typedArrayName(value) !== undefined) return bytesOf(value, typedArray);
      try {
        return bytesOf(value, dataView);
      } catch {
        return new Bytes(0); // a DataView that is out of its buffer's bounds has no length
      }
    }
    if (!isObject(value) || !isBuffer(value)) {
      throw typeError(`${what}: the argument must be an ArrayBuffer or a view of one`);
    }
    return isDetached(value) ? new Bytes(0) : new Bytes(value);
  };
}
