/**
 * Reads the flat records of the core. `wasm/src/records.rs` and `wasm/src/trace.rs` write what is
 * read here; they change together.
 */

const decoder = new TextDecoder();

/** The control packets by the value in the fixed header. */
export const PACKET_NAMES = Object.freeze([
  'RESERVED', 'CONNECT', 'CONNACK', 'PUBLISH', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'SUBSCRIBE',
  'SUBACK', 'UNSUBSCRIBE', 'UNSUBACK', 'PINGREQ', 'PINGRESP', 'DISCONNECT', 'AUTH',
]);

/** What becomes of a message at a subscriber. */
export const OUTCOMES = Object.freeze([
  'sent', 'queued', 'no local', 'queue full', 'offline', 'slow consumer', 'too large', 'expired',
  'denied',
]);

/** What an access list denied. */
const ACCESS = ['read', 'write', 'subscribe'];

const NO_REASON = 0xff;

/** A cursor over records. */
class Reader {
  #bytes;
  #view;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get more() {
    return this.#at < this.#bytes.length;
  }

  u8() {
    return this.#view.getUint8(this.#at++);
  }

  u16() {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, true);
  }

  u32() {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  f64() {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  blob(length = this.u32()) {
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  text() {
    const length = this.u16();
    this.#at += length;
    return decoder.decode(this.#bytes.subarray(this.#at - length, this.#at));
  }
}

function* read(bytes, kinds) {
  const from = new Reader(bytes);
  while (from.more) {
    const kind = kinds[from.u8()];
    yield kind(from);
  }
}

const OUTPUT = {
  1: (from) => ({ kind: 'output', conn: from.u32(), bytes: from.blob() }),
  2: (from) => ({ kind: 'close', conn: from.u32(), reason: from.text() }),
  3: (from) => ({ kind: 'pause', conn: from.u32() }),
  4: (from) => ({ kind: 'resume', conn: from.u32() }),
};

const CLIENT = {
  1: () => ({ kind: 'open' }),
  2: () => ({ kind: 'closeTransport' }),
  3: (from) => ({ kind: 'connected', sessionPresent: from.u8() === 1, assignedId: from.text() }),
  4: (from) => ({ kind: 'refused', reason: from.u8(), text: from.text() }),
  5: message,
  6: (from) => ({ kind: 'published', token: from.f64(), reason: from.u8() }),
  7: (from) => ({ kind: 'dropped', token: from.f64(), text: from.text() }),
  8: (from) => ({ kind: 'subscribed', id: from.u16(), reasons: from.blob() }),
  9: (from) => ({ kind: 'unsubscribed', id: from.u16(), reasons: from.blob() }),
  10: (from) => ({ kind: 'disconnected', text: from.text() }),
  11: (from) => ({ kind: 'reconnect', at: from.f64() }),
  12: () => ({ kind: 'stopped' }),
};

const TRACE = {
  1: packet,
  2: (from) => ({ kind: 'opened', at: from.f64(), conn: from.u32() }),
  3: (from) => ({
    kind: 'connected', at: from.f64(), conn: from.u32(), version: from.u8(),
    sessionPresent: from.u8() === 1, keepAlive: from.u16(), clientId: from.text(),
  }),
  4: (from) => ({
    kind: 'closed', at: from.f64(), conn: from.u32(), clientId: from.text(), reason: from.text(),
  }),
  5: (from) => subscription('subscribed', from),
  6: (from) => subscription('unsubscribed', from),
  7: (from) => ({ kind: 'sessionEnded', at: from.f64(), clientId: from.text() }),
  8: (from) => ({ kind: 'will', at: from.f64(), clientId: from.text(), topic: from.text() }),
  9: (from) => ({
    kind: 'delivery', at: from.f64(), qos: from.u8(), outcome: OUTCOMES[from.u8()],
    clientId: from.text(), topic: from.text(), rule: from.text() || undefined,
  }),
  10: (from) => ({
    kind: 'denied', at: from.f64(), access: ACCESS[from.u8()], clientId: from.text(),
    topic: from.text(), rule: from.text(),
  }),
};

function message(from) {
  const flags = from.u8();
  return {
    kind: 'message', qos: (flags >> 1) & 3, retain: (flags & 1) === 1, dup: (flags & 8) === 8,
    packetId: from.u16() || undefined, topic: from.text(), payload: from.blob(),
  };
}

function subscription(kind, from) {
  const at = from.f64();
  return { kind, at, clientId: from.text(), filter: from.text(), reason: from.u8() };
}

function packet(from) {
  const at = from.f64();
  const conn = from.u32();
  const out = from.u8() === 1;
  const version = from.u8();
  const first = from.u8();
  const reason = from.u8();
  const id = from.u16();
  const subject = from.text();
  const length = from.u32();
  const payloadLength = from.u32();
  const isPublish = first >> 4 === 3;
  return {
    kind: 'packet', at, conn, out, version, type: PACKET_NAMES[first >> 4], subject, length,
    payloadLength, bytes: from.blob(),
    packetId: id || undefined,
    reason: reason === NO_REASON ? undefined : reason,
    qos: isPublish ? (first >> 1) & 3 : undefined,
    retain: isPublish && (first & 1) === 1,
    dup: isPublish && (first & 8) === 8,
  };
}

/** What a broker asks for. */
export const readOutput = (bytes) => read(bytes, OUTPUT);

/** What happened to a client. */
export const readClientEvents = (bytes) => read(bytes, CLIENT);

/** What a broker's observer saw. */
export const readTrace = (bytes) => read(bytes, TRACE);
