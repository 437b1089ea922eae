import type { CommandDefinition } from '../command.ts';

/** `postern serve` */
export const serve: CommandDefinition = (command) => {
  command.action(async () => {
    const [{ runUntilSignal }, { startService }, { welcomeMessage }] = await Promise.all([
      import('../../compose/run-until-signal.ts'),
      import('../../compose/service.ts'),
      import('../../compose/welcome-message.ts'),
    ]);
    await runUntilSignal(
      'serve',
      startService,
      ({ demoUser, consoleUrl, grpc, http, tls, servesHttpRpcs }) =>
        demoUser
          ? welcomeMessage(demoUser, { consoleUrl, grpc, http: servesHttpRpcs ? http : null, tls })
          : '',
    );
  });
};
