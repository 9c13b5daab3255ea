"""Chance comes from the execution's seed, and from nowhere else."""

from __future__ import annotations

DRAW = "Array.from({ length: 8 }, () => Math.random()).join()"


def test_a_seed_gives_its_own_sequence_again(Session):  # noqa: N803
    seed = bytes(range(16))
    first, again = (Session().run(DRAW, seed=seed).outcome.result for _ in range(2))
    other = Session().run(DRAW, seed=bytes(16)).outcome.result
    assert first == again
    assert first != other


def test_every_execution_draws_from_its_own_seed_only(Session):  # noqa: N803
    session = Session()
    session.run(DRAW, seed=bytes(range(16)))
    assert session.run(DRAW, seed=bytes(16)).outcome == Session().run(DRAW, seed=bytes(16)).outcome


def test_every_bit_of_the_seed_matters(Session):  # noqa: N803
    session = Session()
    drawn = {
        session.run("Math.random()", seed=(1 << bit).to_bytes(16, "little")).outcome.result
        for bit in range(0, 128, 8)
    }
    assert len(drawn) == 16


def test_numbers_are_even_distinct_and_use_53_bits(Session):  # noqa: N803
    code = """
      const n = 100000, buckets = new Array(64).fill(0), distinct = new Set();
      let inRange = true, fine = 0;
      for (let i = 0; i < n; i++) {
        const x = Math.random();
        inRange &&= x >= 0 && x < 1 && Number.isInteger(x * 2 ** 53);
        if ((x * 2 ** 53) % 2 === 1) fine++;
        buckets[Math.floor(x * 64)]++;
        distinct.add(x);
      }
      const expected = n / 64;
      const chiSquare = buckets.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      [inRange, distinct.size, Math.abs(fine / n - 0.5) < 0.01, chiSquare > 25 && chiSquare < 120].join()
    """
    assert Session().run(code, seed=bytes(16)).outcome.result == "'true,100000,true,true'"


def test_math_random_looks_like_the_original(evaluate):
    code = """
      const { writable, enumerable, configurable, value } = Object.getOwnPropertyDescriptor(Math, 'random');
      [writable, enumerable, configurable, value.name, value.length, 'prototype' in value].join()
    """
    assert evaluate(code) == "'true,false,true,random,0,false'"


def test_a_function_kept_in_a_snapshot_draws_from_the_seed_of_its_execution(Session):  # noqa: N803
    first = Session()
    first.run("const { random } = Math; 0")
    restored = Session(first.snapshot())
    drawn = restored.run("random()", seed=bytes(16)).outcome
    assert drawn == Session().run("Math.random()", seed=bytes(16)).outcome
