// DOMException (https://webidl.spec.whatwg.org/#idl-DOMException): base.DOMException for the others.
(base) => {
  'use strict';
  const { isObject, uncurryThis } = base.values;
  const { addConstants, expose, illegalInvocation } = base.webidl;
  const { construct, defineProperty, deleteProperty, setPrototypeOf } = Reflect;
  const NativeError = Error;
  const { captureStackTrace } = Error;
  const weakMapGet = uncurryThis(WeakMap.prototype.get);
  const weakMapSet = uncurryThis(WeakMap.prototype.set);

  // [name, constant] of the codes from 1 on; the first null where only the constant is left
  const LEGACY = [
    ['IndexSizeError', 'INDEX_SIZE_ERR'],
    [null, 'DOMSTRING_SIZE_ERR'],
    ['HierarchyRequestError', 'HIERARCHY_REQUEST_ERR'],
    ['WrongDocumentError', 'WRONG_DOCUMENT_ERR'],
    ['InvalidCharacterError', 'INVALID_CHARACTER_ERR'],
    [null, 'NO_DATA_ALLOWED_ERR'],
    ['NoModificationAllowedError', 'NO_MODIFICATION_ALLOWED_ERR'],
    ['NotFoundError', 'NOT_FOUND_ERR'],
    ['NotSupportedError', 'NOT_SUPPORTED_ERR'],
    ['InUseAttributeError', 'INUSE_ATTRIBUTE_ERR'],
    ['InvalidStateError', 'INVALID_STATE_ERR'],
    ['SyntaxError', 'SYNTAX_ERR'],
    ['InvalidModificationError', 'INVALID_MODIFICATION_ERR'],
    ['NamespaceError', 'NAMESPACE_ERR'],
    ['InvalidAccessError', 'INVALID_ACCESS_ERR'],
    [null, 'VALIDATION_ERR'],
    ['TypeMismatchError', 'TYPE_MISMATCH_ERR'],
    ['SecurityError', 'SECURITY_ERR'],
    ['NetworkError', 'NETWORK_ERR'],
    ['AbortError', 'ABORT_ERR'],
    ['URLMismatchError', 'URL_MISMATCH_ERR'],
    ['QuotaExceededError', 'QUOTA_EXCEEDED_ERR'],
    ['TimeoutError', 'TIMEOUT_ERR'],
    ['InvalidNodeTypeError', 'INVALID_NODE_TYPE_ERR'],
    ['DataCloneError', 'DATA_CLONE_ERR'],
  ];

  const codes = { __proto__: null }; // name → code
  const constants = {};
  for (const [i, [name, constant]] of LEGACY.entries()) {
    constants[constant] = i + 1;
    if (name !== null) codes[name] = i + 1;
  }

  // An exception is an Error of the language, so its parts are beside it: { name, message }
  const partsOfAll = new WeakMap();

  const partsOf = (exception) => {
    const parts = weakMapGet(partsOfAll, exception);
    if (parts === undefined) throw illegalInvocation();
    return parts;
  };

  /** An Error with that prototype, parts and a stack that begins at the caller of `above`. */
  const make = (newTarget, name, message, above) => {
    const error = construct(NativeError, [message], newTarget);
    weakMapSet(partsOfAll, error, { __proto__: null, name, message });
    captureStackTrace(error, above);
    deleteProperty(error, 'message'); // V8 has put it into the stack; the interface has a getter
    base.settleStack(error);
    return error;
  };

  class DOMException {
    /** The second argument is a name or, as in Node, { name, cause }. */
    constructor(message = '', options = 'Error') {
      const text = `${message}`;
      if (!isObject(options)) return make(new.target, `${options}`, text, DOMException);
      const { name } = options;
      const error = make(new.target, name === undefined ? 'Error' : `${name}`, text, DOMException);
      if ('cause' in options) {
        defineProperty(error, 'cause', {
          __proto__: null, value: options.cause, writable: true, enumerable: false, configurable: true,
        });
      }
      return error;
    }

    get name() {
      return partsOf(this).name;
    }

    get message() {
      return partsOf(this).message;
    }

    get code() {
      return codes[partsOf(this).name] ?? 0;
    }
  }

  setPrototypeOf(DOMException.prototype, Error.prototype);
  addConstants(DOMException, constants);
  expose(DOMException, 0);

  base.DOMException = DOMException;

  /** { name, message } of a DOMException; undefined for anything else. Runs no guest code. */
  base.domExceptionParts = (value) => weakMapGet(partsOfAll, value);

  const { prototype } = DOMException;
  const getters = {
    __proto__: null,
    name: Object.getOwnPropertyDescriptor(prototype, 'name').get,
    message: Object.getOwnPropertyDescriptor(prototype, 'message').get,
  };

  /** What the getter of `key`, 'name' or 'message', answers, as { value }; null if it is none of ours. */
  base.domExceptionPart = (error, key, getter) => {
    const parts = weakMapGet(partsOfAll, error);
    if (parts === undefined || getter !== getters[key]) return null;
    return { __proto__: null, value: parts[key] };
  };
}
