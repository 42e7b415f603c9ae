/* page.js -- asks for status.json once a second and shows what it says.
 *
 *     status.json?after=NUMBER --receive()--> state   the newest answer
 *                                             rows    one for each second of the last ten minutes
 *                              render() ----> figures, topology, events, plots, details
 *
 * The answer also holds the samples that this page does not have yet, so a gap is filled when the server answers again.
 * Samples of an earlier process stay until they are ten minutes old. Names come from clients and peers: they are only
 * ever set as text. */
'use strict';

const WINDOW_MS = 10 * 60 * 1000;
const POLL_MS = 1000;
const POLL_HIDDEN_MS = 10 * 1000;
const TIMEOUT_MS = 4000;
const LATE_MS = 2500; // without an answer for so long, what is shown is old
const HELD_UP_MS = 2500; // a sample over so long: the server took no samples in between
const REPLICAS_DRAWN = 6;
const REPLICAS_LISTED = 20;
const EVENTS_SHOWN = 9;
const PAST_SHOWN = 6;

// Without the name and the password that the address of the page may have: fetch() refuses those.
const STATUS_URL = new URL('status.json', location.origin + location.pathname);
const NOT_READY = ['stopping', 'loading', 'busy', 'paused', 'no-data', 'came-up-empty', 'syncing', 'link-down'];
const NO_WRITES = ['failover', 'writes-paused', 'disk', 'min-replicas', 'memory'];
const REPLICA_STATES = {
  handshake: 'shakes hands',
  wait_bgsave: 'waits for a snapshot',
  send_bulk: 'receives a snapshot',
  rdb_transmitted: 'has the snapshot',
  online: 'online',
};
const LINK_STATES = {
  none: 'not started',
  connect: 'waits to connect',
  connecting: 'connects',
  handshake: 'shakes hands',
  sync: 'synchronizes',
  connected: 'connected',
};

let state = null;
let reasons = [];
let rows = []; // {t, span, first, ...fields}; t and span in ms; first: the first one of a process
let lastSample = 0;
let lastRun = null; // the process that the last row is of
let receivedAt = 0; // performance.now()
let problem = null; // why the last poll failed
let hover = null; // where the pointer is on the axis of time, from 0 to 1
let pollTimer = null;

// ---- Small helpers

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function svg(tag, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shorten = (text, length) => (text.length > length ? text.slice(0, length - 1) + '…' : text);
const address = (host, port) => (host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`);

// ---- Numbers: each function returns the digits and the unit

const UNKNOWN = ['–', ''];

function digits(value) {
  if (value === 0) return '0';
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function scaled(value, base, units) {
  let step = 0;
  while (value >= (base === 1024 ? 1000 : 999.5) && step < units.length - 1) {
    value /= base;
    step++;
  }
  return [step === 0 ? String(Math.round(value)) : digits(value), units[step]];
}

const count = (value) => (value === null ? UNKNOWN : scaled(value, 1000, ['', 'k', 'M', 'G', 'T']));
const bytes = (value) => (value === null ? UNKNOWN : scaled(value, 1024, ['B', 'KB', 'MB', 'GB', 'TB', 'PB']));

function rate(value) {
  if (value === null) return UNKNOWN;
  const [number, unit] = count(value);
  return [number, `${unit}/s`];
}

function byteRate(value) {
  if (value === null) return UNKNOWN;
  const [number, unit] = bytes(value);
  return [number, `${unit}/s`];
}

function duration(ns) {
  if (ns === null) return UNKNOWN;
  if (ns < 1000) return [String(ns), 'ns'];
  const units = ['µs', 'ms', 's'];
  let value = ns / 1000;
  while (value >= 999.5 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return [digits(value), units[0]];
}

const share = (part) => (part === null ? UNKNOWN : [(part * 100).toFixed(part > 0 && part < 0.0995 ? 1 : 0), '%']);
const joined = ([number, unit]) => (unit === '' ? number : `${number}\u202f${unit}`);
const plain = ([number, unit]) => [number.includes('.') ? number.replace(/\.?0+$/, '') : number, unit];
const whole = (value) => value.toLocaleString('en-US');

function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const pair = (a, unitA, b, unitB) => (b > 0 ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`);
  if (seconds < 60) return `${seconds} s`;
  if (minutes < 60) return pair(minutes, 'min', seconds % 60, 's');
  if (hours < 24) return pair(hours, 'h', minutes % 60, 'min');
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function clock(ms) {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':');
}

// ---- What the server says

/* The server's clock now, as far as it can be told. */
const serverNow = () => state.now_ms + (performance.now() - receivedAt);

/* Time goes on from row to row by the monotonic clock. If the wall clock of the server was set, the rows before move
 * with it. */
