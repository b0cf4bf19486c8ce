/**
 * Holds the world of the page: a broker, its clients, and the packets that were seen. The only part
 * that changes anything; views read it and call its methods.
 */
import { Broker, Client } from './halyard/index.js';

/** Packets that are kept. */
const PACKETS_MAX = 300;
/** Messages that are kept for a client. */
const MESSAGES_MAX = 3;
/** Between two readings of the sensor, milliseconds. */
const PERIOD = 2500;

const decoder = new TextDecoder();

/** The clients of the opening scene. */
const CAST = [
  { name: 'sensor', version: 5, side: 'left', filters: [] },
  { name: 'dashboard', version: 5, side: 'right', filters: [['home/#', 2]] },
  { name: 'phone', version: 4, side: 'right', filters: [['home/+/temperature', 1]] },
];

export class Model extends EventTarget {
  /** Each: name, version, side, connected, filters (filter to granted QoS), messages, received. */
  clients = CAST.map((cast) => ({
    ...cast, filters: new Map(cast.filters), connected: false, messages: [], received: 0, core: undefined,
  }));
  /** What was seen last: trace records with `number` and `client`. */
  packets = [];
  /** How many were seen in all. */
  total = 0;
  running = false;

  #broker = new Broker();
  #names = new Map();
  #playing = true;
  #timer;
  #reading = 0;

  /** Starts the broker and the opening scene. */
  async start() {
    this.#broker.tracing = true;
    this.#broker.addEventListener('trace', ({ records }) => this.#seen(records));
    await this.#broker.ready;
    this.running = true;
    this.#changed();
    for (const client of this.clients) await this.connect(client.name);
    this.#tick();
  }

  get playing() {
    return this.#playing;
  }

  /** Whether the sensor publishes by itself. */
  set playing(on) {
    this.#playing = on;
    clearTimeout(this.#timer);
    if (on) this.#tick();
    this.#changed();
  }

  client(name) {
    return this.clients.find((client) => client.name === name);
  }

  async connect(name) {
    const client = this.client(name);
    if (client.connected) return;
    client.core ??= this.#make(client);
    await client.core.connect({ createWebsocket: this.#broker.createWebsocket });
    for (const [filter, qos] of client.filters) await this.subscribe(name, filter, qos);
  }

  /** Cuts the connection as a lost network would. */
  cut(name) {
    this.client(name).core?.abort();
  }

  async publish(name, topic, payload, options) {
    return this.client(name).core.publish(topic, payload, options);
  }

  async subscribe(name, filter, qos) {
    const client = this.client(name);
    const granted = await client.core.subscribe(filter, { qos });
    client.filters.set(filter, granted);
    this.#changed();
  }

  async unsubscribe(name, filter) {
    const client = this.client(name);
    if (client.connected) await client.core.unsubscribe(filter);
    client.filters.delete(filter);
    this.#changed();
  }

  /** Forgets the packets seen so far. */
  clear() {
    this.packets = [];
    this.#changed();
  }

  #make(client) {
    const core = new Client({ clientId: client.name, version: client.version, cleanStart: true });
    core.addEventListener('connect', () => { client.connected = true; this.#changed(); });
    core.addEventListener('disconnect', () => { client.connected = false; this.#changed(); });
    core.addEventListener('message', ({ topic, payload, qos, retain }) => {
      client.received += 1;
      client.messages.unshift({ number: client.received, topic, qos, retain, text: decoder.decode(payload) });
      client.messages.length = Math.min(client.messages.length, MESSAGES_MAX);
      this.#changed();
    });
    return core;
  }

  #seen(records) {
    for (const record of records) {
      if (record.kind === 'connected') this.#names.set(record.conn, record.clientId);
      if (record.kind !== 'packet') continue;
      if (record.type === 'CONNECT') this.#names.set(record.conn, record.subject);
      this.total += 1;
      this.packets.push({ ...record, number: this.total, client: this.#names.get(record.conn) ?? '' });
    }
    if (this.packets.length > PACKETS_MAX) this.packets.splice(0, this.packets.length - PACKETS_MAX);
    this.#changed();
  }

  /** The sensor's next reading; each with another QoS than the last. */
  #tick() {
    if (!this.#playing) return;
    const qos = this.#reading % 3;
    const value = 21 + 2 * Math.sin(this.#reading / 3);
    this.#reading += 1;
    if (this.client('sensor').connected) {
      this.publish('sensor', 'home/kitchen/temperature', value.toFixed(1), { qos }).catch(() => {
        // The link was cut in between: the client keeps the message, or it was QoS 0 and is lost.
      });
    }
    this.#timer = setTimeout(() => this.#tick(), this.#reading < 3 ? PERIOD / 5 : PERIOD);
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
