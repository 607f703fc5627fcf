// google-auth-library asks as it is told on standard input, and says what it was answered, a line each.

import { GoogleAuth } from 'google-auth-library';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });

async function ask({ call, host, version, name, filter, pageSize }) {
  const url = `https://${host}/${version}/${name}`;
  switch (call) {
    case 'get':
      return shown((await auth.request({ url })).data);
    case 'cancel':
      return (await auth.request({ url: `${url}:cancel`, method: 'POST' })).data;
    case 'list': {
      const names = [];
      let pageToken;
      do {
        const params = { filter, pageSize, ...(pageToken && { pageToken }) };
        const { data } = await auth.request({ url: `${url}/operations`, params });
        names.push(...(data.operations ?? []).map((operation) => operation.name));
        pageToken = data.nextPageToken;
      } while (pageToken);
      return names;
    }
    default:
      // The library has no loop; this is that of Google's samples.
      for (;;) {
        const { data } = await auth.request({ url });
        if (data.done) return { error: data.error, response: data.response };
        await sleep(200);
      }
  }
}

const shown = ({ name, done, error, response }) => ({
  name,
  done: done ?? false,
  error: error ? (error.code ?? null) : null,
  response: response?.['@type'] ?? null,
});

// What a user of the library can learn from an error.
function refusal(error) {
  const found = { class: error.constructor.name, httpStatus: error.status, text: error.message };
  const body = error.response?.data?.error;
  if (typeof body === 'object') Object.assign(found, { code: body.status, message: body.message });
  for (const detail of body?.details ?? []) {
    if (detail['@type'].endsWith('/google.rpc.ErrorInfo')) {
      const { reason, domain, metadata } = detail;
      Object.assign(found, { reason, domain, metadata });
    }
    if (detail['@type'].endsWith('/google.rpc.RetryInfo')) found.retryDelay = detail.retryDelay;
  }
  return found;
}

for (const { id, ...rest } of JSON.parse(readFileSync(0, 'utf8'))) {
  const answer = await ask(rest).then(
    (value) => ({ id, value }),
    (error) => ({ id, error: refusal(error) }),
  );
  console.log(JSON.stringify(answer));
}
