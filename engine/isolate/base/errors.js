// Errors in words: for inspect, and as { name, message, stack } for the host.
//
// V8 formats a stack when it is first read, and that can call the guest: Error.prepareStackTrace, or
// a getter `name` or `message`. So a stack is read only where neither can happen.
(base) => {
  'use strict';
  const {
    cut, findProperty, isData, isIntrinsic, isObject, isProxy, kindOf, kinds, lineage, newList, ownData,
    uncurryThis,
  } = base.values;
  const { apply, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { isArray } = Array;
  const CapturedMap = Map;
  const CapturedError = Error;
  const endsWith = uncurryThis(String.prototype.endsWith);
  const includes = uncurryThis(String.prototype.includes);
  const indexOf = uncurryThis(String.prototype.indexOf);
  const repeat = uncurryThis(String.prototype.repeat);
  const slice = uncurryThis(String.prototype.slice);
  const startsWith = uncurryThis(String.prototype.startsWith);
  const symbolToString = uncurryThis(Symbol.prototype.toString);

  // V8's accessors of every error's own `stack`. The example's stack is read at once: an error that is
  // alive with its stack unread makes a snapshot that cannot be restored.
  const { get: stackGetter, set: stackSetter } = ((example) => {
    const accessors = Object.getOwnPropertyDescriptor(example, 'stack');
    apply(accessors.get, example, []);
    return accessors;
  })(new Error());

  const MAX_STACK = 32_768; // characters, also of a message
  const FRAME = '\n    at ';

  // --- reading ----------------------------------------------------------------------------------

  /** Whether nothing that V8 asks for a hook has one: not Error itself nor what it inherits from. */
  const isUnhooked = () => {
    for (let object = CapturedError; object !== null; object = getPrototypeOf(object)) {
      if (object !== CapturedError && isProxy(object)) return false;
      const hook = getOwnPropertyDescriptor(object, 'prepareStackTrace');
      if (hook !== undefined) return isData(hook) && typeof hook.value !== 'function';
    }
    return true;
  };

  /** findProperty, but the parts of a DOMException, for which it has getters, look like data. */
  const findPart = (error, key) => {
    const descriptor = findProperty(error, key);
    if (descriptor === undefined || isData(descriptor)) return descriptor;
    return base.domExceptionPart(error, key, descriptor.get) ?? descriptor;
  };

  /** Whether V8 can turn that property of `error` into text without calling the guest. */
  const isQuiet = (error, key) => {
    const descriptor = findPart(error, key);
    if (descriptor === undefined) return true;
    return isData(descriptor) && !isObject(descriptor.value) && typeof descriptor.value !== 'symbol';
  };

  const rawStack = (error) => {
    const descriptor = getOwnPropertyDescriptor(error, 'stack');
    if (isData(descriptor)) return descriptor.value; // the guest's own
    if (descriptor === undefined || descriptor.get !== stackGetter) return undefined;
    const canRead = isUnhooked() && isQuiet(error, 'name') && isQuiet(error, 'message');
    return canRead ? apply(stackGetter, error, []) : undefined;
  };

  /** The beginning and the end of a text that is too long. */
  const shorten = (text) => {
    if (text.length <= MAX_STACK) return text;
    return `${cut(text, MAX_STACK / 2)}${slice(text, -MAX_STACK / 2)}`;
  };

  /** The text of a stack: header and frames; null where there is none that can be read quietly. */
  const stackOf = (error) => {
    const stack = rawStack(error);
    return typeof stack === 'string' && stack !== '' ? shorten(stack) : null;
  };

  /** Sets what V8's `stack` of an error says. */
  base.setStack = (error, stack) => apply(stackSetter, error, [stack]);

  /**
   * Formats the stack of an error now, if that has not been done, whatever the error's own `stack` is; false
   * where that might call the guest.
   */
  base.formatStack = (error) => {
    if (!isUnhooked() || !isQuiet(error, 'name') || !isQuiet(error, 'message')) return false;
    apply(stackGetter, error, []);
    return true;
  };

  /** Formats the stack of an error of ours now. Where that would call the guest, it is left to V8. */
  base.settleStack = (error) => {
    const stack = stackOf(error);
    if (stack !== null) base.setStack(error, stack);
  };

  /** A property of an error as text, '' if it has none that is plain data. */
  const textOf = (error, key) => {
    const descriptor = findPart(error, key);
    if (!isData(descriptor) || descriptor.value === undefined) return '';
    const { value } = descriptor;
    if (isObject(value)) return base.inspect(value);
    return shorten(typeof value === 'symbol' ? symbolToString(value) : `${value}`);
  };

  const nameOf = (error) => textOf(error, 'name') || 'Error';

  const header = (error) => {
    const message = textOf(error, 'message');
    return message === '' ? nameOf(error) : `${nameOf(error)}: ${message}`;
  };

  // --- the class in the header ------------------------------------------------------------------

  const CAPITALS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const IN_NAMES = `${CAPITALS}abcdefghijklmnopqrstuvwxyz0123456789_-`;
  const IN_HEADERS = `${IN_NAMES} []()`;

  /** How many characters `text` has from `start` on that are among `characters`. */
  const spanOf = (text, start, characters) => {
    let end = start;
    while (end < text.length && includes(characters, text[end])) end += 1;
    return end - start;
  };

  /** The name that a stack begins with, as far as can be told without its class; '' where it cannot. */
  const nameIn = (stack) => {
    const length = spanOf(stack, 0, IN_HEADERS);
    if (length > 1 && includes(CAPITALS, stack[0])) {
      const gap = stack[length] === '\n' ? spanOf(stack, length, ' \n') : 0;
      if (stack[length] === ':' || (gap > 1 && startsWith(stack, 'at', length + gap))) return slice(stack, 0, length);
    }
    return endsWith(stack, 'Error') && spanOf(stack, 0, IN_NAMES) === stack.length ? stack : '';
  };

  const className = ({ name, tag }, fallback) => {
    const start = name === null ? `[${fallback}: null prototype]` : name;
    return tag !== '' && tag !== (name ?? fallback) ? `${start} [${tag}]` : start;
  };

  /** Whether the stack begins with that name, as V8 writes it. */
  const beginsWith = (stack, name) => {
    const next = stack[name.length];
    return startsWith(stack, name) && (stack.length === name.length || next === ':' || next === '\n');
  };

  const replaceName = (stack, name, better) => {
    if (name === better) return stack;
    const rest = slice(stack, name.length);
    return includes(better, name) ? better + rest : `${better} [${name}]${rest}`;
  };

  /** The stack with the message as it is now: V8 keeps the one that the error was made with. */
  const withMessage = (stack, name, message) => {
    if (message === '' || includes(stack, message) || !beginsWith(stack, name)) return stack;
    const frames = indexOf(stack, FRAME);
    return `${name}: ${message}${frames === -1 ? '' : slice(stack, frames)}`;
  };

  /** The stack with the error's class in its header where V8 put only the inherited name. */
  const withClass = (stack, name, family) => {
    if (family.name !== null) {
      if (!endsWith(name, 'Error') || !beginsWith(stack, name)) return stack;
      return replaceName(stack, name, className(family, 'Error'));
    }
    const found = nameIn(stack);
    const better = className(family, found || 'Error');
    return found === '' ? `${better}: ${stack}` : replaceName(stack, found, better);
  };

  const improve = (stack, name, message, family) => withClass(withMessage(stack, name, message), name, family);

  // --- for inspect ------------------------------------------------------------------------------

  /** Whether a listed property would only repeat what the stack says. */
  const isRepeated = (error, key, stack) => {
    if (key !== 'name' && key !== 'message' && key !== 'stack') return false;
    const value = ownData(error, key);
    return typeof value === 'string' && includes(stack, value);
  };

  const has = (list, item) => {
    for (let i = 0; i < list.length; i++) if (list[i] === item) return true;
    return false;
  };

  const keysToList = (error, keys, stack) => {
    const listed = newList();
    listed.unlisted = keys.unlisted;
    for (let i = 0; i < keys.length; i++) {
      if (!isRepeated(error, keys[i], stack)) listed[listed.length] = keys[i];
    }
    const hasCause = getOwnPropertyDescriptor(error, 'cause') !== undefined;
    if (hasCause && !has(listed, 'cause')) listed[listed.length] = 'cause';
    if (isArray(ownData(error, 'errors')) && !has(listed, 'errors')) listed[listed.length] = 'errors';
    return listed;
  };

  const indent = (text, indentation) => {
    if (indentation === 0) return text;
    const newline = `\n${repeat(' ', indentation)}`;
    let indented = '';
    let from = 0;
    for (let at = indexOf(text, '\n'); at !== -1; at = indexOf(text, '\n', from)) {
      indented += slice(text, from, at) + newline;
      from = at + 1;
    }
    return indented + slice(text, from);
  };

  const withoutFramesOfCause = (ctx, error, stack) => {
    const cause = ownData(error, 'cause');
    if (!ctx.stacks || !isObject(cause) || kindOf(cause) !== kinds.ERROR) return stack;
    const causeStack = stackOf(cause);
    return causeStack === null ? stack : base.withoutSharedFrames(stack, causeStack);
  };

  /** { text, keys } of an error: its stack in the lines of the inspection, and what to list below. */
  base.errorParts = (ctx, error, family, keys) => {
    const message = textOf(error, 'message');
    const stack = improve((ctx.stacks ? stackOf(error) : null) ?? header(error), nameOf(error), message, family);
    const found = message === '' ? -1 : indexOf(stack, message);
    const hasFrames = indexOf(stack, FRAME, found === -1 ? 0 : found + message.length) !== -1;
    const shown = hasFrames ? withoutFramesOfCause(ctx, error, stack) : `[${stack}]`;
    return {
      __proto__: null,
      text: indent(shown, ctx.indentation),
      keys: keysToList(error, keys, stack),
    };
  };

  // --- for the host -----------------------------------------------------------------------------

  /** Whether the error's name is the language's own: nothing of the guest's overrides it. */
  const isNameInherited = (error) => {
    for (let object = error; object !== null; object = getPrototypeOf(object)) {
      if (object !== error && isProxy(object)) return false;
      if (getOwnPropertyDescriptor(object, 'name') !== undefined) return isIntrinsic(object);
    }
    return true;
  };

  const DEPTH = Object.freeze({ __proto__: null, depth: 5 }); // causes of causes

  /**
   * What was thrown, as { name, message, stack }: three strings. The stack is followed by the error's
   * cause, errors and own properties as inspect shows them; it is null where there are none of these and
   * it cannot be read without calling the guest.
   */
  base.describeError = (value) => {
    if (!isObject(value) || kindOf(value) !== kinds.ERROR) {
      return { __proto__: null, name: 'Uncaught', message: base.inspect(value), stack: null };
    }
    const family = lineage(value, new CapturedMap());
    const name = nameOf(value);
    const message = textOf(value, 'message');
    const stack = stackOf(value);
    const bare = improve(stack ?? header(value), name, message, family);
    const shown = base.inspect(value, DEPTH);
    const isBare = shown === bare || shown === `[${bare}]`;
    return {
      __proto__: null,
      name: isNameInherited(value) && family.name !== null ? family.name : name,
      message,
      stack: isBare ? stack && bare : shown,
    };
  };
}
