/** The clients: whether they are connected, what they subscribed to, what they got last. */
import { el, replaceIfChanged } from './dom.js';

const VERSIONS = { 3: '3.1', 4: '3.1.1', 5: '5.0' };

export class ClientsView {
  #list;
  #model;
  #cards = new Map();

  constructor(list, model) {
    this.#list = list;
    this.#model = model;
  }

  render({ clients }) {
    for (const client of clients) {
      if (!this.#cards.has(client.name)) this.#add(client);
      this.#update(this.#cards.get(client.name), client);
    }
  }

  #add({ name, version }) {
    const state = el('span', { class: 'state' });
    const link = el('button', { type: 'button', class: 'quiet' });
    link.addEventListener('click', () => this.#toggle(name));
    const filters = el('ul', { class: 'filters', 'aria-label': `Subscriptions of ${name}` });
    const messages = el('ul', { class: 'messages', 'aria-label': `Last messages to ${name}` });
    const card = el('li', { class: 'client', 'data-client': name },
      el('div', { class: 'client-head' },
        el('span', { class: 'dot', 'aria-hidden': 'true' }), el('h3', {}, name),
        el('span', { class: 'version' }, `MQTT ${VERSIONS[version]}`), state, link),
      filters, messages);
    this.#cards.set(name, { card, state, link, filters, messages });
    this.#list.append(card);
  }

  #update({ card, state, link, filters, messages }, client) {
    card.classList.toggle('connected', client.connected);
    state.textContent = client.connected ? 'connected' : 'offline';
    link.textContent = client.connected ? 'Cut link' : 'Connect';
    link.setAttribute('aria-label', `${link.textContent}: ${client.name}`);
    const key = [...client.filters].flat().join('\n');
    replaceIfChanged(filters, `:${key}`, () => [...client.filters].map(([filter, qos]) =>
      this.#filter(client.name, filter, qos)));
    replaceIfChanged(messages, String(client.received), () => client.messages.map(message));
  }

  #filter(name, filter, qos) {
    const remove = el('button', { type: 'button', 'aria-label': `Unsubscribe ${name} from ${filter}` }, '×');
    remove.addEventListener('click', () => this.#model.unsubscribe(name, filter).catch(() => {
      // The link went in between; the subscription goes with the session.
    }));
    return el('li', { class: `chip qos${qos}` },
      el('code', {}, filter), el('span', { class: 'level' }, `QoS ${qos}`), remove);
  }

  #toggle(name) {
    if (this.#model.client(name).connected) this.#model.cut(name);
    else this.#model.connect(name).catch(() => {
      // Shown by the card itself: it stays offline.
    });
  }
}

function message({ topic, text, qos, retain }) {
  return el('li', { class: `qos${qos}` },
    el('code', { class: 'topic' }, topic),
    el('span', { class: 'text' }, text),
    el('span', { class: 'level' }, `QoS ${qos}${retain ? ', retained' : ''}`));
}
