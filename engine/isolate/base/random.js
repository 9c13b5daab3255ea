// Math.random over the execution's own generator.
(base) => {
  'use strict';
  const { randomFloat } = base;
  const { random } = { random: () => randomFloat() };
  Reflect.defineProperty(Math, 'random', { value: random }); // the other attributes stay
}
