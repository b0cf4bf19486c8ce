/** Halyard in a page: an MQTT 3.1, 3.1.1 and 5.0 broker and client. */

/** Loads the core; brokers and clients do so themselves. */
export function load(source?: string | URL | Response | BufferSource | WebAssembly.Module): Promise<void>;

/** The standard's name of a reason code; the core must be loaded. */
export function reasonName(code: number): string | undefined;
/** The version of the package; the core must be loaded. */
export function version(): string;

/** Microseconds since a start, never going back, and milliseconds since 1970. */
export interface Clock {
  now(): number;
  wall(): number;
  /** Calls `wake` at `at` microseconds; the result calls it off. */
  schedule(at: number, wake: () => void): () => void;
}

export class RealClock implements Clock {
  now(): number;
  wall(): number;
  schedule(at: number, wake: () => void): () => void;
}

/** Time that stands still until it is told to go on. */
export class VirtualClock implements Clock {
  constructor(wall?: number);
  now(): number;
  wall(): number;
  schedule(at: number, wake: () => void): () => void;
  /** When the next timer is due. */
  next(): number | undefined;
  /** Lets microseconds pass; timers fire on the way, each at its own time. */
  advance(micros: number): void;
}

export interface BrokerOptions {
  clock?: Clock;
  seed?: number | bigint;
  /** Seconds between rounds of `$SYS`; 0, the default, means none. */
  sysInterval?: number;
  maxPacketSize?: number;
  maxInflightMessages?: number;
  maxQueuedMessages?: number;
  retainAvailable?: boolean;
  /** Whether a client that exceeds the Receive Maximum is disconnected; `false` by default here. */
  receiveMaximumEnforced?: boolean;
}

export type QoS = 0 | 1 | 2;

/** What the observer saw; `at` is in microseconds. */
export type TraceRecord =
  | {
      kind: 'packet'; at: number; conn: number; out: boolean; version: number; type: string;
      /** Client Identifier, topic or first filter. */
      subject: string;
      packetId?: number; reason?: number; qos?: QoS; retain: boolean; dup: boolean;
      /** The packet on the wire, at most its first 1,024 bytes, and its whole length. */
      bytes: Uint8Array; length: number; payloadLength: number;
    }
  | { kind: 'opened'; at: number; conn: number }
  | {
      kind: 'connected'; at: number; conn: number; version: number; sessionPresent: boolean;
      keepAlive: number; clientId: string;
    }
  | { kind: 'closed'; at: number; conn: number; clientId: string; reason: string }
  | { kind: 'subscribed' | 'unsubscribed'; at: number; clientId: string; filter: string; reason: number }
  | { kind: 'sessionEnded'; at: number; clientId: string }
  | { kind: 'will'; at: number; clientId: string; topic: string }
  | {
      kind: 'delivery'; at: number; qos: QoS; outcome: string; clientId: string; topic: string;
      /** Which rule of an access list denied it: its file, its line and what it says. */
      rule?: string;
    }
  | {
      kind: 'denied'; at: number; access: 'read' | 'write' | 'subscribe'; clientId: string;
      topic: string; rule: string;
    };

export interface TraceEvent extends Event {
  records: TraceRecord[];
}

/** Makes a WebSocket, or what looks like one. */
export type CreateWebsocket = (url: string, protocols?: string | string[], options?: unknown) => WebSocket;

/** A broker in the page. */
export class Broker extends EventTarget {
  constructor(options?: BrokerOptions);
  readonly ready: Promise<void>;
  /** For `mqtt.connect(url, { createWebsocket })`. */
  readonly createWebsocket: CreateWebsocket;
  /** The same seed and inputs give the same hash, here and natively. */
  readonly stateHash: bigint | undefined;
  readonly footprint: number;
  /** Whether `trace` events are dispatched. */
  tracing: boolean;
  close(): void;
  addEventListener(type: 'trace', listener: (event: TraceEvent) => void): void;
  addEventListener(type: 'close', listener: (event: Event) => void): void;
}

/** A WebSocket without a network. */
export class BrokerSocket extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: BinaryType;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: ArrayBuffer | ArrayBufferView | string): void;
  close(code?: number, reason?: string): void;
}

export interface ClientOptions {
  clock?: Clock;
  seed?: number | bigint;
  clientId?: string;
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5 (5.0, the default). */
  version?: 3 | 4 | 5;
  keepAlive?: number;
  cleanStart?: boolean;
  sessionExpiryInterval?: number;
  receiveMaximum?: number;
  username?: string;
  password?: string | Uint8Array;
  will?: { topic: string; payload?: string | Uint8Array; qos?: QoS; retain?: boolean; delayInterval?: number };
  /** Milliseconds. */
  connectTimeout?: number;
  /** Milliseconds before the first reconnect; 0, the default, means none. */
  reconnectPeriod?: number;
}

export interface ClientMessageEvent extends Event {
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  dup: boolean;
}

/** A client, of a broker in the page (`createWebsocket`) or of a real server (`url`). */
export class Client extends EventTarget {
  constructor(options?: ClientOptions);
  readonly connected: boolean;
  readonly clientId: string;
  connect(to?: { url?: string; createWebsocket?: CreateWebsocket }): Promise<void>;
  /** Resolves with the reason code once the message has reached the server as its QoS promises. */
  publish(topic: string, payload: string | Uint8Array, options?: { qos?: QoS; retain?: boolean }): Promise<number>;
  /** Resolves with the granted QoS. */
  subscribe(filter: string, options?: { qos?: QoS }): Promise<number>;
  unsubscribe(filter: string): Promise<number>;
  end(): void;
  /** Drops the connection without a word. */
  abort(): void;
  addEventListener(type: 'message', listener: (event: ClientMessageEvent) => void): void;
  addEventListener(type: 'connect', listener: (event: Event & { sessionPresent: boolean }) => void): void;
  addEventListener(type: 'disconnect', listener: (event: Event & { reason: string }) => void): void;
  addEventListener(type: 'stop', listener: (event: Event) => void): void;
}

/** Names of the control packets by their value. */
export const PACKET_NAMES: readonly string[];
/** What becomes of a message at a subscriber. */
export const OUTCOMES: readonly string[];
