// MQTT.js in all versions, over TCP or WebSocket: node mqttjs.js NAME URL [CHECK ...]
import mqtt from "mqtt";
import { Bell, check, expect, inTime, run } from "./harness.js";

const [name, url, ...only] = process.argv.slice(2);
const MAX_KEEPALIVE = Number(process.env.HALYARD_MAX_KEEPALIVE);
const MAX_PACKET_SIZE = Number(process.env.HALYARD_MAX_PACKET_SIZE);
const V31 = { protocolId: "MQIsdp", protocolVersion: 3 };
const V311 = { protocolVersion: 4 };
const V5 = { protocolVersion: 5 };

/** A client that keeps what it receives. */
class Peer {
  messages = [];
  bell = new Bell();
  connack = null;
  disconnect = null;
  closed = false;

  constructor(clientId, options = {}) {
    this.client = mqtt.connect(url, {
      ...V5, clientId, reconnectPeriod: 0, connectTimeout: 20_000, resubscribe: false, ...options,
    });
    this.client.on("packetreceive", (packet) => {
      if (packet.cmd === "connack") this.connack = packet;
      if (packet.cmd === "disconnect") this.disconnect = packet;
      this.bell.ring();
    });
    this.client.on("message", (topic, payload, packet) => {
      this.messages.push({ topic, text: payload.toString(), payload, packet });
      this.bell.ring();
    });
    this.client.on("close", () => {
      this.closed = true;
      this.bell.ring();
    });
    // An error ends the connection; what it leads to is what the checks look at.
    this.client.on("error", () => this.bell.ring());
  }

  static async open(clientId, options) {
    const peer = new Peer(clientId, options);
    await peer.bell.wait("CONNACK", () => peer.connack || peer.closed);
    expect(peer.connack?.returnCode ?? peer.connack?.reasonCode, 0, "CONNACK");
    return peer;
  }

  async subscribe(filter, options = { qos: 0 }) {
    const granted = await inTime(`SUBACK for ${filter}`, this.client.subscribeAsync(filter, options));
    return granted.map(({ qos }) => qos);
  }

  unsubscribe(filter) {
    return inTime(`UNSUBACK for ${filter}`, this.client.unsubscribeAsync(filter));
  }

  publish(topic, payload, options = {}) {
    return inTime(`the end of PUBLISH to ${topic}`, this.client.publishAsync(topic, payload, options));
  }

  async take(count) {
    await this.bell.wait(`${count} messages`, () => this.messages.length >= count);
    return this.messages.splice(0);
  }

  /** Waits for a message to itself, so that all before it has come; the topic is subscribed. */
  async fence(topic, qos = 0) {
    await this.publish(topic, "fence", { qos });
    const isFence = (message) => message.text === "fence";
    await this.bell.wait("the fence", () => this.messages.some(isFence));
    this.messages = this.messages.filter((message) => !isFence(message));
  }

  end() {
    return inTime("the end", this.client.endAsync());
  }

  /** Ends the connection without a DISCONNECT. */
  vanish() {
    this.client.stream.destroy();
    return this.bell.wait("the close", () => this.closed);
  }
}

/** Runs `body` with open clients and closes them. */
async function using(peers, body) {
  const open = await Promise.all(peers.map(([id, options]) => Peer.open(id, options)));
  try {
    return await body(...open);
  } finally {
    for (const peer of open) peer.client.end(true);
  }
}

for (const [label, version] of Object.entries({ v31: V31, v311: V311, v5: V5 })) {
  check(`each_qos_${label}`, (base) =>
    using([[`${label}-s-${name}`, version], [`${label}-p-${name}`, version]],
      async (subscriber, publisher) => {
        for (const granted of [0, 1, 2]) {
          expect(await subscriber.subscribe(`${base}/${granted}/+`, { qos: granted }), [granted], "SUBACK");
          for (const sent of [0, 1, 2]) {
            await publisher.publish(`${base}/${granted}/${sent}`, `${granted}${sent}`, { qos: sent });
            const [message] = await subscriber.take(1);
            expect([message.text, message.packet.qos], [`${granted}${sent}`, Math.min(granted, sent)], "delivery");
          }
        }
      }));
}

check("wildcards", (base) =>
  using([[base, V311]], async (client) => {
    await client.subscribe([`${base}/+/t`, `${base}/deep/#`], { qos: 1 });
    for (const topic of ["t", "a/t/b", "a/t", "deep", "deep/er"]) {
      await client.publish(`${base}/${topic}`, topic, { qos: 1 });
    }
    expect((await client.take(3)).map(({ text }) => text), ["a/t", "deep", "deep/er"], "messages");
  }));

