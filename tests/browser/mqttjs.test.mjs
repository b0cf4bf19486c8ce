/** Stock MQTT.js against the broker in the page, by nothing but its option `createWebsocket`. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { inBrowser } from './support/browser.mjs';

const onPage = inBrowser();

/** Runs a step in the page once package and client are there. */
async function step(page, run, argument) {
  await page.locator('html[data-ready]').waitFor({ state: 'attached' });
  return page.evaluate(run, argument);
}

for (const protocolVersion of [4, 5]) {
  const version = protocolVersion === 5 ? '5.0' : '3.1.1';

  test(`MQTT.js ${version}: messages at each QoS`, () => onPage('/test/blank.html', {}, async (page) => {
    const got = await step(page, async (protocolVersion) => {
      const { createWebsocket } = new halyard.Broker();
      const options = { createWebsocket, protocolVersion, reconnectPeriod: 0 };
      const [sender, receiver] = await Promise.all([
        mqtt.connectAsync('ws://in.page/mqtt', { ...options, clientId: 'sender' }),
        mqtt.connectAsync('ws://in.page/mqtt', { ...options, clientId: 'receiver' }),
      ]);
      const messages = [];
      const all = new Promise((resolve) => receiver.on('message', (topic, payload, { qos }) => {
        messages.push([topic, payload.toString(), qos]);
        if (messages.length === 30) resolve();
      }));
      await receiver.subscribeAsync('t/#', { qos: 2 });
      for (let number = 0; number < 30; number += 1) {
        await sender.publishAsync(`t/${number % 3}`, `message ${number}`, { qos: number % 3 });
      }
      await all;
      await Promise.all([sender.endAsync(), receiver.endAsync()]);
      return messages;
    }, protocolVersion);
    const sent = Array.from({ length: 30 }, (_, number) => [`t/${number % 3}`, `message ${number}`, number % 3]);
    assert.deepEqual(got, sent);
  }));

  test(`MQTT.js ${version}: a burst of QoS 1 and 2, and half a megabyte at once`, () =>
    onPage('/test/blank.html', {}, async (page) => {
      const [count, length, intact] = await step(page, async (protocolVersion) => {
        const { createWebsocket } = new halyard.Broker({ maxQueuedMessages: 0 });
        const options = { createWebsocket, protocolVersion, reconnectPeriod: 0 };
        const sender = await mqtt.connectAsync('ws://in.page/mqtt', options);
        const receiver = await mqtt.connectAsync('ws://in.page/mqtt', options);
        const large = new Uint8Array(500_000).map((_, at) => at * 7);
        let count = 0;
        let last;
        const all = new Promise((resolve) => receiver.on('message', (topic, payload) => {
          count += 1;
          if (topic === 'last') {
            last = payload;
            resolve();
          }
        }));
        await receiver.subscribeAsync('#', { qos: 2 });
        await Promise.all(Array.from({ length: 300 }, (_, number) =>
          sender.publishAsync('burst', String(number), { qos: 1 + (number % 2) })));
        await sender.publishAsync('last', large, { qos: 2 });
        await all;
        await Promise.all([sender.endAsync(), receiver.endAsync()]);
        return [count, last.length, last.every((byte, at) => byte === large[at])];
      }, protocolVersion);
      assert.deepEqual([count, length, intact], [301, 500_000, true]);
    }));

  test(`MQTT.js ${version}: retained, will, and a session that is resumed`, () =>
    onPage('/test/blank.html', {}, async (page) => {
      const got = await step(page, async (protocolVersion) => {
        const { createWebsocket } = new halyard.Broker();
        const options = { createWebsocket, protocolVersion, reconnectPeriod: 0 };
        const watch = (client) => new Promise((resolve) => client.once('message', (topic, payload) =>
          resolve(`${topic}: ${payload}`)));
        const watcher = await mqtt.connectAsync('ws://in.page/mqtt', options);
        await watcher.publishAsync('state', 'kept', { retain: true, qos: 1 });
        const retained = watch(watcher);
        await watcher.subscribeAsync('state', { qos: 1 });
        const results = [await retained];

        await watcher.subscribeAsync('wills', { qos: 1 });
        const will = { topic: 'wills', payload: 'gone', qos: 1 };
        const dying = await mqtt.connectAsync('ws://in.page/mqtt', { ...options, will });
        const lastWill = watch(watcher);
        dying.stream.destroy();
        results.push(await lastWill);

        const session = { ...options, clientId: 'sleeper', clean: false,
          ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 60 } }) };
        const sleeper = await mqtt.connectAsync('ws://in.page/mqtt', session);
        await sleeper.subscribeAsync('night', { qos: 1 });
        await sleeper.endAsync();
        await watcher.publishAsync('night', 'dream', { qos: 1 });
        const awake = mqtt.connect('ws://in.page/mqtt', session);
        results.push(await watch(awake));
        await Promise.all([watcher.endAsync(), awake.endAsync()]);
        return results;
      }, protocolVersion);
      assert.deepEqual(got, ['state: kept', 'wills: gone', 'night: dream']);
    }));
}
