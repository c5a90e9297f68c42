// ocs-web's HostManager panel, without its pixels: the same library, the same calls in the same order, the same locks.
//
// usage: node panel.js URL REALM ADDRESS_ROOT INSTANCE_ID CHILD
//
// It opens the panel of the HostManager INSTANCE_ID, moves the instance CHILD down and up, reloads the configuration,
// runs every task, stops and starts the process, and lets the HostManager die. What it saw is one JSON object on stdout
// at the end. It gives up after 120 s.
'use strict';

const autobahn = require('autobahn');

const [url, realm, root, instance, child] = process.argv.slice(2);
const address = `${root}.${instance}`;
const POLL_MS = 1000;
const ALIVE_S = 5;
const RELOCK_MS = 300; // the panel's own are 30 s
const seen = { polls: {}, steps: {} };

function fail(what) {
  process.stderr.write(`panel: ${what}\n${JSON.stringify(seen)}\n`);
  process.exit(1);
}
setTimeout(() => fail('no end within 120 s'), 120000).unref();
process.on('unhandledRejection', (error) => fail(`rejected: ${JSON.stringify(error)}`));

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function until(what, condition, ms = 60000) {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) fail(`waited in vain: ${what}`);
    await sleep(20);
  }
}

// The list of agents at the left of the page: who sends heartbeats, and since when no more.
class AgentList {
  constructor(session) {
    this.agents = {};
    const topic = `${root}..feeds.heartbeat`;
    session.subscribe(topic, (args) => this.heartbeat(session, args[0][1]), { match: 'wildcard' });
  }

  heartbeat(session, info) {
    const known = this.agents[info.agent_address];
    if (known) {
      known.last = Date.now();
      return;
    }
    const entry = (this.agents[info.agent_address] = { last: Date.now() });
    session.call(info.agent_address, ['get_api']).then(
      (api) => Object.assign(entry, { agentClass: api.agent_class, api }),
      (error) => Object.assign(entry, { error: error.error }),
    );
  }

  ok(who) {
    const entry = this.agents[who];
    return Boolean(entry && entry.agentClass && Date.now() - entry.last <= ALIVE_S * 1000);
  }
}

// One panel: it polls every operation once a second, and sends what is pressed while it is unlocked.
class Panel {
  constructor(session, api) {
    this.session = session;
    this.status = {};
    this.locked = true;
    const names = [...api.processes, ...api.tasks].map((entry) => entry[0]);
    this.timers = names.map((name) => {
      this.poll(name);
      return setInterval(() => this.poll(name), POLL_MS);
    });
  }

  poll(name) {
    this.dispatch('status', name, []).then((reply) => {
      seen.polls[name] = (seen.polls[name] || 0) + 1;
      this.status[name] = reply;
    }, () => {});
  }

  dispatch(method, name, params, kwargs = {}) {
    return this.session.call(`${address}.ops`, [method, name, params], kwargs);
  }

  unlock() {
    this.locked = false;
    clearTimeout(this.relock);
    this.relock = setTimeout(() => { this.locked = true; }, RELOCK_MS);
  }

  // A button: nothing happens while the padlock is closed.
  async press(name, params, kwargs) {
    if (this.locked) return null;
    const started = await this.dispatch('start', name, params, kwargs);
    if (started[0] !== 0) return { start: started };
    return { start: started, wait: await this.dispatch('wait', name, params, kwargs) };
  }

  data() {
    const reply = this.status.manager;
    return (reply && reply[2] && reply[2].data) || {};
  }

  // The row of an instance, as the table shows it.
  row(id) {
    return (this.data().child_states || []).find((state) => state.instance_id === id);
  }

  close() {
    this.timers.forEach(clearInterval);
  }
}

async function visit(session) {
  const list = new AgentList(session);
  await until('the HostManager is in the list', () => list.ok(address));
  await until('the child is in the list', () => list.ok(`${root}.${child}`));
  const { api, agentClass } = list.agents[address];
  seen.agentClass = agentClass;
  seen.ops = [...api.processes, ...api.tasks].map(([name, , info]) => [name, info.op_type, info.docstring.length > 0]);

  const panel = new Panel(session, api);
  await until('the child is up', () => panel.row(child) && panel.row(child).next_action === 'up');
  seen.row = panel.row(child);
  seen.lights = ['orphans', 'new_tags'].filter((key) => key in panel.data());
  seen.parse = Object.keys(panel.data().config_parse_status);

  // The padlock.
  seen.pressedLocked = await panel.press('update', { requests: [[child, 'down']] });
  panel.unlock();
  await until('the padlock closes by itself', () => panel.locked);
  seen.relocked = (await panel.press('update', { requests: [[child, 'down']] })) === null;

  const press = async (name, params, kwargs) => {
    panel.unlock();
    const reply = await panel.press(name, params, kwargs);
    return reply.wait
      ? { start: reply.start.slice(0, 2), wait: reply.wait.slice(0, 2), success: reply.wait[2].success }
      : { start: reply.start.slice(0, 2) };
  };
  const moved = async (state) => {
    seen.steps[state] = await press('update', { requests: [[child, state]] });
    await until(`the child is ${state}`, () => {
      const row = panel.row(child);
      return row.next_action === state && row.target_state === state;
    });
  };
  await moved('down');
  await moved('up');
  seen.steps.reload = await press('update', { reload_config: true });
  // With an empty password, as the panel sends it when the user has none.
  seen.steps.password = await press('update', { requests: [] }, { password: '' });
  seen.steps.orphans = await press('remove_orphans', { stop_time: 1 });
  seen.steps.pull = await press('docker_pull', {});
  // What the panel of any agent can do with a process, and with a task that is over.
  seen.steps.again = await press('manager', {});
  seen.steps.abort = (await panel.dispatch('abort', 'update', [])).slice(0, 2);
  seen.steps.stop = (await panel.dispatch('stop', 'manager', [])).slice(0, 2);
  await until('the process has ended', () => panel.status.manager[2].status === 'done');
  seen.steps.start = (await panel.dispatch('start', 'manager', {})).slice(0, 2);
  await until('the child is up again', () => panel.row(child) && panel.row(child).next_action === 'up');
  await until('two looks at everything', () => Object.values(seen.polls).every((count) => count >= 2));

  seen.steps.die = (await panel.dispatch('start', 'die', {})).slice(0, 2);
  // Its light goes out after five seconds; two missing heartbeats say the same.
  await until('the HostManager is silent', () => Date.now() - list.agents[address].last > 2500);
  await panel.dispatch('status', 'manager', []).then(
    () => fail('the HostManager still answers'),
    (error) => { seen.gone = error.error; },
  );
  panel.close();
  seen.messages = panel.status.manager[2].messages.length > 0;
}

const connection = new autobahn.Connection({ url, realm, max_retries: 0 });
connection.onopen = (session, details) => {
  seen.protocol = connection.transport.info.protocol;
  seen.role = details.authrole;
  visit(session).then(() => {
    process.stdout.write(`${JSON.stringify(seen)}\n`);
    process.exit(0);
  }, (error) => fail(String(error.stack || error)));
};
connection.onclose = (reason) => fail(`closed: ${reason}`);
connection.open();
