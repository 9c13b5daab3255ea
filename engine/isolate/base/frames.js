// base.withoutSharedFrames(stack, causeStack): a stack whose frames that its cause has, too, are only
// counted, as Node does: the cause is listed below with all of them.
(base) => {
  'use strict';
  const { newList, uncurryThis } = base.values;
  const { min } = Math;
  const indexOf = uncurryThis(String.prototype.indexOf);
  const slice = uncurryThis(String.prototype.slice);

  const MIN_SHARED = 4; // lines; the first and the last of them are shown

  const linesOf = (text) => {
    const lines = newList();
    let from = 0;
    for (let at = indexOf(text, '\n'); at !== -1; at = indexOf(text, '\n', from)) {
      lines[lines.length] = slice(text, from, at);
      from = at + 1;
    }
    lines[lines.length] = slice(text, from);
    return lines;
  };

  const positionOf = (lines, line) => {
    for (let i = 0; i < lines.length; i++) if (lines[i] === line) return i;
    return -1;
  };

  /** How many lines from `start` on are also in `others`, one after the other. */
  const sharedFrom = (lines, start, others) => {
    const position = positionOf(others, lines[start]);
    if (position === -1) return 0;
    const limit = min(lines.length - start, others.length - position);
    let count = 1;
    while (count < limit && lines[start + count] === others[position + count]) count += 1;
    return count;
  };

  base.withoutSharedFrames = (stack, causeStack) => {
    const frames = indexOf(causeStack, '\n    at');
    if (frames === -1) return stack;
    const others = linesOf(slice(causeStack, frames + 1));
    const lines = linesOf(stack);
    for (let start = 0; start <= lines.length - MIN_SHARED; start++) {
      const count = sharedFrom(lines, start, others);
      if (count < MIN_SHARED) continue;
      let text = lines[0];
      for (let i = 1; i < lines.length; i++) {
        if (i <= start || i >= start + count - 1) text += `\n${lines[i]}`;
        else if (i === start + 1) text += `\n    ... ${count - 2} lines matching cause stack trace ...`;
      }
      return text;
    }
    return stack;
  };
}
