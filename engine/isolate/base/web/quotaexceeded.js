// QuotaExceededError (https://webidl.spec.whatwg.org/#quotaexceedederror): how much there is, and was asked for.
(base) => {
  'use strict';
  const { isObject } = base.values;
  const { expose, illegalInvocation, toDictionary, typeError } = base.webidl;
  const { DOMException } = base;
  const { isFinite } = Number;
  const NativeRangeError = RangeError;

  /** A member of the options as a number, null if it is not there. */
  const toAmount = (options, name) => {
    const value = options === null ? undefined : options[name];
    if (value === undefined) return null;
    const amount = +value;
    if (!isFinite(amount)) throw typeError(`QuotaExceededError: ${name} must be a finite number`);
    if (amount < 0) throw new NativeRangeError(`QuotaExceededError: ${name} must not be negative`);
    return amount;
  };

  class QuotaExceededError extends DOMException {
    #quota;
    #requested;

    constructor(message = '', options = undefined) {
      super(message, 'QuotaExceededError');
      const dictionary = toDictionary(options, 'QuotaExceededError');
      this.#quota = toAmount(dictionary, 'quota');
      this.#requested = toAmount(dictionary, 'requested');
      if (this.#quota !== null && this.#requested !== null && this.#requested < this.#quota) {
        throw new NativeRangeError('QuotaExceededError: requested must not be less than quota');
      }
    }

    get quota() {
      if (!isObject(this) || !(#quota in this)) throw illegalInvocation();
      return this.#quota;
    }

    get requested() {
      if (!isObject(this) || !(#quota in this)) throw illegalInvocation();
      return this.#requested;
    }
  }

  expose(QuotaExceededError, 0);
  base.QuotaExceededError = QuotaExceededError;
}