function addRow(values, fields, first) {
  const row = { first };
  fields.forEach((field, i) => {
    row[field] = values[i];
  });
  row.t = row.at_ms;
  row.span = row.span_us / 1000;
  const last = rows[rows.length - 1];
  if (last !== undefined) {
    const step = first ? Math.min(0, row.t - 1 - last.t) : row.t - (last.t + row.span);
    if (Math.abs(step) > (first ? 0 : 500)) for (const earlier of rows) earlier.t += step;
  }
  rows.push(row);
}

/* False: the answer is not enough, and another one must be asked for at once. */
function receive(answer) {
  const { samples } = answer;
  const run = answer.node.run_id;
  if (run !== lastRun && lastSample > 0 && samples.first > 1) {
    lastSample = 0; // of an earlier process: ask for all samples of this one
    return false;
  }
  for (const values of samples.rows) {
    addRow(values, samples.fields, run !== lastRun);
    lastRun = run;
  }
  lastSample = samples.last;
  reasons = samples.reasons;
  state = answer;
  receivedAt = performance.now();
  rows = rows.filter((row) => row.t > state.now_ms - WINDOW_MS - 2000);
  return true;
}

async function poll() {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  let again = document.hidden ? POLL_HIDDEN_MS : POLL_MS;
  try {
    const response = await fetch(`${STATUS_URL}?after=${lastSample}`, { signal: abort.signal, cache: 'no-store' });
    if (!response.ok) throw new Error(`it answers ${response.status} ${response.statusText}`);
    if (!receive(await response.json())) again = 0;
    problem = null;
  } catch (error) {
    problem = abort.signal.aborted ? 'it accepts connections, but does not answer' : error.message;
  }
  clearTimeout(timer);
  render();
  pollTimer = setTimeout(poll, again);
}

// ---- Head

const isMaster = () => state.health.role === 'master';

function selfName() {
  const { node } = state;
  return address(node.announced_ip || location.hostname, node.announced_port || node.port || node.tls_port);
}

/* The master does not tell how far it is, so this is about what has arrived. */
function arrived(lag) {
  return lag === 0 ? 'All that has arrived is applied' : `${joined(bytes(lag))} have arrived and are not applied yet`;
}

function describeHealth() {
  const { health } = state;
  const { master } = state.replication;
  const told = { drain: ' Load balancers are told to drain it.', maint: ' Load balancers are told that it is in maintenance.' };
  const asked = told[health.load_balancer_state] || '';
  if (!health.serves_reads) return ['bad', `Not ready: ${health.text}.${asked}`];
  if (master !== null)
    return [
      asked ? 'warn' : 'ok',
      `Serves reads. ${arrived(master.lag_bytes)}; the master was heard ${span(master.silent_ms)} ago.${asked}`,
    ];
  if (!health.serves_writes) return ['warn', `Serves reads. ${health.text[0].toUpperCase()}${health.text.slice(1)}.${asked}`];
  return [asked ? 'warn' : 'ok', `Serves reads and writes.${asked}`];
}

