// TextEncoder and TextDecoder (https://encoding.spec.whatwg.org) over @exodus/bytes. The legacy encodings of
// several bytes (Big5, Shift_JIS and the like) are not there: their tables would be half of the base image.
(base) => {
  'use strict';
  const { isObject, newList } = base.values;
  const { add } = base.inspection;
  const { expose, illegalInvocation, setField, toDictionary, toUSVString, typeError } = base.webidl;
  const { TextDecoder: Decoder, TextEncoder: Encoder } = base.libraries;
  const { typedArrayName, viewOf } = base;
  const NativeRangeError = RangeError;

  // --- TextEncoder ------------------------------------------------------------------------------

  const encoder = new Encoder();
  let isEncoder;

  class TextEncoder {
    #brand;

    static {
      isEncoder = (value) => isObject(value) && #brand in value;
    }

    get encoding() {
      if (!isEncoder(this)) throw illegalInvocation();
      return 'utf-8';
    }

    encode(input = '') {
      if (!isEncoder(this)) throw illegalInvocation();
      return encoder.encode(toUSVString(input));
    }

    encodeInto(source, destination) {
      if (!isEncoder(this)) throw illegalInvocation();
      const text = toUSVString(source);
      if (typedArrayName(destination) !== 'Uint8Array') {
        throw typeError('TextEncoder.encodeInto: the destination must be a Uint8Array');
      }
      const { read, written } = encoder.encodeInto(text, viewOf(destination));
      return { read, written };
    }
  }

  // --- TextDecoder ------------------------------------------------------------------------------

  const UNSUPPORTED = Object.freeze({
    __proto__: null, big5: 1, 'euc-jp': 1, 'euc-kr': 1, gb18030: 1, gbk: 1, 'iso-2022-jp': 1, shift_jis: 1,
  });

  const unsupported = (label) => new NativeRangeError(`The "${label}" encoding is not supported`);

  const makeDecoder = (label, options) => {
    let decoder;
    try {
      decoder = new Decoder(label, options);
    } catch {
      throw unsupported(label);
    }
    if (decoder.encoding in UNSUPPORTED) throw unsupported(label);
    return decoder;
  };

  const optionsOf = (dictionary) => {
    const options = toDictionary(dictionary, 'TextDecoder constructor');
    return options === null ? {} : { fatal: !!options.fatal, ignoreBOM: !!options.ignoreBOM };
  };

  /** What Node throws. */
  const invalidData = (encoding) => {
    const error = typeError(`The encoded data was not valid for encoding ${encoding}`);
    setField(error, 'code', 'ERR_ENCODING_INVALID_ENCODED_DATA');
    return error;
  };

  let isDecoder, decoderOf;

  class TextDecoder {
    #decoder;

    constructor(label = 'utf-8', options = undefined) {
      this.#decoder = makeDecoder(`${label}`, optionsOf(options));
    }

    static {
      isDecoder = (value) => #decoder in value;

      decoderOf = (value) => {
        if (!isObject(value) || !isDecoder(value)) throw illegalInvocation();
        return value.#decoder;
      };
    }

    get encoding() {
      return decoderOf(this).encoding;
    }

    get fatal() {
      return decoderOf(this).fatal;
    }

    get ignoreBOM() {
      return decoderOf(this).ignoreBOM;
    }

    decode(input = undefined, options = undefined) {
      const decoder = decoderOf(this);
      const bytes = input === undefined ? undefined : viewOf(input, 'TextDecoder.decode');
      const dictionary = toDictionary(options, 'TextDecoder.decode');
      const stream = dictionary !== null && !!dictionary.stream;
      try {
        return decoder.decode(bytes, { stream });
      } catch (error) {
        throw decoder.fatal ? invalidData(decoder.encoding) : error;
      }
    }
  }

  expose(TextEncoder, 0);
  expose(TextDecoder, 0);

  const fieldsOf = (names, of) => base.fieldEntries((object) => {
    const fields = newList();
    for (let i = 0; i < names.length; i += 1) {
      add(fields, names[i]);
      add(fields, of(object)[names[i]]);
    }
    return fields;
  });

  add(base.exotics, { __proto__: null, has: isEncoder, entries: fieldsOf(['encoding'], () => encoder) });
  add(base.exotics, {
    __proto__: null, has: isDecoder, entries: fieldsOf(['encoding', 'fatal', 'ignoreBOM'], decoderOf),
  });
}
