/**
 * The packets as a sequence diagram: a lane for each client and one for the broker, a row for each
 * packet. Each row is a button that says in words what its arrow shows.
 */
import { el } from './dom.js';
import { levelOf, sentence, title } from './packet.js';

export class SequenceView {
  #lanes;
  #list;
  #show;
  #rows = new Map();
  #order = [];
  #follow = true;
  #current;

  constructor(lanes, list, show) {
    this.#lanes = lanes;
    this.#list = list;
    this.#show = show;
    list.addEventListener('keydown', (event) => this.#key(event));
    list.addEventListener('scroll', () => {
      this.#follow = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    }, { passive: true });
  }

  render({ clients, packets }) {
    this.#drawLanes(clients);
    const first = packets[0]?.number ?? Infinity;
    for (const [number, row] of this.#rows) {
      if (number >= first) break;
      row.parentElement.remove();
      this.#rows.delete(number);
    }
    const last = [...this.#rows.keys()].at(-1) ?? 0;
    const fresh = packets.filter((packet) => packet.number > last);
    this.#list.append(...fresh.map((packet) => this.#row(packet)));
    if (this.#current && !this.#current.isConnected) this.#current = undefined;
    if (!this.#current && this.#list.lastElementChild) this.#tabStop(this.#list.lastElementChild.firstElementChild);
    if (fresh.length > 0 && this.#follow && !this.#list.contains(document.activeElement)) {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
  }

  #drawLanes(clients) {
    const left = clients.filter((client) => client.side === 'left');
    const right = clients.filter((client) => client.side !== 'left');
    const order = [...left.map((client) => client.name), undefined, ...right.map((client) => client.name)];
    if (order.join('\n') === this.#order.join('\n')) return;
    this.#order = order;
    this.#lanes.replaceChildren(...order.map((name) =>
      el('span', { class: name === undefined ? 'broker' : '' }, name ?? 'broker')));
    for (const element of [this.#lanes, this.#list]) element.style.setProperty('--lanes', order.length);
  }

  #row(packet) {
    const client = Math.max(0, this.#order.indexOf(packet.client));
    const broker = this.#order.indexOf(undefined);
    const [from, to] = packet.out ? [broker, client] : [client, broker];
    const label = el('span', { class: 'label' },
      el('b', {}, title(packet)), ' ',
      packet.subject ? el('span', { class: 'subject' }, packet.subject) : undefined);
    const button = el('button', {
      type: 'button', tabIndex: -1, 'aria-label': sentence(packet),
      class: `packet ${levelOf(packet)} ${from < to ? 'rightward' : 'leftward'}`,
    }, label, el('span', { class: 'arrow' }));
    button.style.setProperty('--at', Math.min(from, to));
    button.style.setProperty('--span', Math.abs(from - to));
    const show = () => this.#select(button, packet);
    button.addEventListener('pointerenter', show);
    button.addEventListener('focus', show);
    button.addEventListener('click', show);
    this.#rows.set(packet.number, button);
    return el('li', { 'data-type': packet.type }, button);
  }

  #select(button, packet) {
    this.#tabStop(button);
    this.#list.querySelector('.shown')?.classList.remove('shown');
    button.classList.add('shown');
    this.#show(packet);
  }

  /** One row at a time is reached by Tab, the others from there by arrow keys. */
  #tabStop(button) {
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = button;
    button.tabIndex = 0;
  }

  #key(event) {
    const row = event.target.closest('li');
    const next = {
      ArrowDown: row?.nextElementSibling,
      ArrowUp: row?.previousElementSibling,
      Home: this.#list.firstElementChild,
      End: this.#list.lastElementChild,
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next.firstElementChild.focus();
  }
}
