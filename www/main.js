/** Joins model and views: the model changes, the views draw it at the next frame. */
import { Model } from './model.js';
import { startTheme } from './view/theme.js';
import { PublishForm, SubscribeForm } from './view/compose.js';
import { ClientsView } from './view/clients.js';
import { SequenceView } from './view/sequence.js';
import { InspectorView } from './view/inspector.js';

const byId = (id) => document.getElementById(id);

startTheme(byId('theme'));
const model = new Model();
const inspector = new InspectorView(byId('inspector'));
const views = [
  new PublishForm(byId('publish'), model),
  new SubscribeForm(byId('subscribe'), model),
  new ClientsView(byId('clients'), model),
  new SequenceView(byId('lanes'), byId('sequence'), (packet) => inspector.show(packet)),
];

let asked = false;
function draw() {
  asked = false;
  for (const view of views) view.render(model);
  const online = model.clients.filter((client) => client.connected).length;
  byId('status').textContent =
    `${model.running ? 'running' : 'starting…'} · ${online} of ${model.clients.length} clients · ${model.total} packets`;
  const play = byId('play');
  play.setAttribute('aria-pressed', String(model.playing));
  play.querySelector('.label').textContent = model.playing ? 'Pause' : 'Play';
}

model.addEventListener('change', () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(draw);
});
byId('play').addEventListener('click', () => { model.playing = !model.playing; });
byId('clear').addEventListener('click', () => { model.clear(); inspector.show(undefined); });

draw();
inspector.show(undefined);
model.start().catch((error) => {
  const failure = byId('failure');
  failure.textContent = `The broker could not be started: ${error.message}`;
  failure.hidden = false;
});
