/** The page as a person meets it: broker, clients, packets, forms, keys, both widths and themes. */
import test from 'node:test';
import assert from 'node:assert/strict';
import axe from 'axe-core';
import { inBrowser } from './support/browser.mjs';

const onPage = inBrowser();
const PHONE = { viewport: { width: 390, height: 844 } };

/** The opening scene is over: every client is connected and every QoS was seen. */
async function opened(page) {
  await page.locator('.packet', { hasText: 'PUBCOMP' }).first().waitFor();
}

/** Publishes by the form. */
async function publish(page, { topic, payload, qos }) {
  await page.getByLabel('Topic').fill(topic);
  await page.getByLabel('Payload').fill(payload);
  await page.locator(`input[name="publish-qos"][value="${qos}"]`).check();
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
}

const messagesOf = (page, client) => page.locator(`[data-client="${client}"] .messages li`);

test('a broker runs and its clients talk without a click', () => onPage('/', {}, async (page) => {
  await opened(page);
  for (const client of ['sensor', 'dashboard', 'phone']) {
    await page.locator(`[data-client="${client}"].connected`).waitFor();
  }
  for (const qos of [0, 1, 2]) {
    await page.locator(`.packet.qos${qos}`, { hasText: `PUBLISH QoS ${qos}` }).first().waitFor();
  }
  await page.locator('#status', { hasText: 'running · 3 of 3 clients' }).waitFor();
}));

test('a QoS 2 message goes from the form to the subscriber, with all its packets', () =>
  onPage('/', {}, async (page) => {
    await opened(page);
    await page.locator('#play').click();
    await page.locator('#clear').click();
    await publish(page, { topic: 'home/attic/smoke', payload: 'exactly once', qos: 2 });
    const message = messagesOf(page, 'dashboard').filter({ hasText: 'home/attic/smoke' });
    await message.filter({ hasText: 'exactly once' }).filter({ hasText: 'QoS 2' }).waitFor();
    await page.locator('#publish output', { hasText: 'PUBCOMP' }).waitFor();
    const seen = page.locator('.packet');
    await seen.nth(7).waitFor();
    const titles = (await seen.locator('b').allTextContents()).map((text) => text.split(' ')[0]);
    // Either side does the whole exchange; how the two interleave is the broker's choice.
    assert.deepEqual(titles.toSorted(), [
      'PUBCOMP', 'PUBCOMP', 'PUBLISH', 'PUBLISH', 'PUBREC', 'PUBREC', 'PUBREL', 'PUBREL',
    ]);
    assert.equal(await message.count(), 1, 'exactly once');
    assert.equal(await messagesOf(page, 'phone').filter({ hasText: 'attic' }).count(), 0);
  }));

for (const qos of [0, 1]) {
  test(`a QoS ${qos} message goes from the form to the subscriber`, () => onPage('/', {}, async (page) => {
    await opened(page);
    await publish(page, { topic: 'home/cellar', payload: `level ${qos}`, qos });
    await messagesOf(page, 'dashboard').filter({ hasText: `level ${qos}` }).filter({ hasText: `QoS ${qos}` })
      .waitFor();
  }));
}

test('a subscription can be made and ended', () => onPage('/', {}, async (page) => {
  await opened(page);
  await page.getByLabel('Filter').fill('garden/+');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  const chip = page.locator('[data-client="phone"] .chip', { hasText: 'garden/+' });
  await chip.waitFor();
  await publish(page, { topic: 'garden/gnome', payload: 'hello', qos: 1 });
  await messagesOf(page, 'phone').filter({ hasText: 'garden/gnome' }).waitFor();
  await page.getByRole('button', { name: 'Unsubscribe phone from garden/+' }).click();
  await chip.waitFor({ state: 'detached' });
}));

test('a link can be cut and made again', () => onPage('/', {}, async (page) => {
  await opened(page);
  await page.getByRole('button', { name: 'Cut link: phone' }).click();
  await page.locator('[data-client="phone"] .state', { hasText: 'offline' }).waitFor();
  await page.getByRole('button', { name: 'Connect: phone' }).click();
  await page.locator('[data-client="phone"].connected').waitFor();
}));

test('what a filter must not hold is refused in words', () => onPage('/', {}, async (page) => {
  await opened(page);
  await publish(page, { topic: 'home/+/all', payload: 'x', qos: 1 });
  await page.locator('#publish output.failed', { hasText: 'holds +, # or U+0000' }).waitFor();
}));

test('payloads and topics are text and never markup', () => onPage('/', {}, async (page) => {
  await opened(page);
  const markup = '<img src=x onerror=alert(1)>';
  await publish(page, { topic: `home/${markup}`, payload: markup, qos: 1 });
  await messagesOf(page, 'dashboard').filter({ hasText: markup }).first().waitFor();
  assert.equal(await page.locator('main img').count(), 0);
}));

test('everything can be done by keyboard', () => onPage('/', {}, async (page) => {
  await opened(page);
  await page.locator('#play').focus();
  await page.keyboard.press('Space');
  await page.getByLabel('Topic').focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('home/key');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('by key');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await messagesOf(page, 'dashboard').filter({ hasText: 'by key' }).filter({ hasText: 'QoS 1' }).waitFor();
  // The list of packets is one stop of the Tab key; arrows move within it.
  await page.locator('#clear').focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowUp');
  const focused = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  assert.match(focused, /^[A-Z]+ .*(to|from) the broker/);
  const title = await page.locator('.packet-title').textContent();
  assert.ok(focused.startsWith(title), `the inspector shows ${title}, the focus is on ${focused}`);
  await page.locator('.dump .hex').first().waitFor();
}));

for (const colorScheme of ['light', 'dark']) {
  for (const [name, size] of [['1280', {}], ['390', PHONE]]) {
    test(`at ${name} pixels, ${colorScheme}, nothing overflows and axe finds nothing`, () =>
      onPage('/', { ...size, colorScheme }, async (page) => {
        await opened(page);
        await page.locator('.packet').first().click();
        const [inner, whole] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
        assert.ok(whole <= inner, `${whole} pixels of content in ${inner}`);
        await page.evaluate(axe.source);
        const { violations } = await page.evaluate(() => window.axe.run());
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
        assert.deepEqual(found, []);
      }));
  }
}

test('the button changes the theme and it stays so', () => onPage('/', { colorScheme: 'light' }, async (page) => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator('#theme').click();
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await ground(), dark);
}));
