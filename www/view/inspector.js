/** One packet in full: its fields, and its bytes with the payload marked. */
import { el } from './dom.js';
import { levelOf, reasonText, title } from './packet.js';

const VERSIONS = { 3: '3.1', 4: '3.1.1', 5: '5.0' };
/** Bytes in a line of the dump. */
const WIDTH = 8;
/** Lines that are shown. */
const LINES_MAX = 32;

export class InspectorView {
  #element;

  constructor(element) {
    this.#element = element;
  }

  show(packet) {
    if (!packet) {
      this.#element.replaceChildren(
        el('p', { class: 'hint' }, 'Point at a packet, or move to it with the keys, to see its bytes.'));
      return;
    }
    this.#element.replaceChildren(
      el('p', { class: `packet-title ${levelOf(packet)}` }, title(packet)),
      el('dl', {}, ...fields(packet).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
      dump(packet),
      packet.payloadLength > 0 ? el('p', { class: 'hint' }, el('mark', {}, 'Marked'), ' is the payload.') : '');
  }
}

function fields(packet) {
  const flags = [packet.retain && 'RETAIN', packet.dup && 'DUP'].filter(Boolean).join(', ');
  return [
    ['Way', packet.out ? `broker → ${packet.client}` : `${packet.client} → broker`],
    ['Subject', packet.subject],
    ['Flags', flags],
    ['Reason', reasonText(packet)],
    ['Version', VERSIONS[packet.version]],
    ['Length', `${packet.length} bytes`],
    ['Time', `${(packet.at / 1e6).toFixed(3)} s`],
  ].filter(([, value]) => value);
}

function dump({ bytes, length, payloadLength }) {
  const payloadAt = length - payloadLength;
  const lines = [];
  for (let at = 0; at < bytes.length && lines.length < LINES_MAX; at += WIDTH) {
    const slice = [...bytes.subarray(at, at + WIDTH)];
    const hex = slice.map((byte, i) =>
      cell(byte.toString(16).padStart(2, '0'), at + i >= payloadAt));
    const text = slice.map((byte, i) =>
      cell(byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·', at + i >= payloadAt));
    lines.push(el('tr', {},
      el('th', { scope: 'row' }, at.toString(16).padStart(4, '0')),
      el('td', { class: 'hex' }, ...hex),
      el('td', { class: 'text' }, ...text)));
  }
  const left = length - Math.min(bytes.length, LINES_MAX * WIDTH);
  if (left > 0) lines.push(el('tr', {}, el('td', { colSpan: 3 }, `and ${left} bytes more`)));
  return el('table', { class: 'dump' },
    el('caption', {}, 'Bytes'), el('tbody', {}, ...lines));
}

function cell(text, isPayload) {
  return el(isPayload ? 'mark' : 'span', {}, text);
}
