// What is bundled: the parts that are used, by the names that libraries.js gives them.
export { TextDecoder, TextEncoder, isomorphicDecode } from '@exodus/bytes/encoding-lite.js';
export { sha1 } from '@noble/hashes/legacy.js';
export { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
export { default as punycode } from 'punycode/punycode.es6.js';
export { default as url } from 'whatwg-url/lib/url-state-machine.js';
export { parseUrlencodedString } from 'whatwg-url/lib/urlencoded.js';
