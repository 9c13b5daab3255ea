// base.table(data, columns, maxChars): what console.table draws, as Node does, without running guest code.
//
// The rows are the entries of `data`, the columns all properties that rows have; what is no object goes
// in a column of its own. Rows, columns and the keys looked at are limited, and what is left out is told.
(base) => {
  'use strict';
  const { inspect, native, stringOf, textWidth } = base;
  const { isData, isObject, kindOf, kinds, newList, ownData, targetOf, uncurryThis } = base.values;
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
  const MAX_KEYS = 200_000; // looked at for one table

  const getterOf = (prototype, name) => uncurryThis(Object.getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayLength = getterOf(Object.getPrototypeOf(Uint8Array.prototype), 'length');

  const INDEX = '(index)';
  const ITERATION = '(iteration index)';

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

  const columnOf = (head) => ({ __proto__: null, head, cells: newList() });

  const newTable = (...columns) => ({ __proto__: null, columns, rows: 0, omitted: '', keysLeft: MAX_KEYS });

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

  const firstIndices = (object, count) => {
    const keys = newList();
    for (let i = 0; i < count; i++) if (hasOwn(object, i)) add(keys, `${i}`);
    return keys;
  };

  /** The names of an object's enumerable properties; of a very long array only the first elements. */
  const namesOf = (table, object) => {
    const elements = elementsOf(object);
    if (elements > table.keysLeft) return firstIndices(object, min(elements, MAX_ROWS));
    const keys = ownKeys(object);
    table.keysLeft -= keys.length;
    const names = newList();
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === 'string' && isEnumerable(object, keys[i])) add(names, keys[i]);
    }
    return names;
  };

  const CLOSED = Object.freeze({ __proto__: null, depth: -1, maxArrayLength: 3, breakLength: Infinity });
  const SHALLOW = Object.freeze({ __proto__: null, depth: 0, maxArrayLength: 3, breakLength: Infinity });

  /** A value as the text of a cell: objects with more than two properties are only named. */
  const cellText = (table, value) => {
    const object = typeof value === 'object' && value !== null ? behind(value) : null;
    const isOpen = object === null || isArray(object) || (table.keysLeft > 0 && namesOf(table, object).length <= 2);
    return inspect(value, isOpen ? SHALLOW : CLOSED);
  };

  const propertyText = (table, object, key) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (descriptor === undefined) return '';
    return isData(descriptor) ? cellText(table, descriptor.value) : accessorText(descriptor);
  };

  const pairsTable = (forEach) => {
    const table = newTable(columnOf(ITERATION), columnOf('Key'), columnOf('Values'));
    let unlisted = 0;
    forEach((key, value) => {
      const row = table.rows;
      if (row === MAX_ROWS) {
        unlisted += 1;
        return;
      }
      table.columns[0].cells[row] = `${row}`;
      table.columns[1].cells[row] = cellText(table, key);
      table.columns[2].cells[row] = cellText(table, value);
      table.rows += 1;
    });
    omit(table, unlisted, 'more row');
    return table;
  };

  const itemsTable = (forEach) => {
    const table = newTable(columnOf(ITERATION), columnOf('Values'));
    let unlisted = 0;
    forEach((value) => {
      const row = table.rows;
      if (row === MAX_ROWS) {
        unlisted += 1;
        return;
      }
      table.columns[0].cells[row] = `${row}`;
      table.columns[1].cells[row] = cellText(table, value);
      table.rows += 1;
    });
    omit(table, unlisted, 'more row');
    return table;
  };

  const iteratorTable = (iterator) => {
    const rest = native(5, iterator);
    const isPairs = kindOf(iterator) === kinds.MAP_ITERATOR && native(8, iterator) === 1;
    if (!isPairs) {
      return itemsTable((visit) => {
        for (let i = 0; i < rest.length; i++) visit(rest[i]);
      });
    }
    return pairsTable((visit) => {
      for (let i = 0; i < rest.length; i += 2) visit(rest[i], rest[i + 1]);
    });
  };

  /** The names of the columns that the caller wants; undefined for all. */
  const chosenColumns = (chosen) => {
    if (chosen === undefined) return undefined;
    const list = behind(chosen);
    if (!isArray(list)) throw new CapturedTypeError('The "properties" argument must be an instance of Array');
    const names = newList();
    for (let i = 0; i < min(list.length, MAX_COLUMNS); i++) add(names, stringOf(ownData(list, i)));
    return names;
  };

  const objectTable = (data, chosen) => {
    const table = newTable(columnOf(INDEX));
    const names = namesOf(table, data);
    const columns = { __proto__: null }; // by name
    const values = columnOf('Values');
    let found = 0;
    let unlisted = 0;
    const fill = (row, item) => {
      const keys = chosen ?? namesOf(table, item);
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i];
        if (columns[key] === undefined && found === MAX_COLUMNS) {
          unlisted += 1;
          continue;
        }
        if (columns[key] === undefined) {
          columns[key] = columnOf(key);
          found += 1;
        }
        columns[key].cells[row] = isObject(item) ? propertyText(table, item, key) : '';
      }
    };
    for (; table.rows < min(names.length, MAX_ROWS) && table.keysLeft > 0; table.rows++) {
      const name = names[table.rows];
      const descriptor = getOwnPropertyDescriptor(data, name);
      const item = isData(descriptor) ? behind(descriptor.value) : undefined;
      table.columns[0].cells[table.rows] = name;
      if (isObject(item) || chosen !== undefined) fill(table.rows, item);
      else values.cells[table.rows] = propertyText(table, data, name);
    }
    const order = ownKeys(columns);
    for (let i = 0; i < order.length; i++) add(table.columns, columns[order[i]]);
    if (values.cells.length > 0) add(table.columns, values);
    omit(table, names.length - table.rows, 'more row');
    omit(table, unlisted, 'more cell');
    return table;
  };

  const tableOf = (data, chosen) => {
    switch (kindOf(data)) {
      case kinds.MAP: return pairsTable((visit) => mapForEach(data, (value, key) => visit(key, value)));
      case kinds.SET: return itemsTable((visit) => setForEach(data, (value) => visit(value)));
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
