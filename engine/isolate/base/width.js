// base.textWidth(text): the columns that a text takes in a fixed-width font, as Node reckons them.
(base) => {
  'use strict';
  const { uncurryThis } = base.values;
  const codePointAt = uncurryThis(String.prototype.codePointAt);
  const exec = uncurryThis(RegExp.prototype.exec);
  const fromCodePoint = String.fromCodePoint;
  const normalize = uncurryThis(String.prototype.normalize);
  const slice = uncurryThis(String.prototype.slice);

  const NOT_PRINTABLE_ASCII = /[^\x20-\x7e]/;
  const SOFT_HYPHEN = 0xad;
  const ZERO = /[\p{Cc}\p{Cf}\p{Me}\p{Mn}]/u;
  // what Unicode shows as emoji, and the blocks whose East Asian Width is W or F
  const DOUBLE = new RegExp(
    '[\\p{Emoji_Presentation}\u1100-\u115f\u2329\u232a\u2630-\u2637\u268a-\u268f\u2e80-\u303e\u3041-\ua4cf' +
      '\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6' +
      '\u{16fe0}-\u{18df2}\u{1aff0}-\u{1b2ff}\u{1d300}-\u{1d376}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]',
    'u',
  );

  const widthOf = (code) => {
    if (code < 0x7f) return code < 0x20 ? 0 : 1;
    const character = fromCodePoint(code);
    if (code !== SOFT_HYPHEN && exec(ZERO, character) !== null) return 0;
    return exec(DOUBLE, character) === null ? 1 : 2;
  };

  base.textWidth = (text) => {
    const first = exec(NOT_PRINTABLE_ASCII, text);
    if (first === null) return text.length;
    const rest = normalize(slice(text, first.index), 'NFC');
    let width = first.index;
    for (let i = 0; i < rest.length; i++) {
      const code = codePointAt(rest, i);
      width += widthOf(code);
      if (code > 0xffff) i += 1;
    }
    return width;
  };
}
