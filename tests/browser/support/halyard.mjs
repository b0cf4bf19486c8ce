/** The real server: HALYARD_BIN, or built now; it runs without a configuration, on free ports. */
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const repo = fileURLToPath(new URL('../../..', import.meta.url));
const PROFILE = process.env.PROFILE ?? 'checked';

function binary() {
  if (process.env.HALYARD_BIN) return process.env.HALYARD_BIN;
  execFileSync('cargo', ['build', '--quiet', '--locked', '-p', 'halyard', '--profile', PROFILE], {
    cwd: repo, stdio: 'inherit',
  });
  const target = process.env.CARGO_TARGET_DIR ?? join(repo, 'target');
  return join(target, PROFILE === 'dev' ? 'debug' : PROFILE, 'halyard');
}

/** Resolves with the addresses of page and WebSocket, and a function that ends it. */
export async function startServer() {
  const child = spawn(binary(), ['-p', '0', '--http-port', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const log = [];
  for await (const line of createInterface({ input: child.stderr })) {
    log.push(line);
    const [, host] = line.match(/Listening on ws:\/\/(127\.0\.0\.1:\d+)/) ?? [];
    if (host === undefined) continue;
    child.stderr.resume();
    return {
      page: `http://${host}/`,
      websocket: `ws://${host}/mqtt`,
      stop: () => {
        child.kill();
        return ended;
      },
    };
  }
  throw new Error(`halyard ended without a WebSocket listener:\n${log.join('\n')}`);
}
