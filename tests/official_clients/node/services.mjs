// The package googleapis reads, cancels and waits for an operation of each service, as standard input says.

import { google } from 'googleapis';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const auth = new google.auth.GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
google.options({ auth });

async function ask({ service, version, host, isRegional, resource, arguments: parameters }) {
  // A document has only the host for all locations.
  const rootUrl = isRegional ? { rootUrl: `https://${host}/` } : {};
  let operations = google[service]({ version, ...rootUrl });
  for (const name of resource.split('.')) operations = operations[name];
  const get = async () => (await operations.get(parameters)).data;
  const running = await get();
  await operations.cancel(parameters);
  const hasStatus = 'status' in running;
  // The library has no loop; this is that of Google's samples.
  for (;;) {
    const operation = await get();
    if (hasStatus && operation.status === 'DONE') {
      return { running: running.status === 'RUNNING', end: 'DONE' };
    }
    if (operation.done) return { running: !running.done, end: operation.error?.code === 1 ? 'CANCELLED' : operation };
    await sleep(200);
  }
}

for (const { id, ...rest } of JSON.parse(readFileSync(0, 'utf8'))) {
  const answer = await ask(rest).then(
    (value) => ({ id, value }),
    (error) => ({ id, error: `${error.constructor.name}: ${error.message}` }),
  );
  console.log(JSON.stringify(answer));
}
