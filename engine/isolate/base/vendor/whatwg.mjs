// In place of modules that whatwg-url asks for, so that their tables stay out of the bundle: the
// query of a URL is encoded in UTF-8 here, never in a page's legacy encoding.
import { utf8fromStringLoose, utf8toStringLoose } from '@exodus/bytes/utf8.js';
import { percentEncoder } from 'EXODUS/fallback/percent.js';

export const percentEncodeAfterEncoding = (encoding, input, set) =>
  percentEncoder(set)(utf8fromStringLoose(input));

export const utf8Encode = (text) => utf8fromStringLoose(text);
export const utf8DecodeWithoutBOM = (bytes) => utf8toStringLoose(bytes);

/** In place of tr46: domain names are ours (web/idna.js). */
export const toASCII = (domain) => base.domainToASCII(domain);
