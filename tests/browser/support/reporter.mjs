/** Says of each test how it ended, of each failure why, and at the end how many of either. */
export default async function* reporter(events) {
  let passed = 0;
  let failed = 0;
  for await (const { type, data } of events) {
    if (type === 'test:diagnostic' && data.nesting > 0) yield `      ${data.message}\n`;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details.type === 'suite') continue;
    if (type === 'test:pass') {
      passed += 1;
      yield `  ok    ${data.name}\n`;
    } else {
      failed += 1;
      yield `  FAIL  ${data.name}\n${data.details.error?.cause?.stack ?? data.details.error}\n`;
    }
  }
  yield `${passed} passed, ${failed} failed\n`;
}
