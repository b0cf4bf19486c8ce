/**
 * A client over any WebSocket: one of a broker in the page (`createWebsocket`), or the browser's
 * own to a real server (`url`). It drives core's client; sessions, QoS, Keep Alive and reconnects
 * happen there.
 *
 * Events: `connect` (sessionPresent), `message` (topic, payload, qos, retain, dup), `disconnect`
 * (reason), `stop`. A message's payload is a Uint8Array.
 */
import { CoreClient, load, randomSeed } from './wasm.js';
import { RealClock } from './clock.js';
import { readClientEvents } from './records.js';

const encoder = new TextEncoder();

export class Client extends EventTarget {
  #core;
  #options;
  #clock;
  #seed;
  #open;
  #socket;
  #waiting = new Map();
  #cancelTimer = () => {};
  #wakeAt;

  /**
   * Options: `clock`, `seed`, and those of CONNECT: `clientId`, `version` (3, 4 or 5), `keepAlive`,
   * `cleanStart`, `sessionExpiryInterval`, `receiveMaximum`, `username`, `password`, `will`
   * ({ topic, payload, qos, retain, delayInterval }), `connectTimeout` and `reconnectPeriod` (ms,
   * 0 = never).
   */
  constructor({ clock = new RealClock(), seed = randomSeed(), ...options } = {}) {
    super();
    this.#clock = clock;
    this.#seed = BigInt(seed);
    this.#options = options;
  }

  /** Connects; resolves when the server has accepted, rejects when there will be no try more. */
  async connect({ url = 'ws://broker.page/mqtt', createWebsocket } = {}) {
    await load();
    this.#core ??= new CoreClient(this.#options, this.#seed);
    const make = createWebsocket ?? ((to, protocols) => new WebSocket(to, protocols));
    this.#open = () => make(url, [this.#options.version === 3 ? 'mqttv3.1' : 'mqtt'], {});
    const accepted = this.#promise('connect');
    this.#core.connect();
    this.#flush();
    return accepted;
  }

  get connected() {
    return this.#core?.connected ?? false;
  }

  get clientId() {
    return this.#core?.clientId ?? this.#options.clientId ?? '';
  }

  /** Publishes; resolves when the message has reached the server as its QoS promises. */
  publish(topic, payload, { qos = 0, retain = false } = {}) {
    const bytes = typeof payload === 'string' ? encoder.encode(payload) : payload;
    const token = this.#ask((now) => this.#core.publish(now, topic, bytes, qos, retain));
    return this.#answer(`publish ${token}`);
  }

  /** Subscribes; resolves with the granted QoS, rejects if the server refuses. */
  subscribe(filter, { qos = 0 } = {}) {
    const id = this.#ask((now) => this.#core.subscribe(now, filter, qos));
    return this.#answer(`request ${id}`);
  }

  unsubscribe(filter) {
    const id = this.#ask((now) => this.#core.unsubscribe(now, filter));
    return this.#answer(`request ${id}`);
  }

  /** Says goodbye and closes. */
  end() {
    if (!this.#core || !this.#socket) return;
    this.#core.disconnect(this.#clock.now());
    this.#write();
    this.#closeSocket();
    this.#cancelTimer();
    this.#fail('the client ended');
  }

  /** Drops the connection without a word, as a lost network would. */
  abort() {
    const socket = this.#socket;
    if (!socket) return;
    this.#closeSocket();
    this.#core.closed(this.#clock.now());
    this.#flush();
  }

  #ask(command) {
    if (!this.#core) throw new Error('connect first');
    return command(this.#clock.now());
  }

  #promise(key) {
    return new Promise((resolve, reject) => this.#waiting.set(key, { resolve, reject }));
  }

  #answer(key) {
    const promise = this.#promise(key);
    this.#flush();
    return promise;
  }

  #settle(key, error, value) {
    const waiting = this.#waiting.get(key);
    if (!waiting) return;
    this.#waiting.delete(key);
    if (error) waiting.reject(new Error(error));
    else waiting.resolve(value);
  }

  #fail(why, prefix = '') {
    for (const key of [...this.#waiting.keys()]) {
      if (key.startsWith(prefix)) this.#settle(key, why);
    }
  }

  #flush() {
    for (const event of readClientEvents(this.#core.takeEvents())) this.#happened(event);
    this.#write();
    this.#arm();
  }

  #write() {
    const bytes = this.#core.takeOutput();
    if (bytes.length > 0 && this.#socket?.readyState === 1) this.#socket.send(bytes);
  }

  #happened(event) {
    switch (event.kind) {
      case 'open': this.#openSocket(); break;
      case 'closeTransport': this.#write(); this.#closeSocket(); break;
      case 'connected':
        this.#settle('connect');
        this.#emit('connect', { sessionPresent: event.sessionPresent });
        break;
      case 'refused': this.#settle('connect', `the server refused: ${event.text}`); break;
      case 'message': this.#emit('message', event); break;
      case 'published':
        this.#settle(`publish ${event.token}`, event.reason >= 0x80 && refusal(event.reason), event.reason);
        break;
      case 'dropped': this.#settle(`publish ${event.token}`, event.text); break;
      case 'subscribed':
      case 'unsubscribed': {
        const [reason] = event.reasons;
        this.#settle(`request ${event.id}`, reason >= 0x80 && refusal(reason), reason);
        break;
      }
      case 'disconnected':
        // Messages outlive the connection; what only asked something does not.
        this.#fail(event.text, 'request');
        this.#emit('disconnect', { reason: event.text });
        break;
      case 'stopped': this.#fail('the connection ended'); this.#emit('stop', {}); break;
      default: break;
    }
  }

  #emit(type, fields) {
    const event = new Event(type);
    for (const [name, value] of Object.entries(fields)) {
      if (name !== 'kind') event[name] = value;
    }
    this.dispatchEvent(event);
  }

  #openSocket() {
    const socket = this.#open();
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const current = (run) => (event) => {
      if (this.#socket !== socket) return;
      run(event);
      this.#flush();
    };
    socket.addEventListener('open', current(() => this.#core.opened(this.#clock.now())));
    socket.addEventListener('message', current(({ data }) => {
      this.#core.feed(this.#clock.now(), new Uint8Array(data));
    }));
    socket.addEventListener('close', current(() => {
      this.#socket = undefined;
      this.#core.closed(this.#clock.now());
    }));
  }

  #closeSocket() {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #arm() {
    const at = this.#core.nextTimeout();
    if (at === this.#wakeAt) return;
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    this.#wakeAt = at;
    if (at === undefined) return;
    this.#cancelTimer = this.#clock.schedule(at, () => {
      this.#wakeAt = undefined;
      this.#core.timeout(this.#clock.now());
      this.#flush();
    });
  }
}

function refusal(reason) {
  return `the server refused: reason code 0x${reason.toString(16).toUpperCase()}`;
}
