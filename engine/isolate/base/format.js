// base.format(args): a console line, as Node's util.format makes it, without running guest code.
(base) => {
  'use strict';
  const { isObject, uncurryThis } = base.values;
  const { inspect, toJSON } = base;
  const { bigIntText, numberText } = base.primitives;
  const { stringify } = JSON;
  const { NaN, parseFloat, parseInt } = globalThis;
  const ToNumber = Number;
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const functionToString = uncurryThis(Function.prototype.toString);
  const slice = uncurryThis(String.prototype.slice);
  const symbolToString = uncurryThis(Symbol.prototype.toString);

  const MAX_LINE = 1 << 20; // characters

  const asNumber = (value, convert) => {
    if (typeof value === 'bigint') return bigIntText(value);
    return numberText(isObject(value) || typeof value === 'symbol' ? NaN : convert(value));
  };

  /** A value as text on one line, or few. */
  const asString = (value) => {
    switch (typeof value) {
      case 'string': return value;
      case 'number': return numberText(value);
      case 'bigint': return bigIntText(value);
      case 'symbol': return symbolToString(value);
      case 'function': return functionToString(value);
      case 'object': return value === null ? 'null' : inspect(value, SHALLOW);
      default: return `${value}`;
    }
  };

  const asJSON = (value) => {
    if (value === undefined || typeof value === 'function' || typeof value === 'symbol') return 'undefined';
    if (typeof value === 'number') return stringify(value); // NaN is null
    return toJSON(value, MAX_LINE).json ?? inspect(value);
  };

  const SHALLOW = Object.freeze({ __proto__: null, depth: 0 });
  const THOROUGH = Object.freeze({ __proto__: null, showHidden: true, depth: 4 });

  // by the placeholder's character code
  const PLACEHOLDERS = Object.freeze({
    __proto__: null,
    99: () => '', // %c: a style
    100: (value) => asNumber(value, ToNumber), // %d
    102: (value) => asNumber(value, parseFloat), // %f
    105: (value) => asNumber(value, parseInt), // %i
    106: asJSON, // %j
    111: (value) => inspect(value, THOROUGH), // %o
    79: (value) => inspect(value), // %O
    115: asString, // %s
  });
  const PERCENT = 37;

  /** { text, used }: the first argument with its placeholders filled, and how many were used. */
  const fill = (template, args) => {
    let text = '';
    let from = 0;
    let used = 1;
    for (let i = 0; i < template.length - 1; i++) {
      if (charCodeAt(template, i) !== PERCENT) continue;
      const code = charCodeAt(template, i + 1);
      const convert = PLACEHOLDERS[code];
      if (code !== PERCENT && (convert === undefined || used === args.length)) continue;
      text += slice(template, from, i) + (code === PERCENT ? '%' : convert(args[used++]));
      i += 1;
      from = i + 1;
    }
    return { __proto__: null, text: from === 0 ? template : text + slice(template, from), used };
  };

  const argumentText = (value) => (typeof value === 'string' ? value : inspect(value));

  /** A console line. `args` is an array of the base image's own; `maxChars` may be exceeded by one text. */
  base.format = (args, maxChars = MAX_LINE) => {
    if (args.length === 0) return '';
    const isTemplate = typeof args[0] === 'string' && args.length > 1;
    const { text, used } = isTemplate
      ? fill(slice(args[0], 0, maxChars), args)
      : { __proto__: null, text: slice(argumentText(args[0]), 0, maxChars), used: 1 };
    let line = text;
    for (let i = used; i < args.length && line.length < maxChars; i++) {
      line += ` ${slice(argumentText(args[i]), 0, maxChars)}`;
    }
    return line;
  };

  base.stringOf = asString;
}
