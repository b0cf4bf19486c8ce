// What the checks with MQTT.js share: running checks beside each other, and waiting for conditions.
const DEADLINE = 20_000;
const checks = [];

/** Registers a check: an async function of its base, which begins its topics and identifiers. */
export function check(name, run) {
  checks.push({ name, run });
}

/** Fails unless both are equal, compared as JSON. */
export function expect(got, wanted, what) {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${what}: ${left} instead of ${right}`);
}

/** Gives what the promise gives, if it does so in time. */
export function inTime(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${DEADLINE} ms in vain for ${what}`)), DEADLINE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Something that can be waited for: `ring` makes all waiting look again. */
export class Bell {
  waiting = new Set();

  ring() {
    for (const look of [...this.waiting]) look();
  }

  /** Waits until `probe` gives something true, and gives that. */
  wait(what, probe) {
    let look;
    const found = new Promise((resolve) => {
      look = () => {
        const value = probe();
        if (value) resolve(value);
      };
      this.waiting.add(look);
      look();
    });
    return inTime(what, found).finally(() => this.waiting.delete(look));
  }
}

/** Runs all checks and ends the process, with 1 if one failed. */
export async function run(script, only) {
  const outcomes = await Promise.all(
    checks
      .filter(({ name }) => !only.length || only.includes(name))
      .map(async ({ name, run: body }) => {
        try {
          await inTime("the end of the check", body(`${script}-${name}`));
          console.log(`ok ${script}.${name}`);
          return true;
        } catch (error) {
          console.error(error);
          console.log(`not ok ${script}.${name}: ${String(error.message ?? error).split("\n")[0]}`);
          return false;
        }
      }),
  );
  process.exit(outcomes.every(Boolean) ? 0 : 1);
}
