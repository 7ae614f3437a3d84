// What the scripts of Node.js share: each reply is printed as the client made it, one a line.
'use strict';

function plain(value) {
  if (Buffer.isBuffer(value)) return 'buffer:' + value.toString('latin1');
  if (value instanceof Map) return plain(Object.fromEntries(value));
  if (value instanceof Set) return plain([...value].sort());
  if (value instanceof Error) return value.name + ': ' + value.message;
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, plain(value[key])]));
  }
  return typeof value === 'bigint' ? Number(value) : value;
}

async function show(name, ask) {
  let said;
  try {
    said = JSON.stringify(plain(await ask()));
  } catch (error) {
    said = plain(error);
  }
  console.log(name, said);
}

// Ends the script with an error if it takes too long, so that a test says what was printed until then.
const bound = setTimeout(() => {
  console.log('took too long');
  process.exit(1);
}, 90000);

function done() {
  clearTimeout(bound);
  console.log('all good');
  process.exit(0);
}

function main(work, port) {
  work(port).then(done, (error) => {
    console.log(error);
    process.exit(1);
  });
}

module.exports = { plain, show, main };
