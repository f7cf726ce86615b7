// Signing in with a real browser: a link, a passkey that is made and used, and the company's OpenID provider.
//
//   node sign_in.mjs READY_FILE PROVIDER_ISSUER
//
// The server is known as http://localhost:PORT: browsers make passkeys for names, not for addresses.

import { launch, open } from './lib/browser.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const [, , , issuer] = process.argv;
const MARIA = 'maria@acme.example';

await run(async (report, atEnd) => {
  const world = World.open();
  const browser = await launch();
  atEnd(() => browser.close());
  await byLink(report, world, browser);
  await byPasskey(report, world, browser);
  await byProvider(report, world, browser);
});

function main(page) {
  return page.locator('main').innerText();
}

function signedInAs(page) {
  return page.locator('details.who > summary').innerText();
}

async function byLink(report, world, browser) {
  const context = await open(browser);
  const page = await context.newPage();
  const { link } = await world.link(MARIA);
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(link);
  const code = await page.getByLabel(/^Code/).inputValue();
  report.check('a link fills in its code by itself', code.length > 20);
  report.check('and takes it out of the address', !page.url().includes('#'), page.url());
  report.check('the button has the focus', await page.evaluate(() => document.activeElement.textContent === 'Sign in here'));
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.includes('enrol') && !url.pathname.includes('sign-in'));
  report.equal('Enter signs in', await signedInAs(page), MARIA);
  report.none('the code never stood in an address that was asked for', asked.filter((url) => url.includes(code)));
  const cookie = (await context.cookies()).find((c) => c.name.includes('remit-'));
  report.check('the cookie is out of reach of scripts and of other sites', cookie.httpOnly && cookie.sameSite === 'Lax', JSON.stringify(cookie));
  const second = await (await open(browser)).newPage();
  await second.goto(link);
  await second.keyboard.press('Enter');
  await second.waitForLoadState('domcontentloaded');
  await second.locator('[role=alert]').waitFor();
  report.check('the same link again does not, and says so', /./.test(await second.locator('[role=alert]').innerText()));
  report.none('no errors with a link', context.problems);
}

// Chromium's own virtual authenticator: a key that asks its holder nothing, and says that it did.
async function authenticator(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  return { devtools, authenticatorId };
}

async function byPasskey(report, world, browser) {
  const context = await open(browser);
  const page = await context.newPage();
  const { devtools, authenticatorId } = await authenticator(page);
  await page.goto((await world.link(MARIA)).link);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => !url.pathname.includes('enrol') && !url.pathname.includes('sign-in'));
  await page.goto(`${world.base}/settings/sessions`);
  await page.getByLabel('Label of a new passkey').fill('laptop');
  await page.locator('#passkey-make').click();
  await page.locator('#passkeys').getByText('laptop').waitFor();
  report.check('a passkey is made, and listed by its label', true);
  const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
  report.equal('the authenticator holds one, for this name, found without an address', [credentials.length, credentials[0]?.rpId, credentials[0]?.isResidentCredential], [1, 'localhost', true]);
  await page.locator('details.who > summary').click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.waitForURL('**/sign-in**');
  await page.goto(`${world.base}/runs`);
  await page.locator('#passkey-sign-in').click();
  await page.waitForURL('**/runs').catch(() => {});
  if (!page.url().endsWith('/runs')) report.check('a passkey signs in', false, `${page.url()}: ${await main(page)}; ${context.problems}`);
  report.equal('signing in with it leads to where one wanted to go', await signedInAs(page), MARIA);
  const sessions = (await world.get('admin', '/sessions?all=true')).items;
  report.check('the session says how it was opened', sessions.some((s) => s.person === MARIA && s.how === 'passkey'), JSON.stringify(sessions));
  await stepUp(report, world, page, devtools, authenticatorId);
  // A passkey that the server does not know, and somebody who says no.
  await page.locator('details.who > summary').click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.waitForURL('**/sign-in**');
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.goto(`${world.base}/sign-in`);
  await page.locator('#passkey-sign-in').click();
  await page.locator('#passkey-told').getByText(/cancelled|did not work/).waitFor();
  report.check('without its holder’s consent nobody is signed in, and the page says so', page.url().includes('/sign-in'));
  report.none('no errors with passkeys', context.problems);
  await context.close();
}

// A request that wants proof that it is still the same person, where there is one.
async function stepUp(report, world, page) {
  const told = await page.evaluate(async () => {
    const post = async (path, body) => {
      const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      return [answer.status, answer.status === 204 ? {} : await answer.json()];
    };
    const digest = 'ab'.repeat(32);
    const [status, begun] = await post('/sign-in/step-up/begin', { digest });
    if (status !== 200) return [status, begun];
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(begun.options.publicKey || begun.options);
    const credential = await navigator.credentials.get({ publicKey: options });
    const body = { ceremony: begun.ceremony, credential: credential.toJSON(), digest };
    const first = await post('/sign-in/step-up/finish', body);
    const again = await post('/sign-in/step-up/finish', body);
    return [status, first[0], first[1], again[0]];
  });
  report.check('a step-up proves it is still the same person', told[0] === 200 && told[1] === 200, JSON.stringify(told));
  report.check('and its ceremony is good once', told[3] >= 400, JSON.stringify(told));
}

async function byProvider(report, world, browser) {
  const context = await open(browser);
  const page = await context.newPage();
  await page.goto(`${world.base}/agents?state=active`);
  await page.locator('#oidc').click();
  await page.waitForURL(`${issuer}/**`);
  report.check('the button leads to the company’s provider', true);
  await page.getByLabel('Account').fill(MARIA);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${world.base}/agents?state=active`);
  report.equal('which leads back, signed in, to where one wanted to go', await signedInAs(page), MARIA);
  await context.clearCookies();
  await page.goto(`${world.base}/sign-in`);
  await page.locator('#oidc').click();
  await page.waitForURL(`${issuer}/**`);
  await page.getByLabel('Account').fill('stranger@elsewhere.example');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${world.base}/sign-in?failed=**`);
  report.check('somebody of whom the organization does not know stays out, and is told what to do', /ask an administrator/i.test(await main(page)), await main(page));
  report.none('no errors with a provider', context.problems);
  await context.close();
}
