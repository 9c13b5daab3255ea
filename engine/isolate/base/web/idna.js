// base.domainToASCII(domain): Unicode domain names as URLs have them (UTS #46, https://unicode.org/reports/tr46/,
// with CheckBidi and CheckJoiners, not transitional).
//
// The standard's table takes up 240 kB as a library. Nearly all of it follows from Unicode properties that
// the language has, by the rules from which the standard derives it; what does not is listed here.
// Characters that are newer than V8's Unicode data are unassigned, and so disallowed.
(base) => {
  'use strict';
  const { uncurryThis } = base.values;
  const { punycode } = base.libraries;
  const { idnaData } = base;
  const codePointAt = uncurryThis(String.prototype.codePointAt);
  const normalize = uncurryThis(String.prototype.normalize);
  const replace = uncurryThis(String.prototype.replace);
  const slice = uncurryThis(String.prototype.slice);
  const split = uncurryThis(String.prototype.split);
  const startsWith = uncurryThis(String.prototype.startsWith);
  const toLowerCase = uncurryThis(String.prototype.toLowerCase);
  const toUpperCase = uncurryThis(String.prototype.toUpperCase);
  const exec = uncurryThis(RegExp.prototype.exec);
  const test = (pattern, text) => exec(pattern, text) !== null;
  const { parseInt } = Number;

  const NON_ASCII = /[^\0-\x7f]/;
  const MARK = /^\p{M}/u;

  // --- the status of a character ----------------------------------------------------------------

  const DEVIATION = /^[\u00df\u03c2\u200c\u200d]$/; // kept as they are
  // of these the standard decides otherwise than their properties would
  const BANNED =
    /^[\p{Cn}\u061c\u200e\u200f\u2024-\u2026\u202a-\u202e\u2066-\u2069\u2488-\u249b\u2ff0-\u2fff\u31ef\u33c2\u33c7\u33d8\ufe12\ufe19\ufe30\ufe52\ufffc\ufffd\u{1f100}\u{e0001}\u{e0020}-\u{e007f}]$/u;
  const CASEFOLDS = /^\p{Changes_When_NFKC_Casefolded}$/u;
  const NOT_GRAPHIC = /^[[\p{C}\p{Z}]--[\0-\x7f]]$/v;
  const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;
  const CHEROKEE = /^\p{Script=Cherokee}$/u; // folds to upper case
  const OTHERWISE = { __proto__: null, '\u1e9e': '\u00df', '\u3002': '.', '\uff61': '.', '\u{1d6a4}': '\u0131' };

  const foldOnce = (text) => {
    const folded = toLowerCase(toUpperCase(normalize(text, 'NFKC')));
    return normalize(replace(folded, IGNORABLE, ''), 'NFKC');
  };

  const fold = (character) => {
    if (character in OTHERWISE) return OTHERWISE[character];
    return test(CHEROKEE, character) ? toUpperCase(character) : foldOnce(foldOnce(character));
  };

  const isMapped = (character) =>
    (character in OTHERWISE || test(CASEFOLDS, character)) && !test(BANNED, character) && !test(DEVIATION, character);

  const isValid = (character) =>
    test(DEVIATION, character) ||
    !(character in OTHERWISE || test(CASEFOLDS, character) || test(BANNED, character) || test(NOT_GRAPHIC, character));

  // --- classes of characters --------------------------------------------------------------------

  /** What finds a character's class in runs as vendor/build.mjs writes them. */
  const finder = (text) => {
    let ends = null; // made of the text when first asked
    let classes = '';

    const unpack = () => {
      ends = { __proto__: null };
      const run = /([0-9a-z]+)([A-Z])/y;
      let end = 0;
      for (let match = exec(run, text); match !== null; match = exec(run, text)) {
        end += parseInt(match[1], 36);
        ends[classes.length] = end;
        classes += match[2];
      }
    };

    return (character) => {
      if (ends === null) unpack();
      const point = codePointAt(character, 0);
      let low = 0;
      let high = classes.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (ends[middle] > point) high = middle;
        else low = middle + 1;
      }
      return classes[low];
    };
  };

  const bidiClass = finder(idnaData.bidi); // of RFC 5893; R is R or AL, N is ES, CS, ET, ON or BN
  const joiningType = finder(idnaData.joining);
  const viramaClass = finder(idnaData.virama);

  // --- labels -----------------------------------------------------------------------------------

  const charactersOf = (text) => {
    const characters = { __proto__: null, length: 0 };
    for (let i = 0; i < text.length; i += characters[characters.length - 1].length) {
      const isPair = codePointAt(text, i) > 0xffff;
      characters[characters.length] = slice(text, i, isPair ? i + 2 : i + 1);
      characters.length += 1;
    }
    return characters;
  };

  const ZWNJ = '\u200c', ZWJ = '\u200d';

  /** Whether letters that join stand on both sides of the joiner, with transparent ones between. */
  const isBetweenJoining = (characters, index) => {
    let before = index - 1;
    while (before >= 0 && joiningType(characters[before]) === 'T') before -= 1;
    if (before < 0 || !test(/[LD]/, joiningType(characters[before]))) return false;
    let after = index + 1;
    while (after < characters.length && joiningType(characters[after]) === 'T') after += 1;
    return after < characters.length && test(/[RD]/, joiningType(characters[after]));
  };

  /** The rules of RFC 5892, appendix A, for the character at that index. */
  const isJoinerAllowed = (characters, index) => {
    const character = characters[index];
    if (character !== ZWNJ && character !== ZWJ) return true;
    if (index > 0 && viramaClass(characters[index - 1]) === 'V') return true;
    return character === ZWNJ && isBetweenJoining(characters, index);
  };

  const bidiClasses = (characters) => {
    let classes = '';
    for (let i = 0; i < characters.length; i += 1) classes += bidiClass(characters[i]);
    return classes;
  };

  // RFC 5893, section 2, over the classes of a label's characters
  const RIGHT_TO_LEFT = /^R[RAENM]*$/;
  const ENDS_RIGHT_TO_LEFT = /[RAE]M*$/;
  const ARABIC_NUMBER = /A/;
  const EUROPEAN_NUMBER = /E/;
  const LEFT_TO_RIGHT = /^L(?:[LENM]*[LE])?M*$/;

  const isBidiAllowed = (characters) => {
    const classes = bidiClasses(characters);
    if (test(LEFT_TO_RIGHT, classes)) return true;
    if (test(ARABIC_NUMBER, classes) && test(EUROPEAN_NUMBER, classes)) return false;
    return test(RIGHT_TO_LEFT, classes) && test(ENDS_RIGHT_TO_LEFT, classes);
  };

  const isLabelValid = (label, isBidi) => {
    if (label === '') return true;
    if (normalize(label, 'NFC') !== label || startsWith(label, 'xn--') || test(MARK, label)) return false;
    const characters = charactersOf(label);
    for (let i = 0; i < characters.length; i += 1) {
      if (characters[i] === '.' || !isValid(characters[i]) || !isJoinerAllowed(characters, i)) return false;
    }
    return !isBidi || isBidiAllowed(characters);
  };

  /** A label in Unicode; null if it is wrongly encoded. */
  const decoded = (label) => {
    if (!startsWith(label, 'xn--')) return label;
    if (test(NON_ASCII, label)) return null;
    try {
      const text = punycode.decode(slice(label, 4));
      return test(NON_ASCII, text) ? text : null;
    } catch {
      return null; // the library throws a RangeError for what is no Punycode
    }
  };

  // --- domains ----------------------------------------------------------------------------------

  const mapped = (domain) => {
    const characters = charactersOf(domain);
    let text = '';
    for (let i = 0; i < characters.length; i += 1) {
      text += isMapped(characters[i]) ? fold(characters[i]) : characters[i];
    }
    return normalize(text, 'NFC');
  };

  /** Whether the text has a character that is written from right to left, or an Arabic number. */
  const hasRightToLeft = (text) => test(/[RA]/, bidiClasses(charactersOf(text)));

  /** The domain in lower-case ASCII, its other labels in Punycode; null if it is not valid. */
  base.domainToASCII = (domain) => {
    const labels = split(mapped(domain), '.');
    let isBidi = false;
    for (let i = 0; i < labels.length; i += 1) {
      const label = decoded(labels[i]);
      if (label === null) return null;
      labels[i] = label;
      isBidi ||= hasRightToLeft(label);
    }
    let ascii = '';
    for (let i = 0; i < labels.length; i += 1) {
      if (!isLabelValid(labels[i], isBidi)) return null;
      if (i > 0) ascii += '.';
      ascii += test(NON_ASCII, labels[i]) ? `xn--${punycode.encode(labels[i])}` : labels[i];
    }
    return ascii;
  };
}
