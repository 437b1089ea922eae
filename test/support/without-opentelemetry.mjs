// For `node --import`: every import of OpenTelemetry in this process fails.
import { register } from 'node:module';

const hooks = `export async function resolve(name, context, next) {
  if (name.startsWith('@opentelemetry/')) throw new Error('OpenTelemetry was loaded: ' + name);
  return next(name, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
