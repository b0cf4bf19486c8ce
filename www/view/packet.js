/** A packet in words. */
import { reasonName } from '../halyard/index.js';

/** Packets of QoS 2's exchange; PUBACK is QoS 1's. */
const EXACTLY_ONCE = ['PUBREC', 'PUBREL', 'PUBCOMP'];

/** The colour of a packet: its QoS, or none. */
export function levelOf({ type, qos }) {
  if (type === 'PUBLISH') return `qos${qos}`;
  if (type === 'PUBACK') return 'qos1';
  return EXACTLY_ONCE.includes(type) ? 'qos2' : 'other';
}

/** Type and QoS. */
export function title({ type, qos, packetId }) {
  const level = type === 'PUBLISH' ? ` QoS ${qos}` : '';
  return `${type}${level}${packetId ? ` #${packetId}` : ''}`;
}

/** What the reason code means in this packet. */
export function reasonText({ type, reason }) {
  if (reason === undefined) return undefined;
  const name = type === 'SUBACK' && reason <= 2 ? `Granted QoS ${reason}` : reasonName(reason);
  return `${name ?? 'unknown'} (0x${reason.toString(16).padStart(2, '0').toUpperCase()})`;
}

/** All of it, for those who do not see the arrow. */
export function sentence(packet) {
  const way = packet.out ? `from the broker to ${packet.client}` : `from ${packet.client} to the broker`;
  const subject = packet.subject ? ` ${packet.subject}` : '';
  return `${title(packet)}${subject}, ${way}, ${packet.length} bytes`;
}
