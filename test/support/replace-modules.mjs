// For `node --import`: replaces whole modules of the build. REPLACED_MODULES is a JSON object, from the
// address of each module (file:) to that of its replacement.
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';

const replaced = JSON.parse(process.env.REPLACED_MODULES ?? '{}');
for (const address of Object.keys(replaced)) {
  if (!existsSync(fileURLToPath(address))) throw new Error(`there is no ${address} to replace`);
}

const hooks = `
const replaced = ${JSON.stringify(replaced)};
export async function resolve(name, context, next) {
  const found = await next(name, context);
  const url = replaced[found.url];
  // A replacement may import the module that it replaces.
  return url === undefined || context.parentURL === url ? found : { ...found, url };
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
