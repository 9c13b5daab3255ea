// The guest's console, and base.console, the way of its lines to the client.
//
// base.format(args) makes a line as Node's util.format does, without running guest code.
(base) => {
  'use strict';
  const { isObject, kindOf, kinds, ownData, uncurryThis } = base.values;
  const { inspect, native, toJSON } = base;
  const { bigIntText, numberText } = base.primitives;
  const { stringify } = JSON;
  const { NaN, parseFloat, parseInt } = globalThis;
  const ToNumber = Number;
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const exec = uncurryThis(RegExp.prototype.exec);
  const functionToString = uncurryThis(Function.prototype.toString);
  const slice = uncurryThis(String.prototype.slice);
  const symbolToString = uncurryThis(Symbol.prototype.toString);
  const toWellFormed = uncurryThis(String.prototype.toWellFormed);

  // --- format -----------------------------------------------------------------------------------

  const MAX_LINE = 1 << 20; // characters

  const asNumber = (value, convert) => {
    if (typeof value === 'bigint') return bigIntText(value);
    return numberText(isObject(value) || typeof value === 'symbol' ? NaN : convert(value));
  };

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

  // --- the sink ---------------------------------------------------------------------------------

  const SENT_AT_ONCE = 64; // lines
  const CHUNK = 4_096; // characters
  const MAX_WAIT = 20; // milliseconds
  const LINE_COST = 32; // bytes of the limit that every line takes beside its text
  const CUT_MARK = '… [console limit reached]';
  const NON_ASCII = /[^\x00-\x7f]/;

  let room = MAX_LINE; // bytes that may still be written
  let dropped = 0; // lines
  let sent = 0; // lines
  let pending = ''; // JSON of lines not sent yet, joined by commas
  let sentAt = 0; // when lines were last sent

  const now = () => (base.realNow === undefined ? sentAt : base.realNow());

  const send = () => {
    if (pending === '') return;
    const json = `[${pending}]`;
    pending = '';
    native(0, json);
  };

  const queue = (level, text) => {
    pending += `${pending === '' ? '' : ','}["${level}",${stringify(text)}]`;
    sent += 1;
    if (sent <= SENT_AT_ONCE) {
      send();
      if (sent === SENT_AT_ONCE) sentAt = now();
      return;
    }
    const time = now();
    if (pending.length < CHUNK && time - sentAt < MAX_WAIT) return;
    sentAt = time;
    send();
  };

  /** Bytes of the code point at `i` of a well-formed string, in UTF-8. */
  const bytesAt = (text, i) => {
    const code = charCodeAt(text, i);
    if (code < 0x80) return 1;
    if (code < 0x800) return 2;
    return code >= 0xd800 && code <= 0xdbff ? 4 : 3;
  };

  /** { end, bytes }: how much of a well-formed string fits in `limit` bytes of UTF-8. */
  const fit = (text, limit) => {
    if (text.length <= limit && exec(NON_ASCII, text) === null) {
      return { __proto__: null, end: text.length, bytes: text.length };
    }
    let bytes = 0;
    let end = 0;
    while (end < text.length) {
      const size = bytesAt(text, end);
      if (bytes + size > limit) break;
      bytes += size;
      end += size === 4 ? 2 : 1;
    }
    return { __proto__: null, end, bytes };
  };

  /** Adds a line, as far as there is room: it takes LINE_COST, too, so that empty lines are not endless. */
  const write = (level, text) => {
    if (room <= 0) {
      dropped += 1;
      return;
    }
    // no more characters than bytes are left can be shown; one more tells that it was too long
    const line = toWellFormed(text.length > room ? slice(text, 0, room + 1) : text);
    const { end, bytes } = fit(line, room > LINE_COST ? room - LINE_COST : 0);
    if (end === line.length) {
      room -= bytes + LINE_COST;
      queue(level, line);
    } else {
      room = 0;
      queue(level, slice(line, 0, end) + CUT_MARK);
    }
  };

  base.console = Object.freeze({
    __proto__: null,
    /** Begins an execution that may write `maxBytes`: UTF-8, and LINE_COST for each line. */
    reset(maxBytes) {
      room = maxBytes;
      dropped = 0;
      sent = 0;
      pending = '';
      sentAt = 0;
    },
    write,
    flush: send,
    /** Lines that were left out as a whole because there was no room. */
    dropped: () => dropped,
  });

  // --- globalThis.console -----------------------------------------------------------------------

  const print = (level, args) => {
    // once there is no room a line costs nothing but its count
    if (room <= 0) dropped += 1;
    else write(level, base.format(args, room + 1));
  };

  /** `console.dir`'s options as inspect's; getters are not asked. */
  const dirOptions = (options) => {
    const read = { __proto__: null };
    if (!isObject(options) || kindOf(options) === kinds.PROXY) return read;
    const depth = ownData(options, 'depth');
    if (typeof depth === 'number' || depth === null) read.depth = depth;
    read.showHidden = ownData(options, 'showHidden') === true;
    return read;
  };

  base.installConsole = () => {
    const guestConsole = {
      log(...args) { print('log', args); },
      info(...args) { print('info', args); },
      warn(...args) { print('warn', args); },
      error(...args) { print('error', args); },
      debug(...args) { print('debug', args); },
      dir(value, options) { if (room > 0) write('log', inspect(value, dirOptions(options))); else dropped += 1; },
      assert(condition, ...args) {
        if (condition) return;
        write('warn', args.length === 0 ? 'Assertion failed' : `Assertion failed: ${base.format(args, room + 1)}`);
      },
    };
    Object.defineProperty(guestConsole, Symbol.toStringTag, { value: 'console', configurable: true });
    Object.defineProperty(globalThis, 'console', {
      value: guestConsole, writable: true, enumerable: false, configurable: true,
    });
  };
  base.installConsole();
}