function renderHead() {
  const [level, text] = describeHealth();
  const role = isMaster() ? 'Master' : 'Replica';
  byId('dot').className = `dot ${level}`;
  setText(byId('role'), role);
  setText(byId('name'), selfName());
  setText(byId('health'), text);
  setText(byId('about'), `Lockstep ${state.node.version}, up ${span(serverNow() - state.node.started_ms)}`);
  document.title = `${role} ${selfName()} – Lockstep`;
  const fill = { ok: '2b7a4b', warn: 'e0a04a', bad: 'bd3124' }[isLate() ? 'warn' : level];
  const icon = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='%23${fill}'/></svg>`;
  if (byId('icon').href !== icon) byId('icon').href = icon;
}

const isLate = () => problem !== null && performance.now() - receivedAt > LATE_MS;

function renderLost() {
  const late = problem !== null && (state === null || isLate());
  const lost = byId('lost');
  document.body.classList.toggle('stale', late && state !== null);
  lost.hidden = !late;
  if (!late) return;
  const cause = `${problem[0].toUpperCase()}${problem.slice(1)}.`;
  if (state === null) setText(lost, `No answer from the server yet. ${cause}`);
  else
    setText(
      lost,
      `No answer from the server for ${span(performance.now() - receivedAt)}: this is its state at ${clock(state.now_ms)}. ${cause}`,
    );
}

// ---- Figures

const latest = (field) => (rows.length === 0 || rows[rows.length - 1][field] === undefined ? null : rows[rows.length - 1][field]);

function sumOf(field, ms) {
  const from = state.now_ms - ms;
  return rows.reduce((sum, row) => (row.t > from && row[field] !== null ? sum + (row[field] * row.span) / 1000 : sum), 0);
}

function hitRatio(hits, misses) {
  return hits === null || misses === null || hits + misses === 0 ? null : hits / (hits + misses);
}

const FIGURES = [
  {
    name: 'Commands',
    value: () => rate(latest('commands')),
    note: () => `${joined(rate(latest('errors')))} errors`,
  },
  {
    name: 'Execution, p99',
    value: () => duration(latest('p99_ns')),
    note: () => `median ${joined(duration(latest('p50_ns')))}`,
  },
  {
    name: 'Loop busy',
    value: () => share(latest('busy_us') === null ? null : Math.min(1, latest('busy_us') / 1e6)),
    note: () => `longest ${joined(duration(latest('turn_ns')))}`,
  },
  {
    name: 'Memory',
    value: () => bytes(state.memory.used),
    note: () => (state.memory.limit > 0 ? `of ${joined(bytes(state.memory.limit))}` : 'no limit'),
  },
  {
    name: 'Keys',
    value: () => count(state.keys.count),
    note: () => `${joined(count(state.keys.expiring))} expire`,
  },
  {
    name: 'Hit ratio, 10 min',
    value: () => share(hitRatio(sumOf('hits', WINDOW_MS), sumOf('misses', WINDOW_MS))),
    note: () => `${joined(count(sumOf('misses', WINDOW_MS)))} misses`,
  },
  {
    name: 'Clients',
    value: () => count(state.clients.connected),
    note: () => `${whole(state.clients.blocked)} blocked`,
  },
];

function makeFigures() {
  for (const figure of FIGURES) {
    const box = element('div');
    figure.number = document.createTextNode('');
    figure.unit = element('span', 'unit');
    const value = element('dd', 'value');
    value.append(figure.number, figure.unit);
    figure.noteNode = element('dd', 'note');
    box.append(element('dt', '', figure.name), value, figure.noteNode);
    byId('figures').append(box);
  }
}

function renderFigures() {
  for (const figure of FIGURES) {
    const [number, unit] = figure.value();
    setText(figure.number, number);
    setText(figure.unit, unit);
    setText(figure.noteNode, figure.note());
    figure.noteNode.title = figure.note();
  }
}

// ---- Topology

function linkLevel(master) {
  if (master.link_up) return 'ok';
  return master.synchronizing ? 'warn' : 'bad';
}

function linkLabel(master) {
  if (master.link_up) return master.lag_bytes === 0 ? 'connected' : `${joined(bytes(master.lag_bytes))} to apply`;
  if (master.synchronizing) return 'synchronizes';
  return master.silent_ms < 0 ? LINK_STATES[master.state] || master.state : `down ${span(master.silent_ms)}`;
}

/* A replica tells once a second how far it is: it may be further by now. */
function behind(replica) {
  if (replica.state !== 'online') return '–';
  const time = replica.lag_ms > 0 ? `, ${joined(duration(replica.lag_ms * 1e6))}` : '';
  return `≤ ${joined(bytes(replica.lag_bytes))}${time}`;
}

function replicaNode(replica) {
  const online = replica.state === 'online';
  return {
    kind: 'replica',
    name: address(replica.host, replica.port),
    level: !online ? 'warn' : replica.lag_s > 10 ? 'bad' : 'ok',
    note: online ? `${behind(replica)} behind` : REPLICA_STATES[replica.state] || replica.state,
  };
}

/* Columns of nodes, from the master down to the replicas. */
function topologyColumns() {
  const { master, replicas, replica_count: total } = state.replication;
  const self = { kind: state.health.role, name: selfName(), level: describeHealth()[0], note: 'this node', self: true };
  const columns = [];
  if (master !== null) {
    columns.push([{ kind: 'master', name: address(master.host, master.port), level: master.link_up ? 'ok' : '', note: '' }]);
    self.link = { level: linkLevel(master), label: linkLabel(master) };
  }
  columns.push([self]);
  const drawn = replicas.slice(0, REPLICAS_DRAWN).map(replicaNode);
  if (total > drawn.length) drawn.push({ more: `and ${total - drawn.length} more` });
  if (drawn.length > 0) columns.push(drawn);
  return columns;
}

const NODE = { width: 206, height: 50, gap: 12 };
const LINK_LONG = 124; // with room for a label
const LINK_SHORT = 64;

function drawNode(node, x, y) {
  const group = svg('g', { class: node.self ? 'node self' : 'node', transform: `translate(${x},${y})` });
  if (node.more !== undefined) {
    group.append(svg('text', { class: 'quiet', x: 12, y: 18 }, node.more));
    return group;
  }
  group.append(
    svg('rect', { class: 'box', width: NODE.width, height: NODE.height, rx: 5 }),
    svg('circle', { class: node.level, cx: 16, cy: 17, r: 4 }),
    svg('text', { x: 27, y: 21.5 }, node.kind === 'master' ? 'Master' : 'Replica'),
    svg('text', { class: 'quiet', x: NODE.width - 12, y: 21.5, 'text-anchor': 'end' }, node.note),
    svg('text', { class: 'quiet', x: 12, y: 39.5 }, shorten(node.name, 25)),
    svg('title', {}, node.name),
  );
  return group;
}

/* A line along `path` with an arrow at (x, y), in the direction of the stream. */
function drawLink(node, path, x, y, downwards, label) {
  const group = svg('g', { class: `link ${node.link ? node.link.level : node.level}` });
  group.append(svg('path', { class: 'edge', d: path }));
  group.append(svg('path', { class: 'head', d: `M${x},${y}${downwards ? 'l-4,-7h8z' : 'l-7,-4v8z'}` }));
  if (node.link) group.append(svg('text', { class: 'label', ...label }, node.link.label));
  return group;
}

function drawAcross(canvas, columns) {
  const tall = (column) => column.length * (NODE.height + NODE.gap) - NODE.gap;
  const height = Math.max(...columns.map(tall)) + 4;
  let x = 2;
  let from = null;
  for (const column of columns) {
    let y = (height - tall(column)) / 2;
    if (from !== null) x += NODE.width + (column[0].link ? LINK_LONG : LINK_SHORT);
    for (const node of column) {
      const level = y + NODE.height / 2;
      if (from !== null && node.more === undefined) {
        const middle = (from.x + x) / 2;
        const path = `M${from.x},${from.y}C${middle},${from.y} ${middle},${level} ${x - 6},${level}`;
        canvas.append(drawLink(node, path, x, level, false, { x: middle - 2, y: level - 9, 'text-anchor': 'middle' }));
      }
      canvas.append(drawNode(node, x, y));
      y += NODE.height + NODE.gap;
    }
    from = { x: x + NODE.width, y: height / 2 };
  }
  return height;
}

/* For narrow screens: one below the other, and replicas indented. */
function drawDown(canvas, columns) {
  const indent = 34;
  let y = 2;
  let bottom = null; // of the node that the links come from
  for (const column of columns) {
    const branches = bottom !== null && !column[0].link;
    const x = branches ? indent : 2;
    if (bottom !== null) y += branches ? NODE.gap : 34;
    for (const node of column) {
      const level = y + NODE.height / 2;
      if (branches && node.more === undefined) canvas.append(drawLink(node, `M17,${bottom}V${level}H${x - 6}`, x, level, false));
      else if (node.link)
        canvas.append(drawLink(node, `M17,${bottom}V${y - 6}`, 17, y, true, { x: 30, y: (bottom + y) / 2 + 4 }));
      canvas.append(drawNode(node, x, y));
      y += NODE.height + NODE.gap;
    }
    y -= NODE.gap;
    bottom = y;
  }
  return y + 2;
}

function renderTopology() {
  const canvas = byId('topology');
  const width = canvas.clientWidth;
  const columns = topologyColumns();
  const signature = JSON.stringify([width, columns]);
  if (canvas.dataset.signature === signature) return;
  canvas.dataset.signature = signature;
  canvas.replaceChildren();
  const links = columns.slice(1).map((column) => (column[0].link ? LINK_LONG : LINK_SHORT));
  const needed = columns.length * NODE.width + links.reduce((sum, length) => sum + length, 4);
  const height = needed <= width ? drawAcross(canvas, columns) : drawDown(canvas, columns);
  canvas.setAttribute('height', height);
  canvas.setAttribute('viewBox', `0 0 ${width} ${height}`);
}

const REPLICA_COLUMNS = [
  ['Replica', (r) => address(r.host, r.port)],
  ['State', (r) => REPLICA_STATES[r.state] || r.state],
  ['Behind', behind],
  ['Acknowledged', (r) => (r.state === 'online' ? whole(r.offset) : '–')],
  ['Heard', (r) => (r.state === 'online' ? `${r.lag_s} s ago` : '–')],
  ['99 % within', (r) => (r.ack_p99_us > 0 ? joined(duration(r.ack_p99_us * 1000)) : '–')],
  ['Unsent', (r) => joined(bytes(r.unsent_bytes))],
];

function replicaRow(replica) {
  const row = element('tr');
  for (const [name, value] of REPLICA_COLUMNS) {
    const cell = element('td', '', value(replica));
    cell.dataset.label = name;
    if (name === 'State') cell.prepend(element('span', `dot ${replicaNode(replica).level}`));
    row.append(cell);
  }
  return row;
}

function renderReplicas() {
  const { replicas, replica_count: total, master } = state.replication;
  const place = byId('replicas');
  const signature = JSON.stringify(state.replication.replicas.slice(0, REPLICAS_LISTED).concat(total));
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.replaceChildren();
  if (total === 0) {
    if (master === null) place.append(element('p', 'note', 'No replica is attached.'));
    return;
  }
  const table = element('table');
  const head = element('tr');
  for (const [name] of REPLICA_COLUMNS) head.append(element('th', '', name));
  const thead = element('thead');
  thead.append(head);
  const body = element('tbody');
  body.append(...replicas.slice(0, REPLICAS_LISTED).map(replicaRow));
  table.append(thead, body);
  place.append(table);
  if (total > REPLICAS_LISTED) place.append(element('p', 'note', `and ${total - REPLICAS_LISTED} more`));
}

// ---- What happened to replication, and what that advises: LOCKSTEP HISTORY has all of it

const PAST_LEVELS = { 'link-down': 'bad', 'full-sync': 'warn', refused: 'bad', disconnected: 'bad', 'history-ended': 'warn' };

function pastText(event) {
  const parts = [event.event, event.peer, event.cause].filter((part) => part !== '');
  if (event.bytes > 0) parts.push(joined(bytes(event.bytes)));
  if (event.duration_ms >= 0) parts.push(joined(duration(event.duration_ms * 1e6)));
  return parts.join(' · ');
}

function renderPast() {
  const { events, advice } = state.replication;
  const signature = JSON.stringify([events, advice]);
  const list = byId('past');
  if (list.dataset.signature === signature) return;
  list.dataset.signature = signature;
  byId('advice').replaceChildren(...advice.map((sentence) => element('li', 'warn', sentence)));
  list.replaceChildren();
  for (const event of events.slice(0, PAST_SHOWN)) {
    const item = element('li');
    item.append(element('time', '', clock(event.at_ms)), element('span', PAST_LEVELS[event.event] || '', pastText(event)));
    list.append(item);
  }
}

// ---- Events: what changed from row to row

function reasonEvent(before, after) {
  if (after === 'ok') return ['', 'is ready'];
  const level = NOT_READY.includes(after) ? 'bad' : NO_WRITES.includes(after) ? 'warn' : '';
  const words = {
    stopping: 'shuts down',
    loading: 'loads a data set',
    busy: 'a script is busy',
    paused: 'commands are paused',
    'no-data': 'has no data yet',
    'came-up-empty': 'came up without its data',
    syncing: 'synchronizes with its master',
    'link-down': 'lost its master',
    failover: 'writes are paused for a failover',
    'writes-paused': 'writes are paused',
    disk: 'refuses writes: disk',
    'min-replicas': 'refuses writes: too few replicas',
    memory: 'refuses writes: memory',
    drain: 'drains',
    maint: 'is in maintenance',
  };
  return [level, words[after] || after];
}

function eventsBetween(before, after) {
  const found = [];
  const add = (level, text) => found.push({ t: after.t, level, text });
  if (after.first) add('warn', 'the server started');
  if (!after.first && after.span > HELD_UP_MS) add('warn', `stood still for ${span(after.span)}`);
  if (before.role !== after.role) add('', after.role === 0 ? 'became a master' : 'became a replica');
  if (before.reason !== after.reason) add(...reasonEvent(reasons[before.reason], reasons[after.reason]));
  if (after.sync_full > 0) add('', `gave ${after.sync_full === 1 ? 'a replica' : `${after.sync_full} replicas`} a full copy`);
  if (after.sync_partial > 0)
    add('', `continued with ${after.sync_partial === 1 ? 'a replica' : `${after.sync_partial} replicas`}, no copy`);
  if (after.replicas < before.replicas)
    add('warn', after.replicas === 0 ? 'has no replica any more' : `lost a replica, ${after.replicas} left`);
  return found;
}

function renderEvents() {
  const found = rows.flatMap((row, i) => (i === 0 ? [] : eventsBetween(rows[i - 1], row)));
  const shown = found.slice(-EVENTS_SHOWN).reverse();
  const list = byId('events');
  const signature = JSON.stringify(shown.map((event) => [clock(event.t), event.text]));
  if (list.dataset.signature === signature) return;
  list.dataset.signature = signature;
  list.replaceChildren();
  if (shown.length === 0) list.append(element('li', 'none', 'Nothing has changed in the last ten minutes.'));
  for (const event of shown) {
    const item = element('li');
    item.append(element('time', '', clock(event.t)), element('span', event.level, event.text));
    list.append(item);
  }
}

// ---- Plots

/* A canvas that is as large as its place, in pixels of the device. */
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return { context, width, height };
}

function niceMaximum(value, base) {
  const unit = base ** Math.floor(Math.log(value) / Math.log(base));
  const steps = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
  return unit * steps.find((step) => step * unit >= value);
}

function linearScale(maximum, base) {
  if (maximum === 0) return { at: () => 0, ticks: [0] };
  const top = niceMaximum(maximum, base);
  return { at: (value) => value / top, ticks: top < 2 ? [0, top] : [0, top / 2, top] };
}

/* Decades; at least two of them. */
function logScale(minimum, maximum) {
  const low = Math.floor(Math.log10(Math.max(1, minimum)));
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(1, maximum))));
  const ticks = [];
  const step = Math.ceil((high - low) / 3);
  for (let power = low; power <= high; power += step) ticks.push(10 ** power);
  return { at: (value) => (Math.log10(Math.max(1, value)) - low) / (high - low), ticks };
}

class Plot {
  constructor({ title, lines, format, scale = 'linear', base = 1000, limit = () => 0 }) {
    Object.assign(this, { title, lines, format, scale, base, limit });
    const box = element('div', 'plot');
    this.legend = element('div', 'legend');
    this.canvas = element('canvas');
    this.canvas.setAttribute('role', 'img');
    box.append(element('h3', '', title), this.legend, this.canvas);
    for (const line of lines) this.addToLegend(line);
    byId('plots').append(box);
    followPointer(this.canvas, Plot.MARGIN);
  }

  addToLegend(line) {
    line.item = element('span');
    line.text = element('b');
    line.item.append(element('i', line.style), `${line.name} `, line.text);
    this.legend.append(line.item);
  }

  makeScale(visible) {
    const values = visible.flatMap((row) => this.lines.map((line) => line.value(row))).filter((value) => value !== null);
    if (this.scale === 'share') return { at: (value) => value, ticks: [0, 0.5, 1] };
    if (this.scale === 'log') return logScale(Math.min(...values, 1e6), Math.max(...values, 1));
    return linearScale(Math.max(...values, this.limit(), 0), this.base);
  }

  draw(view) {
    const { context, width, height } = prepare(this.canvas);
    const area = { left: 0, right: width - Plot.MARGIN, top: 7, bottom: height - 7 };
    const scale = this.makeScale(view.rows);
    const x = (t) => area.left + ((t - view.from) / (view.to - view.from)) * (area.right - area.left);
    const y = (value) => area.bottom - Math.min(1, Math.max(0, scale.at(value))) * (area.bottom - area.top);
    this.drawGrid(context, area, scale, y);
    context.save();
    context.beginPath();
    context.rect(area.left, 0, area.right - area.left, height);
    context.clip();
    if (this.limit() > 0) this.drawLimit(context, area, y(this.limit()));
    [...this.lines].reverse().forEach((line) => this.drawLine(context, area, view, line, x, y));
    context.restore();
    this.drawCursor(context, area, view, x, y);
    for (const line of this.lines.slice(1)) line.item.hidden = view.rows.every((row) => line.value(row) === null);
  }

  drawGrid(context, area, scale, y) {
    context.strokeStyle = colour('--grid');
    context.fillStyle = colour('--quiet');
    context.textBaseline = 'middle';
    context.lineWidth = 1;
    for (const value of scale.ticks) {
      const level = Math.round(y(value)) + 0.5;
      context.beginPath();
      context.moveTo(area.left, level);
      context.lineTo(area.right, level);
      context.stroke();
      context.fillText(joined(plain(this.format(value))), area.right + 6, level);
    }
  }

  drawLimit(context, area, level) {
    context.strokeStyle = colour('--bad');
    context.setLineDash([1, 3]);
    context.beginPath();
    context.moveTo(area.left, level);
    context.lineTo(area.right, level);
    context.stroke();
    context.setLineDash([]);
  }

  /* Runs of points without a gap between them. A sample over a long time is a level line over that time. */
  runs(view, line) {
    const found = [];
    let run = null;
    for (const row of view.rows) {
      const value = line.value(row);
      const broken = run === null || row.first || row.span > HELD_UP_MS;
      if (value === null) {
        run = null;
        continue;
      }
      if (broken) {
        run = [];
        found.push(run);
        run.push([row.t - (row.span > HELD_UP_MS ? row.span : 0), value]);
      }
      run.push([row.t, value]);
    }
    return found;
  }

  drawLine(context, area, view, line, x, y) {
    context.strokeStyle = colour(`--${line.style}`);
    context.lineWidth = 1.5;
    context.lineJoin = 'round';
    context.lineCap = 'round';
    for (const run of this.runs(view, line)) {
      const trace = new Path2D();
      run.forEach(([t, value], i) => (i === 0 ? trace.moveTo(x(t), y(value)) : trace.lineTo(x(t) + 0.01, y(value))));
      if (line.filled) {
        const filled = new Path2D(trace);
        filled.lineTo(x(run[run.length - 1][0]), area.bottom);
        filled.lineTo(x(run[0][0]), area.bottom);
        context.fillStyle = colour('--area');
        context.fill(filled);
      }
      context.stroke(trace);
    }
  }

  drawCursor(context, area, view, x, y) {
    const row = view.shown;
    const under = view.hovering && row !== undefined;
    if (under) {
      context.strokeStyle = colour('--quiet');
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(Math.round(x(row.t)) + 0.5, area.top);
      context.lineTo(Math.round(x(row.t)) + 0.5, area.bottom);
      context.stroke();
    }
    for (const line of this.lines) {
      const value = row === undefined ? null : line.value(row);
      setText(line.text, joined(this.format(value)));
      if (!under || value === null) continue;
      context.fillStyle = colour(`--${line.style}`);
      context.beginPath();
      context.arc(x(row.t), y(value), 2.5, 0, 2 * Math.PI);
      context.fill();
    }
    this.canvas.setAttribute('aria-label', `${this.title}: ${this.lines.map((line) => `${line.name} ${line.text.textContent}`).join(', ')}`);
  }
}
Plot.MARGIN = 58; // right of the plot, for its scale

const field = (name) => (row) => row[name];
const plots = [];

function makePlots() {
  plots.push(
    new Plot({
      title: 'Commands',
      format: rate,
      lines: [
        { name: 'run', style: 'line-1', value: field('commands'), filled: true },
        { name: 'errors', style: 'line-2', value: field('errors') },
      ],
    }),
    new Plot({
      title: 'Execution time of commands',
      format: duration,
      scale: 'log',
      lines: [
        { name: 'p50', style: 'line-1', value: field('p50_ns') },
        { name: 'p99', style: 'line-2', value: field('p99_ns') },
        { name: 'p99.9', style: 'line-3', value: field('p999_ns') },
      ],
    }),
    new Plot({
      title: 'Longest turn of the loop',
      format: duration,
      scale: 'log',
      lines: [{ name: 'held up for', style: 'line-1', value: field('turn_ns') }],
    }),
    new Plot({
      title: 'Loop',
      format: share,
      scale: 'share',
      lines: [{ name: 'busy', style: 'line-1', filled: true, value: (row) => (row.busy_us === null ? null : Math.min(1, row.busy_us / 1e6)) }],
    }),
    new Plot({
      title: 'Memory',
      format: bytes,
      base: 1024,
      limit: () => state.memory.limit,
      lines: [
        { name: 'in use', style: 'line-1', value: field('memory'), filled: true },
        { name: 'resident', style: 'line-2', value: field('resident') },
      ],
    }),
    new Plot({
      title: 'Network',
      format: byteRate,
      base: 1024,
      lines: [
        { name: 'in', style: 'line-1', value: field('net_in') },
        { name: 'out', style: 'line-2', value: field('net_out') },
      ],
    }),
    new Plot({
      title: 'Replication lag',
      format: bytes,
      base: 1024,
      lines: [
        { name: 'slowest replica', style: 'line-1', value: field('lag') },
        { name: 'this node', style: 'line-2', value: field('behind') },
      ],
    }),
    new Plot({
      title: 'Look-ups of keys',
      format: rate,
      lines: [
        { name: 'hits', style: 'line-1', value: field('hits'), filled: true },
        { name: 'misses', style: 'line-2', value: field('misses') },
      ],
    }),
    new Plot({
      title: 'Keys removed by the server',
      format: rate,
      lines: [
        { name: 'expired', style: 'line-1', value: field('expired') },
        { name: 'evicted', style: 'line-2', value: field('evicted') },
      ],
    }),
  );
}

function stateColour(row) {
  const reason = reasons[row.reason];
  if (NOT_READY.includes(reason)) return colour('--bad');
  if (NO_WRITES.includes(reason)) return colour('--warn');
  return colour(row.role === 0 ? '--master' : '--replica');
}

/* A band with the role of each second, and the time below it. */
function drawStrip(view) {
  const { context, width } = prepare(byId('strip'));
  const x = (t) => ((t - view.from) / (view.to - view.from)) * width;
  for (const row of view.rows) {
    const left = Math.round(Math.max(0, x(row.t - (row.first ? 1000 : row.span))));
    context.fillStyle = stateColour(row);
    context.fillRect(left, 2, Math.max(1, Math.round(x(row.t)) - left), 8);
  }
  context.strokeStyle = colour('--hair');
  context.fillStyle = colour('--quiet');
  context.textBaseline = 'top';
  const minutes = width > 520 ? 1 : 2;
  const step = minutes * 60000;
  for (let t = Math.ceil(view.from / step) * step; t < view.to; t += step) {
    const at = x(t);
    if (at < 16 || at > width - 16) continue;
    context.textAlign = 'center';
    context.fillText(clock(t).slice(0, 5), at, 19);
    context.beginPath();
    context.moveTo(Math.round(at) + 0.5, 12);
    context.lineTo(Math.round(at) + 0.5, 16);
    context.stroke();
  }
  if (view.hovering && view.shown !== undefined) {
    context.fillStyle = colour('--ink');
    context.fillRect(Math.round(x(view.shown.t)), 0, 1, 13);
  }
}

function nearest(t) {
  let best;
  for (const row of rows) if (best === undefined || Math.abs(row.t - t) < Math.abs(best.t - t)) best = row;
  return best;
}

function renderPlots() {
  const to = serverNow();
  const from = to - WINDOW_MS;
  const view = { from, to, rows: rows.filter((row) => row.t >= from - 2000), hovering: hover !== null };
  view.shown = hover === null ? rows[rows.length - 1] : nearest(from + hover * WINDOW_MS);
  drawStrip(view);
  for (const plot of plots) plot.draw(view);
  const cursor = byId('cursor');
  if (hover === null || view.shown === undefined) {
    setText(cursor, rows.length < 2 ? 'the first samples are being taken' : '');
    return;
  }
  const { shown } = view;
  const reason = reasons[shown.reason];
  setText(cursor, `${clock(shown.t)}, ${shown.role === 0 ? 'master' : 'replica'}${reason === 'ok' ? '' : `, ${reason.replace('-', ' ')}`}`);
}

/* The pointer over one plot marks its time in all of them. `margin`: pixels at the right that are not the plot. */
function followPointer(canvas, margin) {
  const move = (event) => {
    const width = canvas.clientWidth - margin;
    hover = Math.min(1, Math.max(0, event.offsetX / width));
    if (state !== null) renderPlots();
  };
  canvas.addEventListener('pointermove', move);
  canvas.addEventListener('pointerdown', move);
  canvas.addEventListener('pointerleave', () => {
    hover = null;
    if (state !== null) renderPlots();
  });
}

// ---- Details

const DETAILS = [
  [
    ['Offset', () => whole(state.replication.offset)],
    ['History', () => (state.replication.id ? `${state.replication.id.slice(0, 10)}…` : '–'), () => state.replication.id],
    ['Full copies given', () => whole(state.replication.sync_full)],
    ['Continued without', () => whole(state.replication.sync_partial)],
    ['Could not continue', () => whole(state.replication.sync_partial_refused)],
  ],
  [
    ['Resident', () => joined(bytes(latest('resident')))],
    ['Peak in use', () => joined(bytes(state.memory.peak))],
    ['Limit', () => (state.memory.limit > 0 ? joined(bytes(state.memory.limit)) : 'none')],
    ['When it is full', () => state.memory.policy],
    ['Evicted', () => whole(state.counters.evicted)],
  ],
  [
    ['Append-only file', () => (state.persistence.aof ? 'on' : 'off')],
    ['Last save', () => `${span(serverNow() - state.persistence.rdb_saved_s * 1000)} ago`],
    ['Changes since', () => whole(state.persistence.changes)],
    ['Child process', () => ({ save: 'saves', replicas: 'copies for replicas', rewrite: 'rewrites the log' })[state.persistence.child] || 'none'],
    ['Disk', () => (state.persistence.refusal === null ? 'good' : state.persistence.refusal)],
  ],
  [
    ['Commands', () => whole(state.counters.commands)],
    ['Connections', () => whole(state.counters.connections)],
    ['Rejected', () => whole(state.counters.rejected)],
    ['Behaves as', () => `Redis ${state.node.redis_version}`],
    ['Process', () => String(state.node.pid)],
  ],
];

function makeDetails() {
  for (const group of DETAILS) {
    const list = element('dl');
    for (const entry of group) {
      entry.node = element('dd');
      list.append(element('dt', '', entry[0]), entry.node);
    }
    byId('details').append(list);
  }
}

function renderDetails() {
  for (const entry of DETAILS.flat()) {
    const [, short, long = short] = entry;
    setText(entry.node, short());
    entry.node.title = long();
  }
}

// ---- All of it

function render() {
  renderLost();
  if (state === null) return;
  document.body.classList.remove('waiting');
  renderHead();
  renderFigures();
  renderTopology();
  renderReplicas();
  renderPast();
  renderEvents();
  renderPlots();
  renderDetails();
}

makeFigures();
makePlots();
makeDetails();
followPointer(byId('strip'), 0);
window.addEventListener('resize', render);
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', render);
document.addEventListener('visibilitychange', () => {
  if (document.hidden || pollTimer === null) return;
  clearTimeout(pollTimer);
  poll();
});
setInterval(() => {
  if (problem !== null) render(); // the time goes on without answers
}, 1000);
poll();
