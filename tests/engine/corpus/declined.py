"""States that no snapshot can hold: none is made of them, and the session goes on."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "formats of Intl, kept": [
        """const number = new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }),
            date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeZone: 'Asia/Tokyo' }),
            collator = new Intl.Collator('de', { numeric: true }), rules = new Intl.PluralRules('en',
            { type: 'ordinal' })""",
        """const shown = [number.format(-1234.5), date.format(0), ['z10', 'ä', 'z9'].sort(collator.compare).join(),
            rules.select(2)]; const bound = number.format""",
        """shown.push(bound(1e6), date.formatToParts(86_400_000).length, number.formatRange?.(1, 2));
            const list = new Intl.ListFormat('en'), seg = new Intl.Segmenter('en', { granularity: 'word' }),
            segments = seg.segment('Two words.')[Symbol.iterator](); segments.next()""",
        """[shown.join('|'), list.format(['a', 'b', 'c']), segments.next().value.segment,
            new Date().toLocaleTimeString()]""",
    ],
    "dates of Temporal, kept": [
        """let due = Temporal.PlainDate.from('2024-01-31'), now = Temporal.Now.zonedDateTimeISO('Europe/Berlin');
            const times = [Temporal.Duration.from('P1M2DT3H'), Temporal.PlainTime.from('12:30'),
            Temporal.Instant.fromEpochMilliseconds(5)]""",
        "due = due.add(times[0]); const until = now.until(now.add({ hours: 49 }), { largestUnit: 'day' })",
        "for (let i = 0; i < 200; i++) due = due.add({ days: i % 40 }); times.push(due.toPlainYearMonth())",
        """[String(due), String(until), times.map(String).join(), due.dayOfWeek,
            Temporal.PlainDate.compare(due, '2030-01-01')]""",
    ],
    "a module of WebAssembly, kept": [
        """const module = new WebAssembly.Module(Uint8Array.fromBase64('AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags='));
            const { add } = new WebAssembly.Instance(module).exports; let sum = add(40, 2)""",
        "for (let i = 0; i < 5_000; i++) sum = add(sum, i)",
        """const memory = new WebAssembly.Memory({ initial: 1, maximum: 3 }), view = new Uint8Array(memory.buffer);
            view[9] = 7; memory.grow(1); const cell = new WebAssembly.Global({ value: 'i32', mutable: true }, sum)""",
        "cell.value++; [sum, view.length, new Uint8Array(memory.buffer)[9], cell.value, add(2 ** 31, -1)]",
    ],
    "errors whose name or message only the session's own code tells": [
        """class Named extends Error { get name() { return 'N' + this.code } code = 1 }
            const named = new Named('kept'), e = new Error('e');
            Object.defineProperty(e, 'message', { get: () => 'computed' })""",
        "const text = String(named); named.code += 10",
        "[text, named.stack.split('\\n')[0], named.code, e.stack.split('\\n')[0], e.message]",
    ],
    "stacks that the session's own code formats": [
        """const calls = [], old = new Error('before');
            Error.prepareStackTrace = (e, frames) => { calls.push(e.message);
            return frames.length + ' frames of ' + e.message }; const e = new Error('unread')""",
        """const read = new Error('read').stack; function deep(n) { return n ? deep(n - 1) : new Error('deep') }
            const d = deep(5)""",
        "[read, e.stack, d.stack, old.stack, calls.join()]",
    ],
}
