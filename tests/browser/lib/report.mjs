// What a script checked: a line each as it happens, and one JSON line at the end, which the Rust test reads.

export class Report {
  #checks = [];
  #failed = [];
  #facts = {};

  // Something has to hold; `detail` says what was there instead.
  check(what, ok, detail = '') {
    this.#checks.push(what);
    if (ok) {
      console.log(`ok      ${what}`);
    } else {
      const text = detail === '' ? what : `${what}: ${String(detail).slice(0, 600)}`;
      this.#failed.push(text);
      console.log(`FAILED  ${text}`);
    }
    return ok;
  }

  equal(what, got, wanted) {
    const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
    return this.check(what, a === b, `${a}, expected ${b}`);
  }

  // A list that has to be empty.
  none(what, list) {
    return this.check(what, list.length === 0, list.slice(0, 12).join('\n        '));
  }

  // A number or a list for the reader.
  fact(name, value) {
    this.#facts[name] = value;
    console.log(`        ${name}: ${JSON.stringify(value)}`);
  }

  print() {
    console.log(JSON.stringify({ checks: this.#checks, failed: this.#failed, facts: this.#facts }));
  }
}

// Runs a script's checks; what breaks off is a failure too, told with where.
export async function run(work) {
  const report = new Report();
  const closing = [];
  try {
    await work(report, (end) => closing.push(end));
  } catch (error) {
    report.check('it runs to its end', false, error.stack ?? error);
  }
  for (const end of closing.reverse()) await end().catch(() => {});
  report.print();
}
