// What the programs share: packages from the directory NODE_TEST_DIR, options of the command line.
'use strict';
const { createRequire } = require('module');
const fs = require('fs');
const path = require('path');

exports.load = createRequire(path.join(process.env.NODE_TEST_DIR, 'package.json'));

exports.option = (name) => {
  const flag = process.argv.find((arg) => arg.startsWith(`--${name}=`));
  return flag && flag.slice(name.length + 3);
};

// Of tls.connect(), for the certificates in a directory; undefined without one.
exports.tlsOptions = () => {
  const directory = exports.option('certificates');
  if (!directory) return undefined;
  const read = (name) => fs.readFileSync(path.join(directory, name));
  return { ca: read('ca.crt'), cert: read('client.crt'), key: read('client.key'), servername: 'localhost' };
};
