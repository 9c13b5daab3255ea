// How the entries of an object become lines, as Node's util.inspect lays them out.
//
// An object goes on one line when it holds few levels and fits; else each entry gets a line of its
// own. Arrays of more than six short entries are set in columns.
(base) => {
  'use strict';
  const { newList, uncurryThis } = base.values;
  const { textWidth } = base;
  const { floor, max, min, round, sqrt } = Math;
  const includes = uncurryThis(String.prototype.includes);
  const repeat = uncurryThis(String.prototype.repeat);

  const SEPARATOR = 2; // characters of ', '
  const MIN_TO_GROUP = 7;
  const MAX_COLUMNS = 15;
  const LINE_HEIGHT = 2.5; // a character is about that many times higher than wide
  const BIAS = 3; // characters that the padding of a column is reckoned to waste
  const SHORT = 6; // characters of an entry that is set in columns whatever the others are
  const ROOM_FOR_BRACES = 10;

  const join = (entries, separator) => {
    let text = '';
    for (let i = 0; i < entries.length; i++) text += i === 0 ? entries[i] : separator + entries[i];
    return text;
  };

  /** How many columns give about a square, within the line; 1 where columns would not help. */
  const countColumns = (ctx, lengths, entries) => {
    const count = lengths.length;
    let total = 0;
    let longest = 0;
    for (let i = 0; i < count; i++) {
      total += lengths[i] + SEPARATOR;
      longest = max(longest, lengths[i]);
    }
    const width = longest + SEPARATOR;
    const fits = width * 3 + ctx.indentation < ctx.breakLength;
    if (!fits || (total / width <= 5 && longest > SHORT)) return 1;
    // The more the entries differ in length, the narrower a typical one is than the longest.
    const biased = max(width - BIAS - sqrt(width - total / entries), 1);
    return min(
      round(sqrt(LINE_HEIGHT * biased * count) / biased),
      floor((ctx.breakLength - ctx.indentation) / width),
      ctx.compact * 4,
      MAX_COLUMNS,
    );
  };

  const columnWidths = (lengths, columns) => {
    const widths = newList();
    for (let column = 0; column < columns; column++) {
      let widest = 0;
      for (let i = column; i < lengths.length; i += columns) widest = max(widest, lengths[i]);
      widths[column] = widest + SEPARATOR;
    }
    return widths;
  };

  const row = (entries, lengths, first, end, widths, alignRight) => {
    let text = '';
    for (let i = first; i < end; i++) {
      const isLast = i === end - 1;
      const cell = isLast ? entries[i] : `${entries[i]}, `;
      const missing = widths[i - first] - lengths[i] - SEPARATOR;
      if (alignRight) text += repeat(' ', missing) + cell;
      else text += isLast ? cell : cell + repeat(' ', missing);
    }
    return text;
  };

  /** The entries as rows of columns, or as they are. */
  const group = (ctx, entries, alignRight) => {
    // "... n more items" keeps a line of its own.
    const hasMore = entries.length > ctx.maxArrayLength;
    const count = hasMore ? entries.length - 1 : entries.length;
    const lengths = newList();
    for (let i = 0; i < count; i++) lengths[i] = textWidth(entries[i]);
    const columns = countColumns(ctx, lengths, entries.length);
    if (columns <= 1) return entries;
    const widths = columnWidths(lengths, columns);
    const rows = newList();
    for (let first = 0; first < count; first += columns) {
      rows[rows.length] = row(entries, lengths, first, min(first + columns, count), widths, alignRight);
    }
    if (hasMore) rows[rows.length] = entries[count];
    return rows;
  };

  /** Whether entries, braces and base fit on one line. */
  const fitsLine = (ctx, entries, open, text) => {
    let total = entries.length * 2 + ctx.indentation + open.length + text.length + ROOM_FOR_BRACES;
    for (let i = 0; i < entries.length && total <= ctx.breakLength; i++) total += entries[i].length;
    return total <= ctx.breakLength && !includes(text, '\n');
  };

  /**
   * One object's text. `shape` has base text and braces, `level` is the depth of its entries,
   * `columns` is null for objects, else whether an array's columns are aligned right.
   */
  const layOut = (ctx, shape, entries, level, columns) => {
    const { text, open, close } = shape;
    const start = text === '' ? open : `${text} ${open}`;
    const isGrouped = columns !== null && entries.length >= MIN_TO_GROUP && ctx.compact >= 1 && ctx.compact !== true;
    const rows = isGrouped ? group(ctx, entries, columns) : entries;
    // innermost is the depth of the last object looked at: flat enough for one line or not
    const isFlat = ctx.compact === true || ctx.innermost - level < ctx.compact;
    if (rows === entries && isFlat && fitsLine(ctx, entries, open, text)) {
      const line = join(entries, ', ');
      if (!includes(line, '\n')) return `${start} ${line} ${close}`;
    }
    const newline = `\n${repeat(' ', ctx.indentation)}`;
    return `${start}${newline}  ${join(rows, `,${newline}  `)}${newline}${close}`;
  };

  base.layOut = layOut;
}
