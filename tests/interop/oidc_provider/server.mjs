// oidc-provider as an authorization server for machines: client credentials, RS256 JWTs by way of a default resource.
// The settings are the first line of the standard input; its end ends the server.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
const settings = JSON.parse(await new Promise((resolve) => lines.once('line', resolve)));

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: 'invented-key', alg: 'RS256', use: 'sig' };

const known = new Map(settings.clients.map((client) => [client.client_id, { ...client, issued: 0 }]));
const scope = settings.scopes.join(' ');

// The n-th token of a client has the n-th of its lives, then from the first again. (Asked for once a token.)
const nextLife = ({ clientId }) => {
  const client = known.get(clientId);
  client.issued += 1;
  return client.lives[(client.issued - 1) % client.lives.length];
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: settings.clients.map((client) => ({
      client_id: client.client_id,
      client_secret: client.client_secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      scope,
    })),
    jwks: { keys: [key] },
    scopes: [...settings.scopes, ...settings.other_scopes],
    ttl: { ClientCredentials: (_context, _token, client) => nextLife(client) },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_context, client) => known.get(client.clientId).audience,
        getResourceServerInfo: (_context, resource) => ({
          scope,
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(`ready ${JSON.stringify({ port, token: '/token', jwks: '/jwks' })}`);
});
