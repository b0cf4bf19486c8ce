/**
 * Runs a function in a task of its own, soon: later than whatever runs now, so that nothing is
 * re-entered, and not as a microtask, so that a busy broker never keeps the page from painting.
 */
export class Hop {
  #run;
  #asked = false;
  #channel;

  constructor(run) {
    this.#run = run;
    this.#channel = new MessageChannel();
    this.#channel.port1.onmessage = () => {
      // In Node an open port would keep the process alive while nothing is to be done.
      this.#channel.port1.unref?.();
      this.#asked = false;
      this.#run();
    };
    this.#channel.port1.unref?.();
  }

  /** Asks for a run; one that is asked for already serves this one too. */
  ask() {
    if (this.#asked) return;
    this.#asked = true;
    this.#channel.port1.ref?.();
    this.#channel.port2.postMessage(0);
  }

  /** Never runs again. */
  stop() {
    this.#run = () => {};
    this.#channel.port1.close();
  }
}
