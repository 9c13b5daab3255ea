// Function.prototype.toString for the functions of the base image: they are as much the platform's as
// V8's own, and shown alike, without their source.
(base) => {
  'use strict';
  const { isObject, uncurryThis } = base.values;
  const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const mapGet = uncurryThis(Map.prototype.get);
  const sourceOf = uncurryThis(Function.prototype.toString);

  const names = new Map(); // every function of ours that code can reach → its name

  const isOurs = (callable) => !sourceOf(callable).endsWith('{ [native code] }');

  /** Notes all functions that can be reached from `start`. */
  const explore = (start) => {
    const found = new Set([start]);
    for (const object of found) {
      if (typeof object === 'function' && isOurs(object)) names.set(object, object.name);
      for (const key of ownKeys(object)) {
        const { value, get, set } = getOwnPropertyDescriptor(object, key);
        for (const next of [value, get, set]) if (isObject(next)) found.add(next);
      }
      const prototype = getPrototypeOf(object);
      if (prototype !== null) found.add(prototype);
    }
  };

  const shown = {
    toString() {
      const name = mapGet(names, this);
      return name === undefined ? sourceOf(this) : `function ${name}() { [native code] }`;
    },
  };
  Object.defineProperty(Function.prototype, 'toString', { value: shown.toString });
  base.sourceOf = uncurryThis(shown.toString);
  explore(globalThis);
}
