// atob and btoa (https://html.spec.whatwg.org/#atob) over V8's own base64. Its decoder takes what the
// standard's "forgiving" one takes: white space, no padding, bits left over.
(base) => {
  'use strict';
  const { uncurryThis } = base.values;
  const { requireArguments } = base.webidl;
  const { DOMException } = base;
  const { isomorphicDecode } = base.libraries;
  const { defineProperty } = Reflect;
  const { fromBase64 } = Uint8Array;
  const toBase64 = uncurryThis(Uint8Array.prototype.toBase64);
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const Bytes = Uint8Array;
  const decodeBase64 = uncurryThis(fromBase64);
  const LOOSE = Object.freeze({ __proto__: null, alphabet: 'base64', lastChunkHandling: 'loose' });
  const ENCODED = Object.freeze({ __proto__: null, alphabet: 'base64', omitPadding: false });

  const invalid = (message) => new DOMException(message, 'InvalidCharacterError');

  const latin1Bytes = (text) => {
    const bytes = new Bytes(text.length);
    for (let i = 0; i < text.length; i += 1) {
      const code = charCodeAt(text, i);
      if (code > 0xff) throw invalid('The string to be encoded has characters outside of Latin1');
      bytes[i] = code;
    }
    return bytes;
  };

  const decode = (text) => {
    try {
      return decodeBase64(Bytes, text, LOOSE);
    } catch {
      throw invalid('The string to be decoded is not correctly encoded');
    }
  };

  const functions = {
    atob(data) {
      requireArguments(arguments.length, 1, 'atob');
      return isomorphicDecode(decode(`${data}`));
    },
    btoa(data) {
      requireArguments(arguments.length, 1, 'btoa');
      return toBase64(latin1Bytes(`${data}`), ENCODED);
    },
  };

  for (const name of ['atob', 'btoa']) {
    defineProperty(globalThis, name, { value: functions[name], writable: true, configurable: true });
  }
}
