// An OpenID provider with logout and revocation. Everybody may sign in, under any name, with any password.
// node server.mjs LIBRARY PORT CALLBACK AFTER_LOGOUT CLIENT_SECRET GROUPS_FILE
// GROUPS_FILE lists everybody's groups, one a line; it is read anew for each token.
// Prints one JSON line for each request to one of its endpoints, so that a test can see what it was asked.
import { readFileSync } from 'node:fs';

const [library, port, callback, afterLogout, clientSecret, groupsFile] = process.argv.slice(2);
const { default: Provider } = await import(library);

const groups = () => readFileSync(groupsFile, 'utf8').split('\n').filter(Boolean);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'countersign',
    client_secret: clientSecret,
    redirect_uris: [callback],
    post_logout_redirect_uris: [afterLogout],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    backchannel_logout_uri: callback.replace(/callback$/, 'backchannel_logout'),
    backchannel_logout_session_required: true,
  }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'], profile: ['name'] },
  scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
  // Whoever may have one gets one, not those alone who are asked for consent each time.
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  // The ID token carries the claims, as most providers' do, not userinfo alone.
  conformIdTokenClaims: false,
  cookies: { keys: ['only-for-tests'] },
  pkce: { required: () => true },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // Its own way out goes nowhere on loopback, where all of the rig is.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id, email: `${id}@example.com`, email_verified: true, groups: groups() }),
  }),
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route) {
    console.log(JSON.stringify({
      route: ctx.oidc.route,
      method: ctx.method,
      status: ctx.status,
      parameters: Object.keys(ctx.oidc.params ?? {}).filter((name) => ctx.oidc.params[name] !== undefined),
      token_kind: ctx.oidc.entities?.RefreshToken ? 'refresh' : ctx.oidc.entities?.AccessToken ? 'access' : undefined,
    }));
  }
});
for (const event of ['backchannel.success', 'backchannel.error']) {
  provider.on(event, (_, first, second) => {
    const status = event === 'backchannel.success' ? 200 : (first.response?.status ?? 0);
    if (status !== 200) console.error(first);
    console.log(JSON.stringify({ route: 'backchannel_logout', status }));
  });
}
provider.listen(Number(port), '127.0.0.1');
