/**
 * Clocks. The core never reads one: it is told the time, in microseconds since some start that
 * never goes back, and the wall clock in milliseconds since 1970.
 */

/** Longest wait of `setTimeout`. */
const TIMEOUT_MAX = 2 ** 31 - 1;

/** Time as it passes. */
export class RealClock {
  now() {
    return Math.floor(performance.now() * 1000);
  }

  wall() {
    return Date.now();
  }

  /** Calls `wake` at `at`, not earlier; gives a function that calls it off. */
  schedule(at, wake) {
    const millis = Math.min(Math.max(0, Math.ceil((at - this.now()) / 1000)), TIMEOUT_MAX);
    const timer = setTimeout(wake, millis);
    return () => clearTimeout(timer);
  }
}

/** Time that stands still until it is told to go on: the same steps give the same run. */
export class VirtualClock {
  #now = 0;
  #wall;
  #timers = [];
  #order = 0;

  constructor(wall = 0) {
    this.#wall = wall;
  }

  now() {
    return this.#now;
  }

  wall() {
    return this.#wall + Math.floor(this.#now / 1000);
  }

  schedule(at, wake) {
    const timer = { at: Math.max(at, this.#now), order: this.#order++, wake };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** When the next timer is due, if there is one. */
  next() {
    return this.#first()?.at;
  }

  /** Lets so many microseconds pass; timers fire in their order, each at its own time. */
  advance(micros) {
    const end = this.#now + micros;
    for (let timer = this.#first(); timer && timer.at <= end; timer = this.#first()) {
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.#now = timer.at;
      timer.wake();
    }
    this.#now = end;
  }

  #first() {
    return this.#timers.reduce((best, timer) => {
      const earlier = !best || timer.at < best.at || (timer.at === best.at && timer.order < best.order);
      return earlier ? timer : best;
    }, undefined);
  }
}
