/** The two forms: publish a message, add a subscription. They call the model and say what failed. */
import { el } from './dom.js';

/** A labelled field. */
function field(label, control) {
  return el('label', { class: 'field' }, el('span', {}, label), control);
}

/** A choice of a QoS level. */
function qosChoice(name, chosen) {
  const levels = [0, 1, 2].map((qos) =>
    el('label', { class: `qos${qos}` },
      el('input', { type: 'radio', name, value: String(qos), checked: qos === chosen }),
      el('span', {}, String(qos))));
  return el('fieldset', { class: 'qos' }, el('legend', {}, 'QoS'), ...levels);
}

/** What both forms have in common. */
class Form {
  constructor(form) {
    this.form = form;
    this.who = el('select', { name: 'client' });
    this.answer = el('output', { class: 'answer' });
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      this.say('');
      try {
        this.say(await this.submit(new FormData(form)));
      } catch (error) {
        this.say(error.message, true);
      }
    });
  }

  say(text, failed = false) {
    this.answer.textContent = text;
    this.answer.classList.toggle('failed', failed);
  }

  render(model) {
    const names = model.clients.map((client) => client.name);
    if (this.who.options.length === names.length) return;
    this.who.replaceChildren(...names.map((name) => el('option', { value: name }, name)));
    this.who.value = this.first(names);
  }
}

export class PublishForm extends Form {
  constructor(form, model) {
    super(form);
    this.model = model;
    form.append(
      field('From', this.who),
      field('Topic', el('input', {
        name: 'topic', value: 'home/hall/alarm', required: true, spellcheck: false, maxLength: 1000,
      })),
      field('Payload', el('input', { name: 'payload', value: 'smoke!', spellcheck: false })),
      el('div', { class: 'row' },
        qosChoice('publish-qos', 2),
        el('label', { class: 'check' }, el('input', { type: 'checkbox', name: 'retain' }), 'Retain'),
        el('button', { type: 'submit', class: 'primary' }, 'Publish')),
      this.answer);
  }

  first(names) {
    return names[0];
  }

  async submit(data) {
    const qos = Number(data.get('publish-qos'));
    const retain = data.has('retain');
    await this.model.publish(data.get('client'), data.get('topic'), data.get('payload'), { qos, retain });
    return ['Sent.', 'The broker has it (PUBACK).', 'The broker has it, exactly once (PUBCOMP).'][qos];
  }
}

export class SubscribeForm extends Form {
  constructor(form, model) {
    super(form);
    this.model = model;
    form.append(
      field('Client', this.who),
      field('Filter', el('input', {
        name: 'filter', value: 'home/hall/#', required: true, spellcheck: false, maxLength: 1000,
      })),
      el('div', { class: 'row' },
        qosChoice('subscribe-qos', 1),
        el('button', { type: 'submit', class: 'primary' }, 'Subscribe')),
      this.answer);
  }

  first(names) {
    return names.at(-1);
  }

  async submit(data) {
    const qos = Number(data.get('subscribe-qos'));
    await this.model.subscribe(data.get('client'), data.get('filter'), qos);
    return 'Subscribed.';
  }
}
