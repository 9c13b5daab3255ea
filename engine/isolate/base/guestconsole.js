// globalThis.console, with Node's methods and texts. Labels, counters and groups last over executions.
(base) => {
  'use strict';
  const { inspect, stringOf } = base;
  const { isObject, kindOf, kinds, newList, ownData, uncurryThis } = base.values;
  const { room, drop, write } = base.console;
  const { floor, min } = Math;
  const CapturedError = Error;
  const indexOf = uncurryThis(String.prototype.indexOf);
  const padStart = uncurryThis(String.prototype.padStart);
  const repeat = uncurryThis(String.prototype.repeat);
  const slice = uncurryThis(String.prototype.slice);
  const mapDelete = uncurryThis(Map.prototype.delete);
  const mapGet = uncurryThis(Map.prototype.get);
  const mapHas = uncurryThis(Map.prototype.has);
  const mapSet = uncurryThis(Map.prototype.set);
  const mapSize = uncurryThis(Object.getOwnPropertyDescriptor(Map.prototype, 'size').get);

  const INDENTATION = 2; // spaces for each group
  const MAX_GROUPS = 50; // that indent; deeper ones only count
  const MAX_LABELS = 1_000; // of counters, and of timers

  const counters = new Map(); // label → times counted
  const timers = new Map(); // label → tick at which it began
  let groups = 0; // open ones

  // --- lines ------------------------------------------------------------------------------------

  /** The text with every line moved right by the open groups; hardly longer than `maxChars`. */
  const indent = (text, maxChars) => {
    if (groups === 0) return text;
    const margin = repeat(' ', INDENTATION * min(groups, MAX_GROUPS));
    let indented = margin;
    let from = 0;
    for (let at = indexOf(text, '\n'); at !== -1 && indented.length <= maxChars; at = indexOf(text, '\n', from)) {
      indented += slice(text, from, at + 1) + margin;
      from = at + 1;
    }
    return indented + slice(text, from);
  };

  /** Writes what `makeText(maxChars)` answers. Once there is no room the text is not even made. */
  const print = (level, makeText) => {
    const maxChars = room() + 1;
    if (maxChars <= 1) drop();
    else write(level, indent(makeText(maxChars), maxChars));
  };

  const printArguments = (level, args) => print(level, (maxChars) => base.format(args, maxChars));

  /** As Node's process warnings: outside of groups. */
  const complain = (text) => write('warn', `Warning: ${text}`);

  // --- labels -----------------------------------------------------------------------------------

  /** Sets a label's value, or says that there are too many. */
  const keep = (labels, label, value) => {
    const isKept = mapHas(labels, label) || mapSize(labels) < MAX_LABELS;
    if (isKept) mapSet(labels, label, value);
    else complain(`console: limit of ${MAX_LABELS} labels reached`);
    return isKept;
  };

  const padded = (number, digits) => padStart(`${number}`, digits, '0');

  const durationText = (ticks) => {
    const total = floor(ticks / 10); // milliseconds
    if (total < 1_000) return `${ticks / 10}ms`;
    const milliseconds = padded(total % 1_000, 3);
    const seconds = floor(total / 1_000);
    if (seconds < 60) return `${seconds}.${milliseconds}s`;
    const minutes = floor(seconds / 60);
    const rest = `${padded(seconds % 60, 2)}.${milliseconds}`;
    if (minutes < 60) return `${minutes}:${rest} (m:ss.mmm)`;
    return `${floor(minutes / 60)}:${padded(minutes % 60, 2)}:${rest} (h:mm:ss.mmm)`;
  };

  /** Prints how long the timer runs, then `data`; false if there is none of that name. */
  const printTimer = (label, method, data) => {
    const begun = mapGet(timers, label);
    if (begun === undefined) {
      complain(`No such label '${label}' for console.${method}()`);
      return false;
    }
    const args = newList();
    args[0] = '%s: %s';
    args[1] = label;
    args[2] = durationText(base.clock.ticks() - begun);
    for (let i = 0; i < data.length; i++) args[3 + i] = data[i];
    printArguments('log', args);
    return true;
  };

  // --- trace ------------------------------------------------------------------------------------

  const FRAME = '\n    at ';

  /** The frames of the guest's code that calls; '' where they cannot be read without running some. */
  const callerFrames = () => {
    const { stack } = base.describeError(new CapturedError());
    const start = stack === null ? -1 : indexOf(stack, FRAME);
    return start === -1 ? '' : slice(stack, start);
  };

  const traceText = (args, maxChars) => {
    const message = base.format(args, maxChars);
    return `Trace${message === '' ? '' : `: ${message}`}${callerFrames()}`;
  };

  // --- dir --------------------------------------------------------------------------------------

  /** A limit among the guest's options: not negative; null is none. */
  const readLimit = (read, options, name) => {
    const value = ownData(options, name);
    if (value === null) read[name] = Infinity;
    else if (typeof value === 'number' && value >= 0) read[name] = value;
  };

  /** The guest's options as inspect's; getters are not asked. */
  const readOptions = (options) => {
    const read = { __proto__: null };
    if (!isObject(options) || kindOf(options) === kinds.PROXY) return read;
    const depth = ownData(options, 'depth');
    if (typeof depth === 'number' || depth === null) read.depth = depth;
    const compact = ownData(options, 'compact');
    if (typeof compact === 'number' || compact === false) read.compact = +compact;
    readLimit(read, options, 'breakLength');
    readLimit(read, options, 'maxArrayLength');
    readLimit(read, options, 'maxStringLength');
    read.showHidden = ownData(options, 'showHidden') === true;
    read.sorted = ownData(options, 'sorted') === true;
    return read;
  };

  // --- the object -------------------------------------------------------------------------------

  const guestConsole = {
    log(...args) { printArguments('log', args); },
    info(...args) { printArguments('info', args); },
    warn(...args) { printArguments('warn', args); },
    error(...args) { printArguments('error', args); },
    debug(...args) { printArguments('debug', args); },
    dirxml(...args) { printArguments('log', args); },
    dir(value, options) { print('log', () => inspect(value, readOptions(options))); },
    trace(...args) { print('error', (maxChars) => traceText(args, maxChars)); },
    table(data, columns) {
      print('log', (maxChars) => base.table(data, columns, maxChars) ?? base.format([data], maxChars));
    },
    assert(condition, ...args) {
      if (condition) return;
      print('warn', (maxChars) => {
        return args.length === 0 ? 'Assertion failed' : `Assertion failed: ${base.format(args, maxChars)}`;
      });
    },
    count(label = 'default') {
      const name = stringOf(label);
      const count = (mapGet(counters, name) ?? 0) + 1;
      if (keep(counters, name, count)) print('log', () => `${name}: ${count}`);
    },
    countReset(label = 'default') {
      const name = stringOf(label);
      if (!mapDelete(counters, name)) complain(`Count for '${name}' does not exist`);
    },
    time(label = 'default') {
      const name = stringOf(label);
      if (mapHas(timers, name)) complain(`Label '${name}' already exists for console.time()`);
      else keep(timers, name, base.clock.ticks());
    },
    timeLog(label = 'default', ...data) {
      printTimer(stringOf(label), 'timeLog', data);
    },
    timeEnd(label = 'default') {
      const name = stringOf(label);
      if (printTimer(name, 'timeEnd', [])) mapDelete(timers, name);
    },
    group(...args) {
      if (args.length > 0) printArguments('log', args);
      groups += 1;
    },
    groupCollapsed(...args) {
      if (args.length > 0) printArguments('log', args);
      groups += 1;
    },
    groupEnd() {
      if (groups > 0) groups -= 1;
    },
    clear() {}, // as in Node where there is no terminal
  };
  Object.defineProperty(guestConsole, Symbol.toStringTag, { value: 'console', configurable: true });
  Object.defineProperty(globalThis, 'console', {
    value: guestConsole, writable: true, enumerable: false, configurable: true,
  });
}
