import type { CommandDefinition } from '../command-definition.ts';

/** `postern serve` */
export const serve: CommandDefinition = (command) => {
  command.action(async () => {
    const [{ runUntilSignal }, { startService }, { firstSteps }] = await Promise.all([
      import('../../main.ts'),
      import('../../compose.ts'),
      import('../../first-steps.ts'),
    ]);
    await runUntilSignal('serve', startService, ({ demoUser, grpc, tls }) =>
      demoUser ? firstSteps(demoUser, grpc, tls) : '',
    );
  });
};
