// Writes numbered keys through ioredis in Sentinel mode until stdin closes; prints one line per acknowledged write.
// usage: writer.js SENTINEL_PORT... [--password=PASSWORD] [--certificates=DIRECTORY]
'use strict';
const { load, option, tlsOptions } = require('./common');
const Redis = load('ioredis');

const ports = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const tls = tlsOptions();

const redis = new Redis({
  sentinels: ports.map((port) => ({ host: '127.0.0.1', port: Number(port) })),
  name: 'mymaster',
  password: option('password'),
  ...(tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
  sentinelRetryStrategy: () => 100,
  retryStrategy: () => 100,
  reconnectOnError: (err) => (err.message.startsWith('READONLY') ? 2 : false),
  maxRetriesPerRequest: null,
});
redis.on('error', (err) => console.error(`error ${err.message}`));
redis.on('ready', () => console.log('ready'));

let stopped = false;
process.stdin.on('end', () => { stopped = true; });
process.stdin.resume();

async function run() {
  for (let n = 0; !stopped; n += 1) {
    await redis.set(`ioredis:${n}`, String(n));
    const back = await redis.get(`ioredis:${n}`);
    console.log(`acked ${n} ${back}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  redis.disconnect();
}

run().catch((err) => { console.error(`fatal ${err.stack}`); process.exit(1); });
