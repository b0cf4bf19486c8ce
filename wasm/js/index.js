/**
 * Halyard in a page: an MQTT broker and a client, the same code as the server's.
 *
 *     import { Broker, Client } from './halyard/index.js';
 *     const broker = new Broker();
 *     mqtt.connect('ws://broker', { createWebsocket: broker.createWebsocket }); // stock MQTT.js
 *     new Client({ clientId: 'me' }).connect({ createWebsocket: broker.createWebsocket });
 */
export { load, reasonName, version } from './wasm.js';
export { Broker } from './broker.js';
export { BrokerSocket } from './socket.js';
export { Client } from './client.js';
export { RealClock, VirtualClock } from './clock.js';
export { PACKET_NAMES, OUTCOMES } from './records.js';
