// Runs one scenario; `run.mjs` starts it on the core of the load: node bench/scenario-process.mjs NAME PLAN_JSON
// The last line of its output has the rows.
const [name, plan] = process.argv.slice(2);
const { run } = await import(`./scenarios/${name}.mjs`);
const rows = await run(JSON.parse(plan));
process.stdout.write(`${JSON.stringify(rows)}\n`);
process.exit(0);
