// crypto (https://w3c.github.io/webcrypto/): random values and digests. The randomness is the recorded one of
// the execution: it is the same when replayed, and so no source of secrets. There are no keys.
(base) => {
  'use strict';
  const { isObject, newList, uncurryThis } = base.values;
  const { add } = base.inspection;
  const { expose, illegalConstructor, illegalInvocation, requireArguments, typeError } = base.webidl;
  const { DOMException, QuotaExceededError, randomUint32, typedArrayName, viewOf } = base;
  const { sha1, sha256, sha384, sha512 } = base.libraries;
  const { defineProperty } = Reflect;
  const { isView } = ArrayBuffer;
  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
  const lengthOf = getterOf(typedArrayPrototype, 'length');
  const bufferOf = getterOf(typedArrayPrototype, 'buffer');
  const toHex = uncurryThis(Uint8Array.prototype.toHex);
  const slice = uncurryThis(String.prototype.slice);
  const toUpperCase = uncurryThis(String.prototype.toUpperCase);
  const Bytes = Uint8Array;

  const QUOTA = 65_536; // bytes that may be asked for at once
  const KEY = Object.freeze({ __proto__: null }); // who has it may make these objects

  // --- random values ----------------------------------------------------------------------------

  const INTEGERS = Object.freeze({
    __proto__: null, Int8Array: 1, Uint8Array: 1, Uint8ClampedArray: 1, Int16Array: 1, Uint16Array: 1, Int32Array: 1,
    Uint32Array: 1, BigInt64Array: 1, BigUint64Array: 1,
  });

  const fill = (bytes) => {
    const length = lengthOf(bytes);
    for (let i = 0; i < length; i += 4) {
      const word = randomUint32();
      for (let j = 0; j < 4 && i + j < length; j += 1) bytes[i + j] = word >>> (8 * j);
    }
    return bytes;
  };

  const uuid = () => {
    const bytes = fill(new Bytes(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
    bytes[8] = (bytes[8] & 0x3f) | 0x80; // the variant of RFC 9562
    const hex = toHex(bytes);
    const part = (start, end) => slice(hex, start, end);
    return `${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20, 32)}`;
  };

  // --- digests ----------------------------------------------------------------------------------

  const HASHES = Object.freeze({
    __proto__: null, 'SHA-1': sha1, 'SHA-256': sha256, 'SHA-384': sha384, 'SHA-512': sha512,
  });

  const hashOf = (algorithm) => {
    const name = isObject(algorithm) ? algorithm.name : algorithm;
    if (name === undefined) throw typeError('SubtleCrypto.digest: the algorithm needs a name');
    const hash = HASHES[toUpperCase(`${name}`)];
    if (hash === undefined) throw new DOMException('Unrecognized algorithm name', 'NotSupportedError');
    return hash;
  };

  let isSubtle, isCrypto;

  class SubtleCrypto {
    #brand;

    constructor(key = undefined) {
      if (key !== KEY) throw illegalConstructor();
    }

    static {
      isSubtle = (value) => isObject(value) && #brand in value;
    }

    async digest(algorithm, data) {
      if (!isSubtle(this)) throw illegalInvocation();
      requireArguments(arguments.length, 2, 'SubtleCrypto.digest');
      viewOf(data, 'SubtleCrypto.digest'); // is one, or throws
      const hash = hashOf(algorithm);
      const bytes = new Bytes(viewOf(data)); // what is changed from now on does not count
      await undefined;
      return bufferOf(hash(bytes));
    }
  }

  const subtle = new SubtleCrypto(KEY);

  class Crypto {
    #brand;

    constructor(key = undefined) {
      if (key !== KEY) throw illegalConstructor();
    }

    static {
      isCrypto = (value) => isObject(value) && #brand in value;
    }

    get subtle() {
      if (!isCrypto(this)) throw illegalInvocation();
      return subtle;
    }

    getRandomValues(array) {
      if (!isCrypto(this)) throw illegalInvocation();
      requireArguments(arguments.length, 1, 'Crypto.getRandomValues');
      if (!isView(array)) throw typeError('Crypto.getRandomValues: the argument must be a typed array');
      if (!(typedArrayName(array) in INTEGERS)) {
        throw new DOMException('The array must be one of integers', 'TypeMismatchError');
      }
      const bytes = viewOf(array);
      if (lengthOf(bytes) > QUOTA) {
        throw new QuotaExceededError(`At most ${QUOTA} bytes can be asked for at once`);
      }
      fill(bytes);
      return array;
    }

    randomUUID() {
      if (!isCrypto(this)) throw illegalInvocation();
      return uuid();
    }
  }

  expose(SubtleCrypto, 0);
  expose(Crypto, 0);
  const crypto = new Crypto(KEY);
  defineProperty(globalThis, 'crypto', { value: crypto, writable: true, configurable: true });

  add(base.exotics, {
    __proto__: null,
    has: isCrypto,
    entries: base.fieldEntries(() => {
      const fields = newList();
      add(fields, 'subtle');
      add(fields, subtle);
      return fields;
    }),
  });
}
