// Makes libraries.js, idna.js, LICENSES and manifest.json from the packages in package-lock.json:
//   node build.mjs [folder to write to, by default this one]
// It needs npm and its registry; nothing else of the project does.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? here);
const work = mkdtempSync(join(tmpdir(), 'vendor-'));
const bundled = ['@exodus/bytes', '@noble/hashes', 'punycode', 'tr46', 'whatwg-url'];

// Names of the language that the libraries use: taken once, so that a session's own variables of
// these names do not reach them.
const GLOBALS = [
  'Array', 'ArrayBuffer', 'BigInt', 'BigUint64Array', 'DataView', 'Error', 'Map', 'Math', 'Number', 'Object',
  'RangeError', 'Reflect', 'Set', 'String', 'Symbol', 'TypeError', 'Uint8Array', 'Uint16Array', 'Uint32Array',
  'encodeURI', 'isNaN', 'parseInt',
];

const packageFile = (name, file) => join(work, 'node_modules', name, file);

// --- the libraries --------------------------------------------------------------------------------

const substitutions = {
  name: 'substitutions',
  setup(build) {
    const replacement = join(work, 'whatwg.mjs');
    const substituted = /^(tr46|@exodus\/bytes\/(encoding|whatwg)\.js|\.\/encoding)$/;
    build.onResolve({ filter: substituted }, ({ importer }) =>
      importer.includes('whatwg-url') ? { path: replacement } : undefined);
    build.onResolve({ filter: /^EXODUS\// }, ({ path }) =>
      ({ path: packageFile('@exodus/bytes', path.slice('EXODUS/'.length)) }));
  },
};

const bundle = async (esbuild) => {
  const { outputFiles } = await esbuild.build({
    absWorkingDir: work,
    entryPoints: ['entry.mjs'],
    bundle: true,
    charset: 'ascii',
    format: 'iife',
    globalName: 'libraries',
    legalComments: 'none',
    minify: true,
    mainFields: ['module', 'main'],
    platform: 'neutral',
    plugins: [substitutions],
    target: 'es2024',
    write: false,
  });
  const code = outputFiles[0].text.trim();
  return (
    '// Made by build.mjs; see LICENSES. Do not edit.\n' +
    `(base) => { 'use strict'; const { ${GLOBALS.join(', ')} } = globalThis;\n${code}\n` +
    'base.libraries = libraries; }\n'
  );
};

// --- Unicode data that the language does not give -------------------------------------------------

// Runs of code points as text: the distance to the run's end in base 36, then its class, an upper-case
// letter. Code points that no domain may contain belong to whatever run is around them.
const runsOf = (classOf, isUsed) => {
  let text = '';
  let start = 0;
  let current = null;
  for (let point = 0; point <= 0x10ffff; point += 1) {
    if (!isUsed(point)) continue;
    const name = classOf(String.fromCodePoint(point));
    if (current !== null && name !== current) {
      text += (point - start).toString(36) + current;
      start = point;
    }
    current = name;
  }
  return `${text}${(0x110000 - start).toString(36)}${current}`;
};

const classOfFirst = (classes) => (character) => {
  for (const [name, pattern] of classes) if (pattern.test(character)) return name;
  throw new Error(`no class: ${character.codePointAt(0).toString(16)}`);
};

const idnaData = () => {
  const require = createRequire(join(work, 'build.mjs'));
  const regexes = require(packageFile('tr46', 'lib/regexes.js'));
  const table = require(packageFile('tr46', 'lib/mappingTable.json'));
  const { STATUS_MAPPING } = require(packageFile('tr46', 'lib/statusMapping.js'));
  const valid = new Set();
  for (const [points, status] of table) {
    if (status !== STATUS_MAPPING.valid && status !== STATUS_MAPPING.deviation) continue;
    const [first, last] = [points].flat();
    for (let point = first; point <= (last ?? first); point += 1) valid.add(point);
  }
  const isUsed = (point) => valid.has(point);

  // the sets of a pattern such as /[…][…]*$/u, one after the other
  const setsOf = ({ source }) => source.match(/\[(?:[^\]\\]|\\.)*\]/gu).map((set) => new RegExp(`^${set}$`, 'u'));
  const [, marks] = setsOf(regexes.bidiS3);
  const bidi = runsOf(classOfFirst([
    ['L', regexes.bidiS1LTR], ['R', regexes.bidiS1RTL], ['A', regexes.bidiS4AN], ['E', regexes.bidiS4EN],
    ['M', marks], ['N', setsOf(regexes.bidiS2)[0]], ['X', /^/u],
  ]), isUsed);

  // […L or D…][T]*ZWNJ[T]*[…R or D…]
  const [before, transparent, , after] = setsOf(regexes.validZWNJ);
  const joining = runsOf(classOfFirst([
    ['D', { test: (c) => before.test(c) && after.test(c) }], ['L', before], ['R', after],
    ['T', transparent], ['U', /^/u],
  ]), isUsed);

  const virama = runsOf(classOfFirst([['V', regexes.combiningClassVirama], ['N', /^/u]]), isUsed);
  const data = JSON.stringify({ bidi, joining, virama }, null, 2);
  return `// Made by build.mjs from tr46; see LICENSES. Do not edit.\n(base) => { base.idnaData = ${data}; }\n`;
};

// --- where they come from -------------------------------------------------------------------------

const describe = (lock) => bundled.map((name) => {
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  return { name, version, integrity, license: JSON.parse(readFileSync(packageFile(name, 'package.json'))).license };
});

const licenseFile = (name) =>
  ['LICENSE', 'LICENSE.txt', 'LICENSE.md', 'LICENSE-MIT.txt'].map((file) => {
    try {
      return readFileSync(packageFile(name, file), 'utf8');
    } catch {
      return '';
    }
  }).find((text) => text !== '');

const licenses = (packages) => packages.map(({ name, version }) =>
  `${name} ${version}\n${'='.repeat(name.length + version.length + 1)}\n\n${licenseFile(name).trim()}\n`).join('\n\n');

try {
  for (const file of ['package.json', 'package-lock.json', 'entry.mjs', 'whatwg.mjs']) {
    cpSync(join(here, file), join(work, file));
  }
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: work, stdio: 'ignore' });
  const esbuild = await import(packageFile('esbuild', 'lib/main.js'));
  const packages = describe(JSON.parse(readFileSync(join(work, 'package-lock.json'))));
  writeFileSync(join(target, 'libraries.js'), await bundle(esbuild.default ?? esbuild));
  writeFileSync(join(target, 'idna.js'), idnaData());
  writeFileSync(join(target, 'manifest.json'), `${JSON.stringify(packages, null, 2)}\n`);
  writeFileSync(join(target, 'LICENSES'), licenses(packages));
} finally {
  rmSync(work, { recursive: true, force: true });
}
