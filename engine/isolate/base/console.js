// base.console: the way of the console's lines to the client, up to a limit.
(base) => {
  'use strict';
  const { uncurryThis } = base.values;
  const { native } = base;
  const { stringify } = JSON;
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const exec = uncurryThis(RegExp.prototype.exec);
  const slice = uncurryThis(String.prototype.slice);
  const toWellFormed = uncurryThis(String.prototype.toWellFormed);

  const SENT_AT_ONCE = 64; // lines
  const CHUNK = 4_096; // characters
  const MAX_WAIT = 20; // milliseconds
  const LINE_COST = 32; // bytes of the limit that every line takes beside its text
  const CUT_MARK = '… [console limit reached]';
  const NON_ASCII = /[^\x00-\x7f]/;

  let room = 0; // bytes that may still be written
  let dropped = 0; // lines
  let sent = 0; // lines
  let pending = ''; // JSON of lines not sent yet, joined by commas
  let sentAt = 0; // when lines were last sent

  const now = () => (base.realNow === undefined ? sentAt : base.realNow());

  const send = () => {
    if (pending === '') return;
    const json = `[${pending}]`;
    pending = '';
    native(0, json);
  };

  const queue = (level, text) => {
    pending += `${pending === '' ? '' : ','}["${level}",${stringify(text)}]`;
    sent += 1;
    if (sent <= SENT_AT_ONCE) {
      send();
      if (sent === SENT_AT_ONCE) sentAt = now();
      return;
    }
    const time = now();
    if (pending.length < CHUNK && time - sentAt < MAX_WAIT) return;
    sentAt = time;
    send();
  };

  /** Bytes of the code point at `i` of a well-formed string, in UTF-8. */
  const bytesAt = (text, i) => {
    const code = charCodeAt(text, i);
    if (code < 0x80) return 1;
    if (code < 0x800) return 2;
    return code >= 0xd800 && code <= 0xdbff ? 4 : 3;
  };

  /** { end, bytes }: how much of a well-formed string fits in `limit` bytes of UTF-8. */
  const fit = (text, limit) => {
    if (text.length <= limit && exec(NON_ASCII, text) === null) {
      return { __proto__: null, end: text.length, bytes: text.length };
    }
    let bytes = 0;
    let end = 0;
    while (end < text.length) {
      const size = bytesAt(text, end);
      if (bytes + size > limit) break;
      bytes += size;
      end += size === 4 ? 2 : 1;
    }
    return { __proto__: null, end, bytes };
  };

  /** Adds a line, as far as there is room: it takes LINE_COST, too, so that empty lines are not endless. */
  const write = (level, text) => {
    if (room <= 0) {
      dropped += 1;
      return;
    }
    // no more characters than bytes are left can be shown; one more tells that it was too long
    const line = toWellFormed(text.length > room ? slice(text, 0, room + 1) : text);
    const { end, bytes } = fit(line, room > LINE_COST ? room - LINE_COST : 0);
    if (end === line.length) {
      room -= bytes + LINE_COST;
      queue(level, line);
    } else {
      room = 0;
      queue(level, slice(line, 0, end) + CUT_MARK);
    }
  };

  base.console = Object.freeze({
    __proto__: null,
    /** Begins an execution that may write `maxBytes`: UTF-8, and LINE_COST for each line. */
    reset(maxBytes) {
      room = maxBytes;
      dropped = 0;
      sent = 0;
      pending = '';
      sentAt = 0;
    },
    write,
    flush: send,
    /** Bytes that may still be written: once there are none a line costs nothing but its count. */
    room: () => room,
    drop() {
      dropped += 1;
    },
    /** Lines that were left out as a whole because there was no room. */
    dropped: () => dropped,
  });
}
