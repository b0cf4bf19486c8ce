/**
 * A WebSocket without a network: one end of a connection to a broker in the page, in the shape of
 * the browser's `WebSocket`, so that clients written for that one work unchanged. Events come in
 * order and never from within `send` or `close`. Bytes are a stream: where they are cut means
 * nothing [MQTT-6.0.0-2].
 */

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** Subprotocols that brokers speak. */
const PROTOCOLS = ['mqtt', 'mqttv3.1'];
/** Longest reason of a close, in bytes. */
const REASON_MAX = 123;

/** CloseEvent, where there is none (Node before 23). */
const CloseEventClass = globalThis.CloseEvent ?? class CloseEvent extends Event {
  constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
    super(type);
    Object.assign(this, { code, reason, wasClean });
  }
};

export class BrokerSocket extends EventTarget {
  #port;
  #state = CONNECTING;
  #buffered = 0;
  #handlers = new Map();
  #binaryType = 'blob';
  #closing = { code: 1005, reason: '' };

  /** The URL it was made for; nothing is looked up under it. */
  url;
  /** The subprotocol chosen. */
  protocol = '';
  extensions = '';

  /** `attach` is the broker's: it takes the receiving side and gives the sending one. */
  constructor(attach, url = 'ws://broker.page/mqtt', protocols = []) {
    super();
    this.url = String(url);
    const offered = typeof protocols === 'string' ? [protocols] : [...(protocols ?? [])];
    const chosen = offered.find((name) => PROTOCOLS.includes(name));
    this.#port = attach({
      refused: offered.length > 0 && chosen === undefined,
      opened: () => this.#opened(chosen ?? ''),
      received: (bytes) => this.#received(bytes),
      taken: (length) => { this.#buffered -= length; },
      ended: (end) => this.#ended(end),
    });
  }

  get readyState() {
    return this.#state;
  }

  /** Bytes given to `send` that the broker has not taken yet. */
  get bufferedAmount() {
    return this.#buffered;
  }

  /** `'blob'`, as with any WebSocket, or `'arraybuffer'`. */
  get binaryType() {
    return this.#binaryType;
  }

  set binaryType(type) {
    if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type;
  }

  /** Sends a copy of the bytes. Text closes the connection, as MQTT demands [MQTT-6.0.0-1]. */
  send(data) {
    if (this.#state === CONNECTING) {
      throw new DOMException('send: the socket is still connecting', 'InvalidStateError');
    }
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : copyOf(data);
    this.#buffered += bytes.length;
    if (this.#state !== OPEN) return;
    if (typeof data === 'string') {
      this.#state = CLOSING;
      this.#closing = { code: 1003, reason: 'MQTT is binary' };
      this.#port.close(true);
    } else {
      this.#port.send(bytes);
    }
  }

  close(code, reason = '') {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(`close: code ${code} is not 1000 or 3000 to 4999`, 'InvalidAccessError');
    }
    if (new TextEncoder().encode(reason).length > REASON_MAX) {
      throw new DOMException(`close: the reason is longer than ${REASON_MAX} bytes`, 'SyntaxError');
    }
    if (this.#state >= CLOSING) return;
    const early = this.#state === CONNECTING;
    this.#state = CLOSING;
    if (code !== undefined) this.#closing = { code, reason: String(reason) };
    if (early) this.#closing = { code: 1006, reason: '' };
    this.#port.close(early);
  }

  #opened(protocol) {
    if (this.#state !== CONNECTING) return;
    this.protocol = protocol;
    this.#state = OPEN;
    this.dispatchEvent(new Event('open'));
  }

  #received(bytes) {
    if (this.#state !== OPEN) return;
    const data = this.#binaryType === 'arraybuffer' ? bytes.buffer : new Blob([bytes]);
    this.dispatchEvent(new MessageEvent('message', { data, origin: this.url }));
  }

  /** `failed` if it never was open; `code` and `reason` if the broker closed. */
  #ended({ failed = false, code, reason }) {
    if (this.#state === CLOSED) return;
    const ours = this.#state === CLOSING;
    this.#state = CLOSED;
    const end = failed ? { code: 1006, reason: '' } : ours ? this.#closing : { code, reason };
    if (end.code === 1006) this.dispatchEvent(new Event('error'));
    this.dispatchEvent(new CloseEventClass('close', { ...end, wasClean: end.code !== 1006 }));
  }

  get onopen() { return this.#handler('open'); }
  set onopen(handler) { this.#handle('open', handler); }
  get onmessage() { return this.#handler('message'); }
  set onmessage(handler) { this.#handle('message', handler); }
  get onerror() { return this.#handler('error'); }
  set onerror(handler) { this.#handle('error', handler); }
  get onclose() { return this.#handler('close'); }
  set onclose(handler) { this.#handle('close', handler); }

  #handler(type) {
    return this.#handlers.get(type)?.handler ?? null;
  }

  #handle(type, handler) {
    const entry = this.#handlers.get(type);
    if (entry) this.removeEventListener(type, entry.listener);
    this.#handlers.delete(type);
    if (typeof handler !== 'function') return;
    const listener = (event) => handler.call(this, event);
    this.#handlers.set(type, { handler, listener });
    this.addEventListener(type, listener);
  }
}

for (const target of [BrokerSocket, BrokerSocket.prototype]) {
  for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
    Object.defineProperty(target, name, { value, enumerable: true });
  }
}

/** A copy: senders hand in views of pools that they use again. */
function copyOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  }
  throw new TypeError('send: give it an ArrayBuffer or a view of one');
}
