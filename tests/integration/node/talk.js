// A client at work: values of all sizes, pipelines, transactions, messages, a blocked client. Prints "done".
// usage: talk.js ioredis|redis PORT --certificates=DIRECTORY
'use strict';
const assert = require('assert');
const { load, tlsOptions } = require('./common');

const [, , library, port] = process.argv;
const tls = tlsOptions();

// The same few calls in both libraries.
async function connect() {
  if (library === 'ioredis') {
    const client = new (load('ioredis'))({ host: '127.0.0.1', port: Number(port), tls });
    return {
      call: (...words) => client.call(...words),
      subscribe: (channel, listener) => { client.on('message', (_, text) => listener(text)); return client.subscribe(channel); },
      transaction: (commands) => client.multi(commands.map(([name, ...args]) => [name.toLowerCase(), ...args])).exec(),
      quit: () => client.quit(),
    };
  }
  const client = load('redis').createClient({ socket: { host: '127.0.0.1', port: Number(port), tls: true, ...tls } });
  await client.connect();
  return {
    call: (...words) => client.sendCommand(words.map(String)),
    subscribe: (channel, listener) => client.subscribe(channel, listener),
    transaction: (commands) => {
      const multi = client.multi();
      commands.forEach((words) => multi.addCommand(words));
      return multi.exec();
    },
    quit: () => client.quit(),
  };
}

async function run() {
  const [one, other] = [await connect(), await connect()];
  for (const size of [0, 1, 16383, 16384, 16385, 100000, 3000000]) {
    const value = 'v'.repeat(size);
    assert.equal(await one.call('SET', 'value', value), 'OK');
    assert.equal(await one.call('GET', 'value'), value);
  }
  const numbers = await Promise.all(Array.from({ length: 5000 }, () => one.call('INCR', 'number')));
  assert.deepEqual(numbers, Array.from({ length: 5000 }, (_, i) => i + 1));
  assert.equal((await one.transaction([['INCR', 'number'], ['INCR', 'number']])).length, 2);
  assert.equal(Number(await one.call('GET', 'number')), 5002);
  const messages = [];
  await other.subscribe('news', (text) => messages.push(text));
  for (let i = 0; i < 100; i += 1) await one.call('PUBLISH', 'news', `message ${i}`);
  while (messages.length < 100) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(messages[99], 'message 99');
  const third = await connect();
  const popped = third.call('BLPOP', 'list', '0');
  await one.call('RPUSH', 'list', 'element');
  assert.deepEqual(await popped, ['list', 'element']);
  for (const client of [one, other, third]) await client.quit();
  console.log('done');
}

run().catch((err) => { console.error(err.stack); process.exit(1); });
