// Primitive values as text, the way Node's util.inspect writes them.
//
// No regular expressions here, nor where else a look comes by: RegExp.$1 and its like tell the guest what was
// last matched.
(base) => {
  'use strict';
  const { cut, uncurryThis } = base.values;
  const { min } = Math;
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const includes = uncurryThis(String.prototype.includes);
  const indexOf = uncurryThis(String.prototype.indexOf);
  const numberToString = uncurryThis(Number.prototype.toString);
  const padStart = uncurryThis(String.prototype.padStart);
  const repeat = uncurryThis(String.prototype.repeat);
  const slice = uncurryThis(String.prototype.slice);
  const symbolToString = uncurryThis(Symbol.prototype.toString);
  const toUpperCase = uncurryThis(String.prototype.toUpperCase);

  const plural = (count, noun) => `${count} ${noun}${count > 1 ? 's' : ''}`;

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

  const isLetter = (code) => (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95; // or _
  const isDigit = (code) => code >= 48 && code <= 57;

  /** Whether a key may stand without quotes. */
  const isIdentifier = (text) => {
    if (text === '' || !isLetter(charCodeAt(text, 0))) return false;
    for (let i = 1; i < text.length; i++) {
      const code = charCodeAt(text, i);
      if (!isLetter(code) && !isDigit(code)) return false;
    }
    return true;
  };

  /** A string in the quotes that need the fewest escapes. */
  const quote = (text) => {
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

  // A BigInt may have hundreds of millions of digits; the time to find them grows faster than that.
  const MAX_BITS = 200_000n;
  const bigIntText = (number) => {
    const rest = number >> MAX_BITS;
    return rest === 0n || rest === -1n ? `${number}n` : '[BigInt of more than 60205 digits]';
  };

  const symbolText = (ctx, symbol) => cut(symbolToString(symbol), ctx.maxNameLength);

  const primitiveText = (ctx, value) => {
    switch (typeof value) {
      case 'string': return stringText(ctx, value);
      case 'number': return numberText(value);
      case 'bigint': return bigIntText(value);
      case 'symbol': return symbolText(ctx, value);
      default: return `${value}`; // undefined, null, a boolean
    }
  };

  base.primitives = Object.freeze({
    __proto__: null,
    bigIntText,
    escape,
    isIdentifier,
    numberText,
    plural,
    primitiveText,
    quote,
    symbolText,
  });
}
