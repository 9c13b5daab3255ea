// Objects of classes that keep their state out of sight, such as the web's: how they are recognized and
// what is listed of them. A file that makes such a class adds { has, entries } to base.exotics:
//   has(object)                 whether it is one, by a private field or a WeakMap, never by asking it
//   entries(ctx, object, level) the texts to list before its properties, no guest code may run; or null
//   omits                       the key of a property that is not listed; absent where all are
//   isEmpty(object)             whether there is nothing to list; absent where there always is
(base) => {
  'use strict';
  const { newList } = base.values;
  const { add, charge, indented, isSpent } = base.inspection;

  base.exotics = newList(); // each without a prototype

  /**
   * What describes an object of such a class; undefined for any other. The latest comes first: a class
   * is added after the one that it extends.
   */
  base.exoticOf = (object) => {
    for (let i = base.exotics.length - 1; i >= 0; i--) {
      if (base.exotics[i].has(object)) return base.exotics[i];
    }
    return undefined;
  };

  /** `entries` that lists "name: value" of the array [name, value, name, value, …] that `read` makes. */
  base.fieldEntries = (read) => (ctx, object, level) => {
    const fields = read(object);
    const output = newList();
    for (let i = 0; i < fields.length && !isSpent(ctx); i += 2) {
      const name = charge(ctx, fields[i]);
      add(output, `${name}: ${indented(ctx, fields[i + 1], level)}`);
    }
    return output;
  };
}
