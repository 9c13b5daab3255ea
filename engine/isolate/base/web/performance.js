// performance with its marks and measures (https://w3c.github.io/hr-time/, …/user-timing/). Times are
// readings of the recorded clock, in milliseconds since the session's first execution began.
(base) => {
  'use strict';
  const { isObject, newList, uncurryThis } = base.values;
  const { clock, DOMException } = base;
  const {
    expose, illegalConstructor, illegalInvocation, requireArguments, toDictionary, typeError,
  } = base.webidl;
  const { EventTarget } = base.targets;
  const { add } = base.inspection;
  const { construct, setPrototypeOf } = Reflect;
  const { prototype: ArrayPrototype } = Array;
  const { isFinite } = Number;
  const NativeRangeError = RangeError;
  const mapClear = uncurryThis(Map.prototype.clear);
  const mapDelete = uncurryThis(Map.prototype.delete);
  const mapGet = uncurryThis(Map.prototype.get);
  const mapSet = uncurryThis(Map.prototype.set);
  const sort = uncurryThis(Array.prototype.sort);

  const MAX_ENTRIES = 100_000;
  const KEY = Object.freeze({ __proto__: null }); // who has it may make entries

  let entries = newList(); // in the order in which they were made
  const markTimes = new Map(); // name → start of the latest mark

  // --- entries ----------------------------------------------------------------------------------

  let stateOf; // of an entry: its state; throws for anything else
  let isEntry;

  class PerformanceEntry {
    #state;

    static {
      isEntry = (value) => isObject(value) && #state in value;
      stateOf = (entry) => {
        if (!isEntry(entry)) throw illegalInvocation();
        return entry.#state;
      };
    }

    constructor(key = undefined, state = undefined) {
      if (key !== KEY) throw illegalConstructor();
      this.#state = state;
    }

    get name() {
      return stateOf(this).name;
    }

    get entryType() {
      return stateOf(this).type;
    }

    get startTime() {
      return stateOf(this).start;
    }

    get duration() {
      return stateOf(this).duration;
    }

    toJSON() {
      const { name, type, start, duration } = stateOf(this);
      return { name, entryType: type, startTime: start, duration };
    }
  }

  const detailOf = (entry, type) => {
    const state = stateOf(entry);
    if (state.type !== type) throw illegalInvocation();
    return state.detail;
  };

  /** A finite number that a guest gave as a time. */
  const toTime = (value, what) => {
    const time = +value;
    if (!isFinite(time)) throw typeError(`${what}: a time must be a finite number`);
    return time;
  };

  const toMarkTime = (value, what) => {
    const time = toTime(value, what);
    if (time < 0) throw typeError(`${what}: a time must not be negative`);
    return time;
  };

  const cloneDetail = (detail) => (detail == null ? null : base.structuredClone(detail));

  // Not by `super`: the guest may have put a function of its own there, and it would be given the key
  const makeEntry = (newTarget, state) => construct(PerformanceEntry, [KEY, state], newTarget);

  class PerformanceMark extends PerformanceEntry {
    constructor(name, options = undefined) {
      const what = "Failed to construct 'PerformanceMark'";
      requireArguments(arguments.length, 1, what);
      const text = `${name}`;
      const init = toDictionary(options, what);
      const detail = init?.detail;
      const at = init?.startTime;
      const start = at === undefined ? clock.now() : toMarkTime(at, what);
      const copied = cloneDetail(detail);
      return makeEntry(new.target, {
        __proto__: null, name: text, type: 'mark', start, duration: 0, detail: copied,
      });
    }

    get detail() {
      return detailOf(this, 'mark');
    }
  }

  class PerformanceMeasure extends PerformanceEntry {
    constructor() {
      throw illegalConstructor();
    }

    get detail() {
      return detailOf(this, 'measure');
    }
  }

  expose(PerformanceEntry, 0);
  expose(PerformanceMark, 1);
  expose(PerformanceMeasure, 0);

  // --- the timeline -----------------------------------------------------------------------------

  const record = (entry) => {
    if (entries.length >= MAX_ENTRIES) {
      throw new NativeRangeError(
        `performance: limit of ${MAX_ENTRIES} entries reached; use clearMarks() or clearMeasures()`,
      );
    }
    entries[entries.length] = entry;
    return entry;
  };

  /** The entries that pass, as an array for the guest: by time, those of one time as they were made. */
  const select = (passes) => {
    const selected = newList();
    for (let i = 0; i < entries.length; i++) {
      if (passes(stateOf(entries[i]))) selected[selected.length] = entries[i];
    }
    sort(selected, (a, b) => stateOf(a).start - stateOf(b).start);
    setPrototypeOf(selected, ArrayPrototype);
    return selected;
  };

  const clear = (type, name) => {
    const kept = newList();
    for (let i = 0; i < entries.length; i++) {
      const state = stateOf(entries[i]);
      const goes = state.type === type && (name === undefined || state.name === name);
      if (!goes) kept[kept.length] = entries[i];
    }
    entries = kept;
  };

  /** When the latest mark of that name was made. */
  const timeOfMark = (name) => {
    const time = mapGet(markTimes, name);
    if (time !== undefined) return time;
    throw new DOMException(`The "${name}" performance mark has not been set`, 'SyntaxError');
  };

  // --- measures ---------------------------------------------------------------------------------

  const MEASURE = "Failed to execute 'measure' on 'Performance'";

  /** The name of a mark, or a time: as it was given, converted to one of both. */
  const toNameOrTime = (value) => (typeof value === 'number' ? toMarkTime(value, MEASURE) : `${value}`);

  const timeOf = (nameOrTime) => (typeof nameOrTime === 'number' ? nameOrTime : timeOfMark(nameOrTime));

  /** { detail, duration, end, start }, each undefined where it is not given. */
  const measureOptions = (options) => {
    const { detail, duration, end, start } = options; // in the standard's order
    return {
      __proto__: null,
      detail,
      duration: duration === undefined ? undefined : toTime(duration, MEASURE),
      end: end === undefined ? undefined : toNameOrTime(end),
      start: start === undefined ? undefined : toNameOrTime(start),
    };
  };

  const checkOptions = ({ detail, duration, end, start }, endMark) => {
    const isEmpty = detail === undefined && duration === undefined && end === undefined && start === undefined;
    if (isEmpty) return;
    if (endMark !== undefined) throw typeError(`${MEASURE}: an end mark and options exclude each other`);
    if (start === undefined && end === undefined) {
      throw typeError(`${MEASURE}: the options must have start or end`);
    }
    if (start !== undefined && end !== undefined && duration !== undefined) {
      throw typeError(`${MEASURE}: start, end and duration exclude each other`);
    }
  };

  const endOf = ({ duration, end, start }, endMark) => {
    if (endMark !== undefined) return timeOf(endMark);
    if (end !== undefined) return timeOf(end);
    if (start !== undefined && duration !== undefined) return timeOf(start) + duration;
    return clock.now();
  };

  const startOf = ({ duration, end, start }) => {
    if (start !== undefined) return timeOf(start);
    return duration !== undefined && end !== undefined ? timeOf(end) - duration : 0;
  };

  // --- performance ------------------------------------------------------------------------------

  let isPerformance;

  const own = (value) => {
    if (!isPerformance(value)) throw illegalInvocation();
  };

  class Performance extends EventTarget {
    #isOne = true;

    static {
      isPerformance = (value) => isObject(value) && #isOne in value;
    }

    constructor(key = undefined) {
      if (key !== KEY) throw illegalConstructor();
      super();
    }

    get timeOrigin() {
      own(this);
      return clock.origin();
    }

    now() {
      own(this);
      return clock.now();
    }

    mark(name, options = undefined) {
      own(this);
      requireArguments(arguments.length, 1, "Failed to execute 'mark' on 'Performance'");
      const entry = record(new PerformanceMark(name, options));
      const state = stateOf(entry);
      mapSet(markTimes, state.name, state.start);
      return entry;
    }

    measure(name, startOrOptions = undefined, endMark = undefined) {
      own(this);
      requireArguments(arguments.length, 1, MEASURE);
      const text = `${name}`;
      const hasOptions = startOrOptions == null || isObject(startOrOptions);
      const given = hasOptions ? startOrOptions : { __proto__: null, start: `${startOrOptions}` };
      const options = measureOptions(given ?? { __proto__: null });
      const endName = endMark === undefined ? undefined : `${endMark}`;
      if (hasOptions) checkOptions(options, endName);
      const end = endOf(options, endName);
      const start = startOf(options);
      const detail = cloneDetail(options.detail);
      const state = { __proto__: null, name: text, type: 'measure', start, duration: end - start, detail };
      return record(makeEntry(PerformanceMeasure, state));
    }

    getEntries() {
      own(this);
      return select(() => true);
    }

    getEntriesByType(type) {
      own(this);
      requireArguments(arguments.length, 1, "Failed to execute 'getEntriesByType' on 'Performance'");
      const text = `${type}`;
      return select((state) => state.type === text);
    }

    getEntriesByName(name, type = undefined) {
      own(this);
      requireArguments(arguments.length, 1, "Failed to execute 'getEntriesByName' on 'Performance'");
      const text = `${name}`;
      const typeText = type === undefined ? undefined : `${type}`;
      return select((state) => state.name === text && (typeText === undefined || state.type === typeText));
    }

    clearMarks(name = undefined) {
      own(this);
      const text = name === undefined ? undefined : `${name}`;
      if (text === undefined) mapClear(markTimes);
      else mapDelete(markTimes, text);
      clear('mark', text);
    }

    clearMeasures(name = undefined) {
      own(this);
      clear('measure', name === undefined ? undefined : `${name}`);
    }

    toJSON() {
      own(this);
      return { timeOrigin: clock.origin() };
    }
  }

  expose(Performance, 0);
  Object.defineProperty(globalThis, 'performance', {
    value: new Performance(KEY), writable: true, enumerable: false, configurable: true,
  });

  // --- inspection -------------------------------------------------------------------------------

  const fields = (entry) => {
    const { name, type, start, duration, detail } = stateOf(entry);
    return ['name', name, 'entryType', type, 'startTime', start, 'duration', duration, 'detail', detail];
  };

  const ofPerformance = () => ['timeOrigin', clock.origin()];

  add(base.exotics, { __proto__: null, has: isEntry, entries: base.fieldEntries(fields) });
  add(base.exotics, { __proto__: null, has: isPerformance, entries: base.fieldEntries(ofPerformance) });
}
