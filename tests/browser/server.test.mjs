/** The real server: it serves the page, and the package's client talks to it over WebSocket. */
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { inBrowser } from './support/browser.mjs';
import { startServer } from './support/halyard.mjs';

const onPage = inBrowser();
let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

test('the server serves the page, which runs a broker of its own', async () => {
  await onPage(server.page, {}, async (page) => {
    await page.locator('.packet', { hasText: 'PUBCOMP' }).first().waitFor();
  });
});

for (const version of [3, 4, 5]) {
  test(`the client of the package gets a QoS 2 message from the server, protocol level ${version}`, () =>
    onPage('/test/blank.html', {}, async (page) => {
      await page.locator('html[data-ready]').waitFor({ state: 'attached' });
      const got = await page.evaluate(async ({ url, version }) => {
        const make = async (clientId) => {
          const client = new halyard.Client({ clientId: `${clientId}-${version}`, version });
          await client.connect({ url });
          return client;
        };
        const [sender, receiver] = [await make('sender'), await make('receiver')];
        const granted = await receiver.subscribe('page/#', { qos: 2 });
        const message = once(receiver, 'message');
        await sender.publish('page/to/server', 'and back', { qos: 2 });
        const { topic, payload, qos } = await message;
        sender.end();
        receiver.end();
        return [granted, topic, new TextDecoder().decode(payload), qos];
      }, { url: server.websocket, version });
      assert.deepEqual(got, [2, 'page/to/server', 'and back', 2]);
    }));
}