check("retained_set_and_cleared", (base) =>
  using([[base, V311]], async (client) => {
    await client.publish(base, "kept", { qos: 1, retain: true });
    await client.subscribe(base, { qos: 1 });
    const [message] = await client.take(1);
    expect([message.text, message.packet.retain], ["kept", true], "retained message");
    await client.publish(base, "", { qos: 1, retain: true });
    expect((await client.take(1))[0].packet.retain, false, "RETAIN of the clearing message");
    await client.unsubscribe(base);
    await client.subscribe(base, { qos: 1 });
    await client.fence(base);
    expect(client.messages.length, 0, "messages after clearing");
  }));

for (const [label, version] of Object.entries({ v311: V311, v5: V5 })) {
  check(`will_on_abrupt_close_${label}`, (base) =>
    using([[`${base}-watch`, version]], async (watcher) => {
      await watcher.subscribe(`${base}/+`, { qos: 1 });
      const will = (topic) => ({ ...version, will: { topic: `${base}/${topic}`, payload: topic, qos: 1 } });
      await (await Peer.open(`${base}-orderly`, will("orderly"))).end();
      await (await Peer.open(`${base}-lost`, will("lost"))).vanish();
      expect((await watcher.take(1)).map(({ text }) => text), ["lost"], "wills");
    }));

  check(`persistent_session_${label}`, (base) =>
    using([[`${base}-pub`, version]], async (publisher) => {
      const session = { ...version, clean: false, properties: { sessionExpiryInterval: 100 } };
      if (label === "v311") delete session.properties;
      const first = await Peer.open(base, session);
      expect(first.connack.sessionPresent, false, "Session Present at first");
      await first.subscribe(`${base}/t`, { qos: 2 });
      await first.vanish();
      for (let n = 0; n < 10; n += 1) await publisher.publish(`${base}/t`, String(n), { qos: 2 });
      await using([[base, session]], async (second) => {
        expect(second.connack.sessionPresent, true, "Session Present");
        const numbers = (await second.take(10)).map(({ text }) => Number(text));
        expect(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "messages from the queue");
      });
    }));
}

check("shared_subscription", (base) =>
  using([[`${base}-1`], [`${base}-2`], [`${base}-pub`]], async (first, second, publisher) => {
    for (const member of [first, second]) await member.subscribe(`$share/g/${base}`, { qos: 1 });
    for (let n = 0; n < 20; n += 1) await publisher.publish(base, String(n), { qos: 1 });
    const all = () => [...first.messages, ...second.messages];
    const complete = () => all().length >= 20 && first.messages.length && second.messages.length;
    await Promise.race([first, second].map(({ bell }) => bell.wait("20 messages", complete)));
    expect(all().map(({ text }) => Number(text)).sort((a, b) => a - b), [...Array(20).keys()], "each once");
  }));

check("properties", (base) =>
  using([[base]], async (client) => {
    await client.subscribe(base, { qos: 1, properties: { subscriptionIdentifier: 9 } });
    const properties = {
      payloadFormatIndicator: true, contentType: "application/json", responseTopic: "answer",
      correlationData: Buffer.from([0, 255]), userProperties: { a: ["1", "2"], b: "3" },
      messageExpiryInterval: 100,
    };
    await client.publish(base, "{}", { qos: 1, properties });
    const { properties: got } = (await client.take(1))[0].packet;
    expect(got.contentType, "application/json", "Content Type");
    expect(got.responseTopic, "answer", "Response Topic");
    expect([...got.correlationData], [0, 255], "Correlation Data");
    expect({ ...got.userProperties }, { a: ["1", "2"], b: "3" }, "User Properties");
    expect(got.subscriptionIdentifier, 9, "Subscription Identifier");
    expect(got.messageExpiryInterval > 90, true, "Message Expiry Interval");
  }));

check("no_local", (base) =>
  using([[`${base}-a`], [`${base}-b`]], async (client, other) => {
    await client.subscribe(base, { qos: 1, nl: true });
    await client.publish(base, "own", { qos: 1 });
    await other.publish(base, "other", { qos: 1 });
    expect((await client.take(1)).map(({ text }) => text), ["other"], "messages");
  }));

check("retain_handling_and_as_published", (base) =>
  using([[base]], async (client) => {
    await client.publish(base, "kept", { qos: 1, retain: true });
    await client.subscribe(base, { qos: 1, rap: true, rh: 2 });
    await client.fence(base);
    expect(client.messages.length, 0, "messages with Retain Handling 2");
    await client.publish(base, "live", { qos: 1, retain: true });
    expect((await client.take(1))[0].packet.retain, true, "RETAIN as published");
    await client.publish(base, "", { qos: 1, retain: true });
  }));

