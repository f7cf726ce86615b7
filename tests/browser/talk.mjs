// What is said of a request beside yes and no, in a browser: other arguments, a question and its answer, handing it on; each
// by keys where it has one, and each told to whoever it concerns.
//
//   node talk.mjs READY_FILE

import { launch, signedIn } from './lib/browser.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const [FIONA, MARIA, NORA] = ['fiona@acme.example', 'maria@acme.example', 'nora@acme.example'];

await run(async (report, atEnd) => {
  const world = World.open();
  const fiona = await world.get('admin', `/people/${FIONA}`);
  const { display_name: _, teams, roles, entitlements } = fiona;
  await world.rest('admin', 'PUT', `/people/${NORA}`, { display_name: 'Nora', teams, roles, entitlements });
  const browser = await launch();
  atEnd(() => browser.close());
  const [approver, answers, other] = await Promise.all([FIONA, MARIA, NORA].map((who) => signedIn(browser, world, who)));
  await asked(report, world, approver, answers);
  await given(report, world, approver, other);
  await edited(report, world, approver);
  report.none('no errors on the way', [approver, answers, other].flatMap((p) => p.context_.problems));
});

// Sends the form that has the focus, and waits for the page after it.
async function sent(page, press) {
  const answered = page.waitForResponse((r) => r.request().method() === 'POST');
  const landed = page.waitForEvent('domcontentloaded');
  await press();
  const status = (await answered).status();
  await landed;
  return status;
}

function told(page) {
  return page.locator('main').innerText();
}

async function asked(report, world, approver, answers) {
  const { approval } = await world.asksForRefund(71);
  const address = `${world.base}/approvals?id=${approval}`;
  await approver.goto(address);
  await approver.keyboard.press('r');
  await approver.waitForFunction(() => document.activeElement?.name === 'text');
  report.check('r opens the question and puts the focus there', true);
  await approver.keyboard.type('Is the lamp <b>back</b>?');
  report.equal('a question is sent', await sent(approver, () => approver.keyboard.press('Enter')), 303);
  report.check('it stands there as it was typed', (await told(approver)).includes('Is the lamp <b>back</b>?'), await told(approver));
  report.equal('and decides nothing', (await world.get('admin', `/approvals/${approval}`)).state, 'pending');
  await answers.goto(address);
  const pane = await told(answers);
  report.check('who answers for the call sees it', pane.includes('Is the lamp <b>back</b>?'), pane);
  report.equal('but may not decide', await answers.getByRole('button', { name: /^(Approve|Deny)/ }).count(), 0);
  await answers.getByLabel('Your answer').fill('It came back today.');
  report.equal('an answer is sent', await sent(answers, () => answers.getByRole('button', { name: 'Answer', exact: true }).click()), 303);
  await approver.goto(address);
  const talk = await approver.locator('#notes').innerText();
  report.check('both are told in their order', talk.indexOf('lamp') < talk.indexOf('came back today'), talk);
  report.check('with who said what', talk.includes(FIONA) && talk.includes(MARIA), talk);
}

async function given(report, world, approver, other) {
  const { approval } = await world.asksForRefund(72);
  await approver.goto(`${world.base}/approvals?id=${approval}`);
  await approver.keyboard.press('Shift+G');
  await approver.locator('select[name=to]').waitFor();
  await approver.locator('select[name=to]').selectOption(NORA);
  report.equal('it is given to somebody else', await sent(approver, () => approver.getByRole('button', { name: 'Give it to them' }).click()), 303);
  const mine = await approver.locator('#queue').innerText().catch(() => '');
  report.check('it leaves the list of who gave it', !mine.includes('72'), mine);
  await other.goto(`${world.base}/approvals?view=mine`);
  const first = await other.locator('#pane [data-approval]').getAttribute('data-approval');
  report.equal('and heads the other’s', first, approval);
  report.check('who see by whom', (await other.locator('#given').innerText()).includes(FIONA));
  await other.locator('#decide-reason').fill('fine');
  report.equal('the other decides it', await sent(other, () => other.getByRole('button', { name: /^Approve once/ }).click()), 303);
  report.equal('for good', (await world.get('admin', `/approvals/${approval}`)).state, 'approved');
}

async function edited(report, world, approver) {
  const { approval, token } = await world.asksForRefund(73);
  await approver.goto(`${world.base}/approvals?id=${approval}`);
  await approver.keyboard.press('e');
  const area = approver.locator('textarea[name=args]');
  await area.waitFor();
  const args = JSON.parse(await area.inputValue());
  report.equal('the exact arguments stand there to be changed', args.amount, 73);
  await area.fill('{"amount": ');
  report.equal('what is no JSON is refused', await sent(approver, () => approver.getByRole('button', { name: /^Propose/ }).click()), 400);
  report.check('and says so', /not JSON/.test(await told(approver)), await told(approver));
  await approver.goto(`${world.base}/approvals?id=${approval}`);
  await approver.keyboard.press('e');
  await area.fill(JSON.stringify({ ...args, amount: 60 }));
  report.equal('other arguments are proposed', await sent(approver, () => approver.getByRole('button', { name: /^Propose/ }).click()), 303);
  const settled = await world.get('admin', `/approvals/${approval}`);
  report.equal('which denies what was asked', [settled.state, settled.edited.amount], ['denied', 60]);
  await approver.goto(`${world.base}/approvals?id=${approval}`);
  const diff = await approver.locator('section[aria-labelledby=edited]').innerText();
  report.check('the page shows what differs', diff.includes('73') && diff.includes('60'), diff);
  const again = await world.call(token, 'orders/refund', settled.edited);
  report.equal('a call with the new arguments is asked for anew', again.verdict, 'asked');
  await approver.goto(`${world.base}/approvals?id=${again.approval}`);
  await approver.locator('#decide-reason').fill('as proposed');
  report.equal('and approved like any other', await sent(approver, () => approver.getByRole('button', { name: /^Approve once/ }).click()), 303);
  report.equal('once', (await world.call(token, 'orders/refund', settled.edited)).verdict, 'allowed');
}
