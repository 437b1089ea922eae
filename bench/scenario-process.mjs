// One scenario in a process of its own, which `run.mjs` starts on the load's core: node bench/scenario-process.mjs NAME PLAN_JSON
// The last line of its output is its rows.
const [name, plan] = process.argv.slice(2);
const { run } = await import(`./scenarios/${name}.mjs`);
const rows = await run(JSON.parse(plan));
process.stdout.write(`${JSON.stringify(rows)}\n`);
process.exit(0);