check("topic_aliases_both_ways", (base) =>
  using([[`${base}-sub`, { ...V5, properties: { topicAliasMaximum: 5 } }],
    [`${base}-pub`, { ...V5, autoAssignTopicAlias: true, autoUseTopicAlias: true }]],
  async (subscriber, publisher) => {
    expect(publisher.connack.properties.topicAliasMaximum > 0, true, "Topic Alias Maximum");
    const sent = [];
    publisher.client.on("packetsend", (packet) => packet.cmd === "publish" && sent.push(packet.topic));
    await subscriber.subscribe(`${base}/#`, { qos: 1 });
    for (const topic of ["a", "b", "a", "b"]) await publisher.publish(`${base}/${topic}`, topic, { qos: 1 });
    expect(sent.slice(2), ["", ""], "topics as sent");
    const got = (await subscriber.take(4)).map(({ topic }) => topic);
    expect(got, ["a", "b", "a", "b"].map((topic) => `${base}/${topic}`), "topics as received");
  }));

check("connack_of_the_broker", async (base) => {
  await using([["", { ...V5, keepalive: MAX_KEEPALIVE + 1 }], [base]], async (nameless, named) => {
    const { properties } = nameless.connack;
    expect(Boolean(properties.assignedClientIdentifier), true, "Assigned Client Identifier");
    expect(properties.serverKeepAlive, MAX_KEEPALIVE, "Server Keep Alive");
    expect(properties.maximumPacketSize, MAX_PACKET_SIZE, "Maximum Packet Size");
    expect(properties.receiveMaximum, 20, "Receive Maximum");
    expect(named.connack.properties.serverKeepAlive, undefined, "Server Keep Alive where none is needed");
  });
});

check("reason_codes", async (base) => {
  await using([[base]], async (client) => {
    const packets = [];
    client.client.on("packetreceive", (packet) => packets.push(packet));
    const last = (cmd) => packets.findLast((packet) => packet.cmd === cmd);
    await client.publish(base, "x", { qos: 1 });
    expect(last("puback").reasonCode, 0x10, "PUBACK without a subscriber");
    await client.publish(base, "x", { qos: 2 });
    expect(last("pubrec").reasonCode, 0x10, "PUBREC without a subscriber");
    await client.unsubscribe(base);
    expect(last("unsuback").granted, [0x11], "UNSUBACK without a subscription");
    const second = await Peer.open(base);
    await client.bell.wait("DISCONNECT", () => client.disconnect);
    expect(client.disconnect.reasonCode, 0x8e, "the reason of a takeover");
    second.client.subscribe(`$share/g/${base}`, { qos: 1, nl: true }, () => {});
    await second.bell.wait("DISCONNECT", () => second.disconnect);
    expect(second.disconnect.reasonCode, 0x82, "No Local on a shared subscription");
  });
  await using([[base]], async (client) => {
    client.client.publish(base, Buffer.alloc(MAX_PACKET_SIZE));
    await client.bell.wait("DISCONNECT", () => client.disconnect);
    expect(client.disconnect.reasonCode, 0x95, "a packet above the Maximum Packet Size");
  });
});

// MQTT.js does not heed the broker's Receive Maximum. QoS 1 is acknowledged at once, so a burst does
// no harm; a burst of QoS 2 is more than the standard allows [MQTT-3.3.4-9].
check("bursts_and_the_receive_maximum", (base) =>
  using([[`${base}-1`], [`${base}-2`], [`${base}-old`, V311]], async (once, twice, old) => {
    const burst = (client, qos) =>
      Promise.all(Array.from({ length: 200 }, (_, n) => client.publish(`${base}/t`, String(n), { qos })));
    await burst(once, 1);
    await burst(old, 2);
    burst(twice, 2).catch(() => {});
    await twice.bell.wait("DISCONNECT", () => twice.disconnect);
    expect(twice.disconnect.reasonCode, 0x93, "the reason of the end");
  }));

check("large_payload", (base) =>
  using([[base]], async (client) => {
    const payload = Buffer.alloc(512_000, "0123456789abcdef");
    await client.subscribe(base, { qos: 2 });
    for (const qos of [0, 1, 2]) {
      await client.publish(base, payload, { qos });
      expect((await client.take(1))[0].payload.equals(payload), true, `the payload with QoS ${qos}`);
    }
  }));

check("reconnects_by_itself", (base) =>
  using([[base, { ...V311, clean: false, reconnectPeriod: 10 }]], async (client) => {
    await client.subscribe(base, { qos: 1 });
    client.connack = null;
    client.client.stream.destroy();
    await client.bell.wait("the next CONNACK", () => client.connack);
    expect(client.connack.sessionPresent, true, "Session Present");
    await client.publish(base, "back", { qos: 1 });
    expect((await client.take(1))[0].text, "back", "message");
  }));

await run(name, only);
