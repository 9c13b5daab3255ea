// base.table(data, columns, maxChars): what console.table draws, as Node does, without running guest code.
//
// The rows are the entries of `data`, the columns all properties that rows have; what is no object goes
// in a column of its own. Rows, columns and the keys looked at are limited, and what is left out is told.
(base) => {
  'use strict';
  const { inspector, native, stringOf, textWidth } = base;
  const { cut, isData, isObject, kindOf, kinds, newList, ownData, targetOf, uncurryThis } = base.values;
  const { plural } = base.primitives;
  const { accessorText, add } = base.inspection;
  const { getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { isArray } = Array;
  const { hasOwn } = Object;
  const { max, min } = Math;
  const CapturedTypeError = TypeError;
  const isEnumerable = uncurryThis(Object.prototype.propertyIsEnumerable);
  const repeat = uncurryThis(String.prototype.repeat);
  const mapForEach = uncurryThis(Map.prototype.forEach);
  const setForEach = uncurryThis(Set.prototype.forEach);

  const MAX_ROWS = 1_000;
  const MAX_COLUMNS = 100;
  const MAX_HEAD = 1_000; // characters, of a column's or a row's name
  const MAX_KEYS = 200_000; // looked at for one table
  const CELLS = Object.freeze({ __proto__: null, maxArrayLength: 3, maxChars: 1 << 20, breakLength: Infinity });

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayLength = getterOf(Object.getPrototypeOf(Uint8Array.prototype), 'length');

  // --- drawing ----------------------------------------------------------------------------------

  const cellOf = (column, row) => column.cells[row] ?? '';

  const widthsOf = (columns, rows) => {
    const widths = newList();
    for (let i = 0; i < columns.length; i++) {
      let width = textWidth(columns[i].head);
      for (let row = 0; row < rows; row++) width = max(width, textWidth(cellOf(columns[i], row)));
      add(widths, width);
    }
    return widths;
  };

  const rule = (widths, left, middle, right) => {
    let text = left;
    for (let i = 0; i < widths.length; i++) text += (i === 0 ? '' : middle) + repeat('─', widths[i] + 2);
    return text + right;
  };

  const line = (columns, widths, textOf) => {
    let text = '';
    for (let i = 0; i < columns.length; i++) {
      const cell = textOf(columns[i]);
      text += `│ ${cell}${repeat(' ', widths[i] - textWidth(cell))} `;
    }
    return `${text}│`;
  };

  const draw = ({ columns, rows, omitted }, maxChars) => {
    const widths = widthsOf(columns, rows);
    let text = `${rule(widths, '┌', '┬', '┐')}\n${line(columns, widths, (column) => column.head)}\n`;
    text += `${rule(widths, '├', '┼', '┤')}\n`;
    for (let row = 0; row < rows && text.length <= maxChars; row++) {
      text += `${line(columns, widths, (column) => cellOf(column, row))}\n`;
    }
    text += rule(widths, '└', '┴', '┘');
    return omitted === '' ? text : `${text}\n${omitted}`;
  };

  // --- reading ----------------------------------------------------------------------------------

  const columnOf = (head) => ({ __proto__: null, head: cut(head, MAX_HEAD), cells: newList() });

  /** An empty table: its columns so far, then those of the rows' properties, by name. */
  const newTable = (firstHead) => {
    const columns = newList();
    add(columns, columnOf(firstHead));
    return {
      __proto__: null,
      columns,
      byName: { __proto__: null },
      named: 0, // columns in byName
      rows: 0,
      omitted: '',
      keysLeft: MAX_KEYS,
      inspect: inspector(CELLS),
    };
  };

  const omit = (table, count, noun) => {
    if (count > 0) table.omitted += `${table.omitted === '' ? '' : '\n'}... ${plural(count, noun)}`;
  };

  /** The object that a Proxy stands for, or the value itself; null for a revoked one. */
  const behind = (value) => (isObject(value) && kindOf(value) === kinds.PROXY ? targetOf(value) : value);

  /** How many elements or characters an object has under keys 0, 1, …: an array, or what is like one. */
  const elementsOf = (object) => {
    if (isArray(object)) return object.length;
    const kind = kindOf(object);
    if (kind === kinds.TYPED_ARRAY) return typedArrayLength(object);
    return kind === kinds.BOXED ? (ownData(object, 'length') ?? 0) : 0;
  };

  const noNames = () => {
    const names = newList();
    names.unlisted = 0;
    return names;
  };

  const firstIndices = (table, object, elements) => {
    const names = noNames();
    const count = min(elements, MAX_ROWS);
    table.keysLeft -= count;
    names.unlisted = elements - count;
    for (let i = 0; i < count; i++) if (hasOwn(object, i)) add(names, `${i}`);
    return names;
  };

  /** The names of an object's enumerable properties; of a very long array only the first elements. */
  const namesOf = (table, object) => {
    const elements = elementsOf(object);
    if (elements > table.keysLeft) return firstIndices(table, object, elements);
    const keys = ownKeys(object);
    table.keysLeft -= keys.length;
    const names = noNames();
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === 'string' && isEnumerable(object, keys[i])) add(names, keys[i]);
    }
    return names;
  };

  /** A value as the text of a cell: objects with more than two properties are only named. */
  const cellText = (table, value) => {
    const object = typeof value === 'object' && value !== null ? behind(value) : null;
    const isList = object === null || isArray(object) || kindOf(object) === kinds.TYPED_ARRAY;
    const isOpen = isList || (table.keysLeft > 0 && namesOf(table, object).length <= 2);
    return table.inspect(value, isOpen ? 0 : -1);
  };

  const propertyText = (table, object, key) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (descriptor === undefined) return '';
    return isData(descriptor) ? cellText(table, descriptor.value) : accessorText(descriptor);
  };

  // --- what is iterated over ----------------------------------------------------------------------

  const iterated = (isPairs, forEach) => {
    const table = newTable('(iteration index)');
    if (isPairs) add(table.columns, columnOf('Key'));
    add(table.columns, columnOf('Values'));
    let unlisted = 0;
    forEach((...values) => {
      const row = table.rows;
      if (row === MAX_ROWS) {
        unlisted += 1;
        return;
      }
      table.rows += 1;
      table.columns[0].cells[row] = `${row}`;
      for (let i = 0; i < values.length; i++) table.columns[i + 1].cells[row] = cellText(table, values[i]);
    });
    omit(table, unlisted, 'more row');
    return table;
  };

  const iteratorTable = (iterator) => {
    const rest = native(5, iterator);
    const isPairs = kindOf(iterator) === kinds.MAP_ITERATOR && native(8, iterator) === 1;
    return iterated(isPairs, (visit) => {
      if (!isPairs) for (let i = 0; i < rest.length; i++) visit(rest[i]);
      else for (let i = 0; i < rest.length; i += 2) visit(rest[i], rest[i + 1]);
    });
  };

  // --- what has properties ------------------------------------------------------------------------

  /** The names of the columns that the caller wants; undefined for all. */
  const chosenColumns = (chosen) => {
    if (chosen === undefined) return undefined;
    const list = behind(chosen);
    if (!isArray(list)) throw new CapturedTypeError('The "properties" argument must be an instance of Array');
    const names = noNames();
    for (let i = 0; i < min(list.length, MAX_COLUMNS); i++) add(names, stringOf(ownData(list, i)));
    return names;
  };

  /** The column of that name, made if there is room; else undefined. */
  const namedColumn = (table, name) => {
    if (table.byName[name] === undefined && table.named < MAX_COLUMNS) {
      table.byName[name] = columnOf(name);
      table.named += 1;
    }
    return table.byName[name];
  };

  /** Fills a row with the properties of `item`; says how many have no column. */
  const fillRow = (table, row, item, names) => {
    let { unlisted } = names;
    for (let i = 0; i < names.length; i++) {
      const column = namedColumn(table, names[i]);
      if (column === undefined) unlisted += 1;
      else column.cells[row] = isObject(item) ? propertyText(table, item, names[i]) : '';
    }
    return unlisted;
  };

  const objectTable = (data, chosen) => {
    const table = newTable('(index)');
    const values = columnOf('Values');
    const names = namesOf(table, data);
    let unlisted = 0;
    for (; table.rows < min(names.length, MAX_ROWS) && table.keysLeft > 0; table.rows++) {
      const name = names[table.rows];
      const descriptor = getOwnPropertyDescriptor(data, name);
      const item = isData(descriptor) ? behind(descriptor.value) : undefined;
      table.columns[0].cells[table.rows] = cut(name, MAX_HEAD);
      if (isObject(item)) unlisted += fillRow(table, table.rows, item, chosen ?? namesOf(table, item));
      else if (chosen !== undefined) fillRow(table, table.rows, item, chosen);
      else values.cells[table.rows] = propertyText(table, data, name);
    }
    const order = ownKeys(table.byName);
    for (let i = 0; i < order.length; i++) add(table.columns, table.byName[order[i]]);
    if (values.cells.length > 0) add(table.columns, values);
    omit(table, names.length - table.rows + names.unlisted, 'more row');
    omit(table, unlisted, 'more cell');
    return table;
  };

  const tableOf = (data, chosen) => {
    switch (kindOf(data)) {
      case kinds.MAP: return iterated(true, (visit) => mapForEach(data, (value, key) => visit(key, value)));
      case kinds.SET: return iterated(false, (visit) => setForEach(data, (value) => visit(value)));
      case kinds.MAP_ITERATOR:
      case kinds.SET_ITERATOR: return iteratorTable(data);
      default: return objectTable(data, chosenColumns(chosen));
    }
  };

  /**
   * The table as text, hardly longer than `maxChars`; null for what has no rows: anything but an object.
   * Throws a TypeError if `columns` is neither undefined nor an array.
   */
  base.table = (data, columns, maxChars) => {
    const object = typeof data === 'object' && data !== null ? behind(data) : null;
    return object === null || typeof object === 'function' ? null : draw(tableOf(object, columns), maxChars);
  };
}
