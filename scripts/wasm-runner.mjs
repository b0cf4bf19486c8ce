// Runs a test program that Rust compiled for wasm32-unknown-unknown with its ordinary test harness:
//
//     CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="node scripts/wasm-runner.mjs" cargo test --target …
//
// So the tests of the core run in wasm as they stand, without a line of their own for it. That
// target has no output and no arguments: the program runs every test, and a test that fails traps.
// This names the failed test by the stack; its message shows in the native run. What the tests draw
// at random follows from HALYARD_WASM_SEED, which a failure prints.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { createHash, randomInt } from 'node:crypto';
import { env as variables, exit, argv, stdout, stderr } from 'node:process';

const path = argv[2];
const name = basename(path).replace(/-[0-9a-f]+\.wasm$/, '');
const program = await WebAssembly.compile(readFileSync(path));

const seed = variables.HALYARD_WASM_SEED ?? String(randomInt(2 ** 32));
let drawn = 0;
let memory;
const known = {
  // The crate getrandom, with its backend "custom": fill `length` bytes at `at`, answer 0.
  __getrandom_v03_custom(at, length) {
    const bytes = new Uint8Array(memory.buffer, at >>> 0, length >>> 0);
    for (let from = 0; from < bytes.length; from += 32) {
      const block = createHash('sha256').update(`${seed} ${drawn++}`).digest();
      bytes.set(block.subarray(0, bytes.length - from), from);
    }
    return 0;
  },
};
const env = {};
for (const { module, name: wanted } of WebAssembly.Module.imports(program)) {
  if (module !== 'env' || !(wanted in known)) {
    stderr.write(`${name}: the program imports ${module}.${wanted}, which nothing here provides\n`);
    exit(1);
  }
  env[wanted] = known[wanted];
}

const { exports } = await WebAssembly.instantiate(program, { env });
memory = exports.memory;
const began = performance.now();
try {
  const code = exports.main(0, 0);
  if (code !== 0) {
    stderr.write(`${name}: the test harness ended with ${code}\n`);
    exit(1);
  }
} catch (error) {
  stderr.write(`${name}: a test failed in wasm, with HALYARD_WASM_SEED=${seed}; run it natively for its message\n${error.stack}\n`);
  exit(1);
}
stdout.write(`${name}: passed in wasm, ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
