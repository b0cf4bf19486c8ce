/**
 * A broker in the page. It holds the core's broker, gives it time and bytes in turns, and hands
 * out what comes of them; it decides nothing itself.
 */
import { CoreBroker, isLoaded, load, randomSeed } from './wasm.js';
import { RealClock } from './clock.js';
import { Hop } from './hop.js';
import { BrokerSocket } from './socket.js';
import { readOutput, readTrace } from './records.js';

/** Longest reason that a close carries, in UTF-16 units: at most 123 bytes. */
const REASON_UNITS = 41;

export class Broker extends EventTarget {
  #core;
  #options;
  #clock;
  #hop = new Hop(() => this.#turn());
  #inputs = [];
  #links = new Map();
  #cancelTimer = () => {};
  #wakeAt;
  #tracing = false;
  #stopped = false;

  /** Resolves once the core is loaded; sockets may be made before. */
  ready;

  /**
   * Options: `clock` (a RealClock), `seed` (a random one) and the broker's own:
   * `sysInterval`, `maxPacketSize`, `maxInflightMessages`, `maxQueuedMessages`, `retainAvailable`,
   * `receiveMaximumEnforced`.
   */
  constructor({ clock = new RealClock(), seed = randomSeed(), ...options } = {}) {
    super();
    this.#clock = clock;
    this.#options = { seed: BigInt(seed), ...options };
    if (isLoaded()) this.#begin();
    this.ready = load().then(() => this.#begin());
  }

  /** For `mqtt.connect(url, { createWebsocket })`: a new connection to this broker. */
  createWebsocket = (url, protocols) => new BrokerSocket((end) => this.#attach(end), url, protocols);

  /** A hash of all the broker's state; the same seed and inputs give the same hash. */
  get stateHash() {
    return this.#core?.stateHash();
  }

  /** Bytes held for clients. */
  get footprint() {
    return this.#core?.footprint() ?? 0;
  }

  /**
   * Tells the broker whether to dispatch `trace` events; each has `records`, an array of what the
   * observer saw: packets with their bytes, connections, subscriptions, deliveries.
   */
  set tracing(on) {
    this.#tracing = Boolean(on);
    this.#core?.setTracing(this.#tracing);
  }

  get tracing() {
    return this.#tracing;
  }

  /** Says goodbye to all clients and ends. */
  close() {
    if (this.#stopped) return;
    this.#inputs.push((now) => this.#core.shutDown(now));
    this.#inputs.push(() => { this.#stopped = true; });
    this.#hop.ask();
  }

  #begin() {
    if (this.#core) return;
    const { seed, ...options } = this.#options;
    this.#core = new CoreBroker(options, seed, this.#clock.now(), this.#clock.wall());
    this.#core.setTracing(this.#tracing);
    this.#hop.ask();
  }

  /** The broker's side of a new connection. */
  #attach(end) {
    const link = { end, conn: undefined, held: undefined };
    if (this.#stopped) queueMicrotask(() => end.ended({ failed: true }));
    this.#input((now) => this.#open(now, link));
    return {
      send: (bytes) => this.#input((now) => this.#feed(now, link, bytes)),
      close: (broken) => this.#input((now) => this.#closed(now, link, broken)),
    };
  }

  #input(input) {
    this.#inputs.push(input);
    this.#hop.ask();
  }

  #open(now, link) {
    if (link.end.refused || this.#stopped) {
      link.end.ended({ failed: true });
      return;
    }
    link.conn = this.#core.open(now);
    this.#links.set(link.conn, link);
    link.end.opened();
  }

  #feed(now, link, bytes) {
    if (link.held) {
      link.held.push(bytes);
      return;
    }
    link.end.taken(bytes.length);
    if (this.#links.has(link.conn)) this.#core.feed(now, link.conn, bytes);
  }

  #closed(now, link, broken) {
    if (this.#links.delete(link.conn)) this.#core.closed(now, link.conn, broken);
    link.end.ended({ failed: link.conn === undefined });
  }

  /** One turn: everything that happened since the last one, then everything that comes of it. */
  #turn() {
    if (!this.#core) return;
    const now = this.#clock.now();
    this.#core.turn(now, this.#clock.wall());
    const inputs = this.#inputs;
    this.#inputs = [];
    for (const input of inputs) input(now);
    for (const record of readOutput(this.#core.drain())) this.#deliver(now, record);
    this.#emitTrace();
    if (this.#stopped) {
      this.#end();
    } else {
      this.#arm();
    }
  }

  #deliver(now, { kind, conn, bytes, reason }) {
    const link = this.#links.get(conn);
    if (!link) return;
    if (kind === 'output') {
      link.end.received(bytes);
    } else if (kind === 'close') {
      this.#links.delete(conn);
      link.end.ended({ code: 1000, reason: reason.slice(0, REASON_UNITS) });
    } else if (kind === 'pause') {
      link.held ??= [];
    } else {
      const held = link.held ?? [];
      link.held = undefined;
      for (const chunk of held) this.#feed(now, link, chunk);
      if (held.length > 0) this.#hop.ask();
    }
  }

  #emitTrace() {
    if (!this.#tracing) return;
    const bytes = this.#core.takeTrace();
    if (bytes.length === 0) return;
    const event = new Event('trace');
    event.records = [...readTrace(bytes)];
    this.dispatchEvent(event);
  }

  #arm() {
    const at = this.#core.nextTimeout();
    if (at === this.#wakeAt) return;
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    this.#wakeAt = at;
    if (at === undefined) return;
    if (at <= this.#clock.now()) {
      this.#wakeAt = undefined;
      this.#hop.ask();
      return;
    }
    this.#cancelTimer = this.#clock.schedule(at, () => {
      this.#wakeAt = undefined;
      this.#turn();
    });
  }

  #end() {
    this.#cancelTimer();
    this.#hop.stop();
    for (const link of this.#links.values()) link.end.ended({ code: 1001, reason: 'broker closed' });
    this.#links.clear();
    this.#core.free();
    this.#core = undefined;
    this.dispatchEvent(new Event('close'));
  }
}
