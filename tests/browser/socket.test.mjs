/** The socket has the shape of the browser's own, and the package's client and clocks work on it. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { inBrowser } from './support/browser.mjs';

const onPage = inBrowser();

async function step(page, run, argument) {
  await page.locator('html[data-ready]').waitFor({ state: 'attached' });
  return page.evaluate(run, argument);
}

const inPage = (name, run, expected) => test(name, () => onPage('/test/blank.html', {}, async (page) => {
  assert.deepEqual(await step(page, run), expected);
}));

inPage('it has what a WebSocket has, on class and instance', async () => {
  const socket = new halyard.Broker().createWebsocket('ws://in.page/mqtt', ['mqtt']);
  const missing = Object.keys(WebSocket.prototype).filter((name) => !(name in socket));
  const constants = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
  const different = constants.filter((name) =>
    socket[name] !== WebSocket[name] || halyard.BrokerSocket[name] !== WebSocket[name]);
  const before = [socket.readyState, socket.protocol, socket.binaryType];
  let refused;
  try {
    socket.send(new Uint8Array(1));
  } catch (error) {
    refused = error.name;
  }
  await once(socket, 'open');
  return { missing, different, before, refused, after: [socket.readyState, socket.protocol] };
}, {
  missing: [], different: [], before: [0, '', 'blob'], refused: 'InvalidStateError', after: [1, 'mqtt'],
});

/** CONNECT of 3.1.1, clean, Client Identifier `x`; PINGREQ. */
inPage('bytes are copied, may be cut anywhere, and come back later than send', async () => {
  const connect = [0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 1, 0x78];
  const socket = new halyard.Broker().createWebsocket('ws://in.page', 'mqtt');
  socket.binaryType = 'arraybuffer';
  const received = [];
  let inSend = false;
  let reentered = false;
  await once(socket, 'open');
  const answered = new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      reentered ||= inSend;
      received.push(...new Uint8Array(data));
      if (received.length === 6) resolve();
    };
  });
  const pool = new Uint8Array(8);
  inSend = true;
  for (const byte of [...connect, 0xc0, 0]) {
    pool[3] = byte;
    socket.send(pool.subarray(3, 4));
    pool.fill(0xff);
  }
  const buffered = socket.bufferedAmount;
  inSend = false;
  await answered;
  return { received, reentered, buffered, left: socket.bufferedAmount };
}, { received: [0x20, 2, 0, 0, 0xd0, 0], reentered: false, buffered: 17, left: 0 });

inPage('closing is clean, by either side', async () => {
  const broker = new halyard.Broker();
  const make = async () => {
    const socket = broker.createWebsocket('ws://in.page', ['mqtt']);
    await once(socket, 'open');
    return socket;
  };
  const end = (event) => [event.code, event.wasClean];
  const ours = await make();
  ours.close(1000, 'enough');
  const results = [ours.readyState, end(await once(ours, 'close')), ours.readyState];
  const text = await make();
  text.send('not MQTT');
  results.push(end(await once(text, 'close')));
  const wrong = await make();
  wrong.send(new Uint8Array([0xf0, 0, 0, 0]));
  results.push(end(await once(wrong, 'close')));
  const early = broker.createWebsocket('ws://in.page', ['mqtt']);
  early.close();
  results.push(end(await once(early, 'close')));
  const foreign = broker.createWebsocket('ws://in.page', ['soap']);
  results.push(end(await once(foreign, 'close')));
  return results;
}, [2, [1000, true], 3, [1003, true], [1000, true], [1006, false], [1006, false]]);

inPage('the client of the package subscribes, publishes and says why it failed', async () => {
  const broker = new halyard.Broker();
  const to = { createWebsocket: broker.createWebsocket };
  const make = async (clientId, version) => {
    const client = new halyard.Client({ clientId, version });
    await client.connect(to);
    return client;
  };
  const results = [];
  for (const version of [3, 4, 5]) {
    const one = await make(`one ${version}`, version);
    const two = await make(`two ${version}`, version);
    const granted = await two.subscribe('a/#', { qos: 2 });
    const message = once(two, 'message');
    await one.publish('a', 'text', { qos: 2 });
    const { topic, payload, qos } = await message;
    results.push([granted, topic, new TextDecoder().decode(payload), qos]);
    one.end();
    two.end();
  }
  const other = await make('other', 5);
  results.push(await other.subscribe('a/#/b').catch((error) => error.message));
  results.push(await new halyard.Client({ version: 6 }).connect(to).catch((error) => error.message));
  return results;
}, [
  [2, 'a', 'text', 2], [2, 'a', 'text', 2], [2, 'a', 'text', 2],
  'the server refused: reason code 0x8F',
  'version must be a whole number from 0 to 5',
]);

inPage('on a virtual clock the same steps give the same state', async () => {
  const run = async (seed) => {
    const clock = new halyard.VirtualClock();
    const broker = new halyard.Broker({ clock, seed });
    await broker.ready;
    const client = new halyard.Client({ clock, seed: 1, clientId: 'me', keepAlive: 10 });
    await client.connect({ createWebsocket: broker.createWebsocket });
    await client.subscribe('x', { qos: 1 });
    await client.publish('x', 'y', { qos: 1, retain: true });
    const rests = Array.from({ length: 3 }, () => new Promise((resolve) => setTimeout(resolve)));
    await Promise.all(rests);
    client.abort();
    const gone = once(client, 'disconnect');
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve))]);
    clock.advance(60_000_000);
    return String(broker.stateHash);
  };
  const [first, again] = [await run(1), await run(1)];
  return { same: first === again, hash: first !== 'undefined' };
}, { same: true, hash: true });
