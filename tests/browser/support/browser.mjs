/** A Chromium and a server for a file of tests; each test has a page of its own. */
import { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { serve } from './server.mjs';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
/** The longest that a test waits for anything, milliseconds. */
const PATIENCE = 30_000;
/** The longest that a test may take; a machine may be busy. */
const TEST_PATIENCE = 180_000;

/** Resolves as `work` does, unless that takes too long. */
async function inTime(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${TEST_PATIENCE} ms`)), TEST_PATIENCE);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Sets both up; gives a function that opens a page at a path and runs a test on it. */
export function inBrowser() {
  let browser;
  let server;
  before(async () => {
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    [browser, server] = await Promise.all([chromium.launch({ executablePath, args: FLAGS }), serve()]);
  });
  after(async () => {
    await Promise.all([browser?.close(), server?.close()]);
  });

  return async function onPage(path, options, run) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const complaints = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`));
    try {
      await page.goto(new URL(path, server.url).href);
      await inTime(run(page));
      assert.deepEqual(complaints, [], 'nothing on the console');
    } finally {
      await context.close();
    }
  };
}
